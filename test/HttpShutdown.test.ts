/** `HttpShutdown.drain` within this process: what it is given, and what has reached the server when it ends. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { once } from "node:events"
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

  const durations: ReadonlyArray<readonly [name: keyof HttpShutdown.DrainOptions, value: unknown]> = [
    ["deadline", NaN],
    ["deadline", "20 secs"],
    ["delay", -1],
    ["grace", "Infinity"]
  ]
  it.scopedLive.each(durations)("refuses a %s of %s", ([name, value]) =>
    Effect.gen(function*() {
      const server = createServer()
      const drain = HttpShutdown.drain(server, { [name]: value })
      const error = yield* Effect.flip(Layer.build(serve.pipe(drain, Layer.provide(listening(server)))))
      expect(error).toMatchObject({ _tag: "ConfigurationError", reason: "InvalidSettings" })
      expect(error.message).toContain(`${name}: must be a duration that ends`)
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

/** Serves what answers once it is released, and `/now` what answers at once. */
const draining = (server: Server, deadline: Duration.DurationInput = "8 seconds") =>
  Effect.gen(function*() {
    const began = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const scope = yield* Scope.make()
    const app = Effect.gen(function*() {
      const { url } = yield* HttpServerRequest.HttpServerRequest
      yield* Deferred.succeed(began, void 0)
      if (url !== "/now") yield* Effect.interruptible(Deferred.await(release))
      return HttpServerResponse.text("hello")
    })
    const layer = HttpServer.serve(app).pipe(
      HttpShutdown.drain(server, { deadline }),
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
const now = request.replace("/", "/now")
/** As some clients send every request. */
const offering = request.replace(
  "\r\n\r\n",
  "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"
)

/** How many answers come on a connection until it is closed, and how it ends. */
const answers = (socket: Socket): Promise<readonly [answers: number, error: string | undefined]> =>
  new Promise((resolve) => {
    let text = ""
    let error: string | undefined
    socket.on("data", (data) => text += data.toString("latin1"))
    socket.on("error", ({ message }) => error = message)
    socket.on("close", () => {
      const rest = text.replaceAll(/HTTP\/1\.1 200[^]*?\r\n\r\nhello/g, "")
      resolve([text.split("HTTP/1.1 200").length - 1, error ?? (rest === "" ? undefined : `more came: ${rest}`)])
    })
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

  it.scopedLive("an answer waits for the one before it, and is sent all the same", () =>
    Effect.gen(function*() {
      const { began, end, port, release } = yield* draining(createServer())
      const socket = connect(port, "127.0.0.1")
      const all = answers(socket)
      socket.write(request + now + now)
      yield* began
      const ended = yield* end
      yield* Effect.sleep("50 millis")
      yield* release
      expect(yield* Effect.promise(() => all)).toEqual([3, undefined])
      yield* Fiber.join(ended)
    }))

  for (const [which, before] of [["the first", ""], ["a later", now]] as const) {
    it.scopedLive(`${which} request of a connection that offers another protocol is finished`, () =>
      Effect.gen(function*() {
        const { began, end, port, release } = yield* draining(createServer())
        const socket = connect(port, "127.0.0.1")
        const all = answers(socket)
        if (before !== "") {
          socket.write(before)
          yield* Effect.promise(() => once(socket, "data"))
        }
        socket.write(offering)
        yield* began
        yield* Effect.sleep("50 millis")
        const ended = yield* end
        yield* Effect.sleep("50 millis")
        yield* release
        expect(yield* Effect.promise(() => all)).toEqual([before === "" ? 1 : 2, undefined])
        yield* Effect.timeoutFail(Fiber.join(ended), {
          duration: "4 seconds",
          onTimeout: () => "waits for the deadline"
        })
      }))
  }

  it.scopedLive("one that is not answered is cut at the deadline", () =>
    Effect.gen(function*() {
      const { began, end, port } = yield* draining(createServer(), "100 millis")
      const socket = connect(port, "127.0.0.1")
      const all = answers(socket)
      socket.write(offering)
      yield* began
      const ended = yield* end
      expect(yield* Effect.promise(() => all)).toEqual([0, undefined])
      yield* Fiber.join(ended)
    }))

  it.scopedLive("one that is reset by its client ends no more than itself", () =>
    Effect.gen(function*() {
      const { began, end, port } = yield* draining(createServer())
      const socket = connect(port, "127.0.0.1")
      socket.write(offering)
      yield* began
      socket.resetAndDestroy()
      yield* Effect.timeoutFail(Effect.flatMap(end, Fiber.join), { duration: "4 seconds", onTimeout: () => "it waits" })
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
