/**
 * An HTTP server of Node that ends in order: what is under way is finished, within a deadline, while its databases are
 * still open.
 *
 * ```ts
 * const server = createServer()
 * const Http = HttpServer.serve(app).pipe(
 *   HttpShutdown.drain(server, { delay: "5 seconds" }),
 *   Layer.provide(NodeHttpServer.layer(() => server, { port: 8080 })),
 *   Layer.provide([HealthLive, MainDb.layer])
 * )
 * NodeRuntime.runMain(Layer.launch(Http))
 * ```
 */
import * as HttpServer from "@effect/platform/HttpServer"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Server } from "node:http"
import { ConfigurationError } from "./Errors.ts"
import { Health } from "./Health.ts"
import { finiteDuration } from "./internal/finiteDuration.ts"
import type { Limits } from "./internal/http/drain.ts"
import { Drain } from "./internal/http/drain.ts"

export interface DrainOptions {
  /**
   * How long requests are taken as before, with the readiness of `Health` off: until the balancer has noticed. Default 0;
   * behind one, the period of its checks times the failures that it waits for, such as 5 seconds.
   */
  readonly delay?: Duration.DurationInput | undefined
  /** How long requests under way may take after that. Then their connections are closed. Default 20 seconds. */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * How long their handlers may take after that to roll back, and WebSockets to say goodbye. Default 5 seconds. The three
   * together, and 5 seconds for the databases, must be less than what the process gets between SIGTERM and SIGKILL.
   */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * Closes a server in order when its layer is closed, before its handlers are detached and what they use is closed:
 *
 * 1. The readiness of the `Health` in the context is turned off, and `delay` waited for.
 * 2. It stops listening. Idle connections are closed, and those that become idle; one that has not had a request yet is
 *    given a second for it. What comes on a connection that is still open is answered as usual, with `Connection: close`.
 * 3. Requests under way are waited for. After them, or at the deadline, WebSockets are closed with 1001.
 * 4. At the deadline all connections are closed. Their handlers are interrupted as when a client goes away: a transaction
 *    rolls back, and a COMMIT that has been sent is waited for.
 *
 * `server`, of HTTP or HTTPS, is the one given to `NodeHttpServer.layer`; another one is refused with a
 * ConfigurationError, and so is a duration that is negative, endless or none. The layer takes what serves:
 * `HttpServer.serve(app)`, `HttpApiBuilder.serve()`, `HttpLayerRouter.serve(routes)`. Databases must be provided to the
 * result, or to a layer below it, and not merged beside it: then they would close at the same time.
 */
export const drain =
  (server: Server, options: DrainOptions = {}) =>
  <A, E, R>(serve: Layer.Layer<A, E, R>): Layer.Layer<A, E | ConfigurationError, R | HttpServer.HttpServer> =>
    Layer.unwrapScoped(Effect.gen(function*() {
      if (!server.listening) return yield* notListening
      const limits = yield* checked(options)
      const health = yield* Effect.serviceOption(Health)
      const draining = yield* Effect.acquireRelease(
        Effect.sync(() => new Drain(server)),
        (draining) => Effect.sync(() => draining.detach())
      )
      const counting = Layer.effect(
        HttpServer.HttpServer,
        Effect.map(HttpServer.HttpServer, ({ address, serve }) =>
          HttpServer.make({
            address,
            serve: (app, middleware) =>
              middleware === undefined
                ? serve(draining.counted(app))
                : serve(app, (handled) => draining.counted(middleware(handled) as typeof handled))
          }))
      )
      const end = draining.end({
        unready: Option.match(health, { onNone: () => Effect.void, onSome: ({ drain }) => drain }),
        ...limits
      })
      // Added after the handlers are attached, so it runs before they are detached.
      return Layer.flatMap(
        Layer.provide(serve, counting),
        (context) => Layer.scopedContext(Effect.as(Effect.addFinalizer(() => end), context))
      )
    }))

const refuse = (
  reason: ConfigurationError["reason"],
  ...problems: ConfigurationError["problems"]
): Effect.Effect<never, ConfigurationError> =>
  Effect.fail(new ConfigurationError({ service: "HttpShutdown", reason, problems }))

const notListening = refuse("NotConfigured", {
  setting: "server",
  detail: "is not listening, so it is not the server that serves",
  hint: "give HttpShutdown.drain the same http.Server as NodeHttpServer.layer"
})

/** Read as zero, a deadline that is none would cut every request that is under way. */
const checked = (options: DrainOptions): Effect.Effect<Limits, ConfigurationError> => {
  const { deadline = "20 seconds", delay = 0, grace = "5 seconds" } = options
  const limits = { delay: finiteDuration(delay), deadline: finiteDuration(deadline), grace: finiteDuration(grace) }
  const wrong = Object.entries(limits).flatMap(([setting, limit]) => limit === undefined ? [setting] : [])
  return wrong.length === 0
    ? Effect.succeed(limits as Limits)
    : refuse(
      "InvalidSettings",
      ...wrong.map((setting) => ({
        setting,
        detail: "must be a duration that ends, of 0 or more, such as \"20 seconds\"",
        hint: "a number means milliseconds"
      }))
    )
}
