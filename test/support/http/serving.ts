/** A real HTTP server on a free port, and a client that shows what a careless one would hide. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /** The body ended before its end. */
  readonly cut: boolean
}

export interface Client {
  readonly port: number
  readonly get: (path: string, options?: Http.RequestOptions & { readonly send?: string }) => Effect.Effect<Answer>
  /** Sends a request, and gives the socket to do with it what a client should not. */
  readonly open: (path: string, headers?: string) => Effect.Effect<Socket>
}

const DEADLINE = 10_000

export const quiet = Logger.remove(Logger.defaultLogger)

/** Runs an app as a server would, without one. */
export const asked = <A, E, R>(
  app: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, HttpServerRequest.HttpServerRequest>> =>
  Effect.provideService(
    app,
    HttpServerRequest.HttpServerRequest,
    HttpServerRequest.fromWeb(new Request("http://localhost/"))
  ).pipe(Effect.provide(quiet))

/** For databases of these tests: what is told of a slow machine is not what they are about. */
export const patient = { connectTimeout: 5_000, poolTimeout: 10_000 }

const clientOf = (port: number): Client => ({
  port,
  get: (path, { send, ...options } = {}) =>
    Effect.async<Answer>((resume) => {
      const request = Http.request({ host: "127.0.0.1", port, path, agent: false, timeout: DEADLINE, ...options })
      request.on("timeout", () => request.destroy(new Error(`no answer to ${path}`)))
      request.on("error", (error) => resume(Effect.die(error)))
      request.on("response", (response) => {
        const chunks: Array<Buffer> = []
        const done = (cut: boolean): void =>
          resume(Effect.succeed({
            status: response.statusCode!,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
            cut
          }))
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () => done(false))
        response.on("error", () => done(true))
      })
      request.end(send)
    }),
  open: (path, headers = "") =>
    Effect.sync(() => {
      const socket = connect(port, "127.0.0.1")
      socket.on("error", () => {})
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`)
      return socket
    })
})

type Provided = Layer.Layer.Success<ReturnType<typeof NodeHttpServer.layer>>

/** Serves what `serve` makes until the scope ends; connections that are still open then are cut. */
export const serving = <E, R>(
  serve: Layer.Layer<never, E, R>
): Effect.Effect<Client, E, Exclude<R, Provided> | Scope.Scope> =>
  Effect.gen(function*() {
    const server = Http.createServer()
    yield* Layer.build(Layer.provide(serve, Layer.orDie(NodeHttpServer.layer(() => server, { port: 0 }))))
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    return clientOf((server.address() as AddressInfo).port)
  })

/** Serves an app. */
export const servingApp = <E, R>(
  app: HttpApp.Default<E, R>
): Effect.Effect<
  Client,
  never,
  Exclude<Exclude<R, HttpServerRequest.HttpServerRequest | Scope.Scope>, Provided> | Scope.Scope
> => serving(HttpServer.serve(app))
