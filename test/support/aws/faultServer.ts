/** A server that misbehaves as it is told, request by request, which the local servers cannot. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  /** Whether the client closed the connection before it had its answer. */
  readonly aborted: () => boolean
}

export type Answer =
  | {
    readonly status: number
    readonly body?: string | Uint8Array
    readonly headers?: Readonly<Record<string, string>>
    /** Milliseconds until the answer. */
    readonly delay?: number
    /** The connection is destroyed after that many bytes of the body. */
    readonly cutAfter?: number
  }
  | "reset"
  | "stall"
  | "truncate"

export interface FaultServer {
  readonly endpoint: string
  readonly seen: ReadonlyArray<Seen>
  /** What to answer from now on; `index` counts from 0 since this was called. */
  readonly answer: (handler: (request: Seen, index: number) => Answer) => void
  /** Resolves when that many requests have arrived since `answer`. */
  readonly arrived: (count: number) => Promise<void>
  readonly connections: () => Promise<number>
}

export class Faults extends Context.Tag("test/Faults")<Faults, FaultServer>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.acquireRelease(Effect.promise(start), ({ stop }) => Effect.promise(stop)).pipe(
      Effect.map(({ server }) => server)
    )
  )
}

async function start(): Promise<{ readonly server: FaultServer; readonly stop: () => Promise<void> }> {
  let seen: Array<Seen> = []
  let handler: (request: Seen, index: number) => Answer = () => ({ status: 200 })
  let waiting: Array<{ readonly count: number; readonly resolve: () => void }> = []

  const listener = http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    let gone = false
    response.on("close", () => {
      gone = !response.writableFinished
    })
    request.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const one: Seen = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks),
        aborted: () => gone
      }
      seen.push(one)
      const answer = handler(one, seen.length - 1)
      waiting = waiting.filter(({ count, resolve }) => seen.length < count || void resolve())
      if (answer === "stall") return
      if (answer === "reset") return void request.socket.resetAndDestroy()
      if (answer === "truncate") {
        response.writeHead(200, { "content-length": "1000000", etag: "\"x\"" })
        response.write("the beginning", () => request.socket.destroy())
        return
      }
      setTimeout(() => {
        const body = Buffer.from(answer.body ?? "")
        // Only AWS gives ids to requests, and it has no pages.
        const isPage = answer.headers?.["content-type"] === "text/html"
        response.writeHead(answer.status, {
          ...(isPage ? {} : { "x-amz-request-id": "REQ-1", "x-amzn-requestid": "REQ-1" }),
          ...(answer.cutAfter === undefined ? {} : { "content-length": String(body.byteLength) }),
          ...answer.headers
        })
        if (answer.cutAfter === undefined) return void response.end(body)
        response.write(body.subarray(0, answer.cutAfter), () => request.socket.destroy())
      }, answer.delay ?? 0)
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))

  return {
    server: {
      endpoint: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
      get seen() {
        return seen
      },
      answer: (next) => {
        seen = []
        handler = next
      },
      arrived: (count) =>
        new Promise((resolve) => seen.length >= count ? resolve() : void waiting.push({ count, resolve })),
      connections: () =>
        new Promise((resolve, reject) =>
          listener.getConnections((error, count) => error === null ? resolve(count) : reject(error))
        )
    },
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve())
        listener.closeAllConnections()
      })
  }
}

export const s3Error = (status: number, code: string, message = code): Answer => ({
  status,
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`
})

export const sqsError = (status: number, code: string, message = code): Answer => ({
  status,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message })
})
