/** A server with one route that receives files, and clients that send it bytes as they like. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"
import * as HttpUpload from "../../../src/aws/HttpUpload.ts"
import { Storage } from "../../../src/aws/Storage.ts"
import type { StoredObject } from "../../../src/aws/Storage.ts"
import type { ServiceError } from "../../../src/Errors.ts"

export type Received = HttpUpload.ReceivedUpload<StoredObject>

export type Options = Partial<HttpUpload.ReceiveOptions<StoredObject, ServiceError | HttpUpload.UploadError, never>>

/** Stores every file as an attachment, unless the options say otherwise. */
export const receive = (
  options: Options = {}
): Effect.Effect<
  Received,
  HttpUpload.UploadError | ServiceError,
  HttpServerRequest.HttpServerRequest | Scope.Scope | Storage
> =>
  Effect.flatMap(Storage, (storage) =>
    HttpUpload.receive({
      file: (part) => storage.uploadChatAttachment({ customerId: 7, data: part.data, fileExtension: part.extension }),
      ...options
    }))

/** What was received, as JSON. */
export const answer = ({ fields, files }: Received): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({
    fields: { ...fields },
    files: files.map(({ contentType, field, name, stored: { size } }) => ({ field, name, contentType, size }))
  })

/** The port of a server that answers every POST with what the route does, until the scope closes. */
export const serve = <E, R>(
  route: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<
  number,
  never,
  Scope.Scope | Exclude<Exclude<R, HttpRouter.HttpRouter.Provided>, HttpServer.HttpServer>
> =>
  Effect.gen(function*() {
    const app = HttpRouter.empty.pipe(HttpRouter.post("/", route))
    const server = Http.createServer()
    yield* Layer.build(
      HttpServer.serve(app).pipe(
        Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.orDie
      )
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    return (server.address() as Net.AddressInfo).port
  }) as never

export interface Reply {
  readonly status: number
  readonly body: unknown
}

const parseReply = (text: string): Reply => {
  const [head = "", ...rest] = text.split("\r\n\r\n")
  const body = rest.join("\r\n\r\n")
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0),
    body: body.startsWith("{") ? JSON.parse(body) : body
  }
}

export const boundary = "----form7MA4YWxkTrZu0gW"

export const head = (length: number | undefined, contentType = `multipart/form-data; boundary=${boundary}`): string =>
  `POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: ${contentType}\r\n`
  + (length === undefined ? "Transfer-Encoding: chunked\r\n\r\n" : `Content-Length: ${length}\r\n\r\n`)

export const field = (name: string, value: string): string =>
  `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

export const file = (name: string, fileName: string, content: string | Buffer, type = "text/plain"): Buffer =>
  Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\n`
        + `Content-Type: ${type}\r\n\r\n`
    ),
    Buffer.from(content),
    Buffer.from("\r\n")
  ])

export const end = `--${boundary}--\r\n`

export const form = (...parts: ReadonlyArray<string | Buffer>): Buffer =>
  Buffer.concat([...parts, end].map((part) => Buffer.from(part)))

/** A connection on which bytes are written as they are. */
export const connect = (port: number): Effect.Effect<
  { readonly socket: Net.Socket; readonly reply: Effect.Effect<Reply> },
  never,
  Scope.Scope
> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = Net.connect(port, "127.0.0.1")
        let text = ""
        socket.on("data", (data) => text += data.toString()).on("error", () => {})
        const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
        return { socket, closed, text: () => text }
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    ),
    ({ closed, socket, text }) => ({
      socket,
      reply: Effect.map(Effect.timeout(Effect.promise(() => closed), "15 seconds"), () => parseReply(text())).pipe(
        Effect.orDie
      )
    })
  )

/** One request, in pieces of that many bytes. */
export const post = (
  port: number,
  body: Buffer,
  options: { readonly contentType?: string; readonly length?: number; readonly pieces?: number } = {}
): Effect.Effect<Reply> =>
  Effect.scoped(Effect.gen(function*() {
    const { reply, socket } = yield* connect(port)
    socket.setNoDelay(true)
    socket.write(head(options.length ?? body.length, options.contentType))
    const size = options.pieces ?? Math.max(1, body.length)
    for (let at = 0; at < body.length; at += size) {
      socket.write(body.subarray(at, at + size))
      if (size < body.length) yield* Effect.yieldNow()
    }
    return yield* reply
  }))
