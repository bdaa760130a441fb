/** A bucket that takes presigned requests and forms as S3 does, in this process. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { type Keys, refusalOfForm, refusalOfQuery } from "./presignedRequests.ts"

export interface Taken {
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface PresignedServer {
  readonly endpoint: string
  /** What was stored, in order. */
  readonly taken: ReadonlyArray<Taken>
}

/** `now`: the time of the server. */
export const presignedServer = (
  bucket: string,
  keys: Keys,
  now: () => Date
): Effect.Effect<PresignedServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const taken: Array<Taken> = []
    const listener = yield* Effect.acquireRelease(
      Effect.async<http.Server>((resume) => {
        const server = http.createServer((request, response) => {
          void respond(request).then((refusal) => {
            response.writeHead(refusal === undefined ? 200 : 403).end(refusal)
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )

    const respond = async (request: http.IncomingMessage): Promise<string | undefined> => {
      const body = Buffer.concat(await request.toArray())
      const path = request.url ?? ""
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)])
      )
      if (request.method === "POST" && path === `/${bucket}`) {
        const form = await new Response(body, { headers }).formData()
        const entries = Array.from(form)
        // "The file must be the last field in the form."
        const [last, file] = entries.pop() ?? []
        if (last !== "file" || !(file instanceof Blob)) return "InvalidArgument"
        const fields = Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), String(value)]))
        const refusal = refusalOfForm({ bucket, fields, size: file.size }, keys, now())
        if (refusal === undefined) {
          taken.push({ key: fields["key"] ?? "", headers: fields, body: Buffer.from(await file.arrayBuffer()) })
        }
        return refusal
      }
      const refusal = refusalOfQuery({ method: request.method ?? "", headers, path }, keys, now())
      if (refusal === undefined) {
        const { pathname } = new URL(path, "http://host")
        taken.push({ key: decodeURIComponent(pathname.slice(bucket.length + 2)), headers, body })
      }
      return refusal
    }

    return { endpoint: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`, taken }
  })
