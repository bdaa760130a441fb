/** What `HttpShutdown.drain` is not given as it should be. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createServer } from "node:http"
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
