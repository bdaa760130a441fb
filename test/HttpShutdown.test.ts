/** `HttpShutdown.drain` within this process: what it is given, and what has reached the server when it ends. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { createServer, type Server } from "node:http"
import * as Https from "node:https"
import { type AddressInfo, connect, type Socket } from "node:net"
import * as Tls from "node:tls"
import type { ConfigurationError } from "../src/Errors.ts"
import { Health } from "../src/Health.ts"
import * as HttpShutdown from "../src/HttpShutdown.ts"

const serve = HttpServer.serve(HttpServerResponse.text("hello"))
const listening = (server: ReturnType<typeof createServer>) =>
  NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })

describe("drain", () => {
  it.scopedLive("refuses a server that does not serve", () =>
    Effect.gen(function*() {
      const layer = serve.pipe(HttpShutdown.drain(createServer()), Layer.provide(listening(createServer())))
      const error = yield* Effect.flip(Layer.build(layer))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "HttpShutdown" })
      expect(error.message).toContain("the same http.Server")
    }))

  it.scopedLive("ends at once where nothing is under way, leaves no listener behind, and turns readiness off", () =>
    Effect.gen(function*() {
      const server = createServer()
      const health = yield* Layer.build(Health.layer)
      const began = yield* Effect.sync(() => performance.now())
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(serve.pipe(HttpShutdown.drain(server), Layer.provide(listening(server))))
        const { port } = server.address() as { readonly port: number }
        const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}`).then((it) => it.text()))
        expect(response).toBe("hello")
      })).pipe(Effect.provide(health))
      expect(performance.now() - began).toBeLessThan(5_000)
      expect(server.listening).toBe(false)
      expect(["request", "connection", "upgrade"].map((event) => server.listenerCount(event))).toEqual(
        ["request", "connection", "upgrade"].map((event) => createServer().listenerCount(event))
      )
      expect((yield* Effect.provide(Health.ready, health)).status).toBe("fail")
    }))

  it("needs a server from outside", () => {
    expectTypeOf(HttpShutdown.drain(createServer())(serve))
      .toEqualTypeOf<Layer.Layer<never, ConfigurationError, HttpServer.HttpServer>>()
    const inside = HttpShutdown.drain(createServer())(Layer.provide(serve, listening(createServer())))
    expectTypeOf<Layer.Layer.Context<typeof inside>>().toEqualTypeOf<HttpServer.HttpServer>()
  })
})

/** Serves what answers once it is released. */
const draining = (server: Server) =>
  Effect.gen(function*() {
    const began = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const scope = yield* Scope.make()
    const app = Effect.zipRight(
      Deferred.succeed(began, void 0),
      Effect.as(Deferred.await(release), HttpServerResponse.text("hello"))
    )
    const layer = HttpServer.serve(app).pipe(
      HttpShutdown.drain(server, { deadline: "8 seconds" }),
      Layer.provide(listening(server))
    )
    yield* Layer.buildWithScope(layer, scope)
    return {
      port: (server.address() as AddressInfo).port,
      began: Deferred.await(began),
      release: Deferred.succeed(release, void 0),
      /** Begins the end. */
      end: Effect.forkDaemon(Scope.close(scope, Exit.void))
    }
  })

const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

/** How many answers come on a connection until it is closed, and how it ends. */
const answers = (socket: Socket): Promise<readonly [answers: number, error: string | undefined]> =>
  new Promise((resolve) => {
    let text = ""
    let error: string | undefined
    socket.on("data", (data) => text += String(data))
    socket.on("error", ({ message }) => error = message)
    socket.on("close", () => resolve([text.split("HTTP/1.1 200").length - 1, error]))
  })

describe("at the end", () => {
  it.scopedLive("no connection is reset whose request is on its way", () =>
    Effect.gen(function*() {
      const { began, end, port, release } = yield* draining(createServer())
      yield* release
      const all = Array.from({ length: 50 }, () => {
        const socket = connect(port, "127.0.0.1")
        socket.on("connect", () => socket.write(request))
        return answers(socket)
      })
      yield* began
      yield* Fiber.join(yield* end)
      expect(new Set((yield* Effect.promise(() => Promise.all(all))).map(String))).toEqual(new Set(["1,"]))
    }))

  it.scopedLive("pipelined requests are answered, the last of them with the goodbye", () =>
    Effect.gen(function*() {
      const { began, end, port, release } = yield* draining(createServer())
      const socket = connect(port, "127.0.0.1")
      const all = answers(socket)
      socket.write(request.repeat(3))
      yield* began
      const ended = yield* end
      yield* Effect.sleep("50 millis")
      yield* release
      expect(yield* Effect.promise(() => all)).toEqual([3, undefined])
      yield* Effect.timeoutFail(Fiber.join(ended), { duration: "4 seconds", onTimeout: () => "waits for the deadline" })
    }))

  it.scopedLive("a request over TLS is finished", () =>
    Effect.gen(function*() {
      // With a key that both know, so without certificates.
      const psk = Buffer.alloc(32, 7)
      const options = { ciphers: "PSK", maxVersion: "TLSv1.2" } as const
      const { began, end, port, release } = yield* draining(
        Https.createServer({ ...options, pskCallback: () => psk })
      )
      const socket = Tls.connect({
        ...options,
        host: "127.0.0.1",
        port,
        pskCallback: () => ({ psk, identity: "test" }),
        checkServerIdentity: () => undefined
      })
      const all = answers(socket)
      socket.write(request)
      yield* began
      const ended = yield* end
      yield* Effect.sleep("50 millis")
      yield* release
      expect(yield* Effect.promise(() => all)).toEqual([1, undefined])
      yield* Fiber.join(ended)
    }))
})
