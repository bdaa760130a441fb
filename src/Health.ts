/**
 * Whether a process is alive, whether it should be sent work, and how its parts are: for orchestrators, balancers, alerts
 * and people.
 *
 * ```ts
 * const HealthLive = Health.layerWith({ databases: [MainDb], queues: [Queue], storage: Storage })
 * const Internal = Health.serve.pipe(
 *   Layer.provide(NodeHttpServer.layer(() => createServer(), { port: 9090 })),
 *   Layer.provide(HealthLive)
 * )
 * ```
 */
import type * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { Storage } from "./aws/Storage.ts"
import type { AnyDatabaseTag } from "./db/Database.ts"
import type { Check as HealthCheck, Verdict as HealthVerdict } from "./internal/health/model.ts"
import { Report as HealthReport, Status as HealthStatus } from "./internal/health/model.ts"
import * as Prometheus from "./internal/health/prometheus.ts"
import type { MetricsOptions } from "./internal/health/prometheus.ts"
import * as RecentErrors from "./internal/health/recentErrors.ts"
import * as Routes from "./internal/health/routes.ts"
import type { HealthService, Watching } from "./internal/health/service.ts"
import * as HealthServices from "./internal/health/service.ts"
import type { AnyQueueTag, Outbox } from "./Outbox.ts"

export type { HealthCheck, HealthReport, HealthService, HealthStatus, HealthVerdict, MetricsOptions }

/** Parts of a program, by their tags. */
export interface HealthParts {
  /** A ping on an idle connection, or on a new one. A full pool is `warn`, and the server is not asked then. */
  readonly databases?: ReadonlyArray<AnyDatabaseTag> | undefined
  /** Whether the queue exists and may be used, and what its consumers in this process are doing. */
  readonly queues?: ReadonlyArray<AnyQueueTag> | undefined
  /** Whether the bucket exists and may be listed. */
  readonly storage?: Context.Tag<Storage, Storage.Service> | undefined
  /** How much waits in the outbox, and what its relays in this process are doing. */
  readonly outbox?: Context.Tag<Outbox, Outbox.Service> | undefined
  /**
   * What else the program depends on, by a name. Success is `pass` and any failure `fail`; of the errors of this package
   * the message is shown, of others the tag.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- any requirements, which the layer then has
  readonly others?: Readonly<Record<string, Effect.Effect<unknown, unknown, any>>> | undefined
}

/** What is looked at for `health`, and how. */
export interface HealthOptions extends HealthParts {
  /**
   * What readiness depends on too; `health` has it as well. Where all processes share a part, its outage takes all of them
   * out of the balancer at once, and callers get refusals instead of typed errors. Default: nothing.
   */
  readonly ready?: HealthParts | undefined
  /** How long the look at one part may take; parts are looked at at the same time. Default 1 second. */
  readonly timeout?: Duration.DurationInput | undefined
  /** How long its result is given again. Default 1 second. */
  readonly cacheFor?: Duration.DurationInput | undefined
}

type IdentifierOf<Named> = Named extends ReadonlyArray<infer Tag> ? IdentifierOf<Tag>
  : Named extends Context.Tag<infer Identifier, infer _Service> ? Identifier
  : never

type ContextOf<Others> = Others extends Readonly<Record<string, Effect.Effect<unknown, unknown, infer R>>> ? R : never

type Field<Parts, Key> = Key extends keyof Parts ? NonNullable<Parts[Key]> : never

type PartsContext<Parts> =
  | IdentifierOf<Field<Parts, "databases" | "queues" | "storage" | "outbox">>
  | ContextOf<Field<Parts, "others">>

/** Everything that the named parts are made of. */
export type HealthContext<Options extends HealthOptions> = PartsContext<Options> | PartsContext<Field<Options, "ready">>

export declare namespace Health {
  interface Service extends HealthService {}
  /** `warn`: it works, and somebody should look. Only `fail` is answered with 503. */
  type Verdict = HealthVerdict
  type Check = HealthCheck
  type Report = HealthReport
  type Status = HealthStatus
}

/** The health of one process. */
export class Health extends Context.Tag("@betterai/infrastructure/Health")<Health, Health.Service>() {
  /** The schema of one report. */
  static readonly Report: typeof HealthReport = HealthReport

  /** The schema of {@link snapshot}; its encoded form is the JSON of `/status.json`. */
  static readonly Status: typeof HealthStatus = HealthStatus

  /**
   * Looks at the named parts, and needs their layers. It keeps the last 50 errors of this package that are logged, with
   * at least the level Info, by what is built on this layer.
   */
  static readonly layerWith = <const Options extends HealthOptions>(
    options: Options
  ): Layer.Layer<Health, never, HealthContext<Options>> =>
    Layer.unwrapEffect(Effect.sync(() => {
      const recentErrors = RecentErrors.make()
      return Layer.merge(
        Layer.scoped(
          Health,
          Effect.gen(function*() {
            const ready = yield* watching<HealthContext<Options>>(options.ready ?? {})
            const all = HealthServices.union(yield* watching<HealthContext<Options>>(options), ready)
            return yield* HealthServices.make(
              all,
              ready,
              HealthServices.limitsOf(options.timeout ?? "1 second", options.cacheFor ?? "1 second"),
              recentErrors
            )
          })
        ),
        Logger.add(recentErrors.logger)
      )
    }))

  /** Looks at nothing but the process itself. */
  static readonly layer: Layer.Layer<Health> = Health.layerWith({})

  /**
   * Whether the process itself works: the lag of its event loop, and nothing outside of it, for an outage of something
   * that all share must not restart all of them. It is `pass` or `warn`: a process that hangs answers nothing, and is known
   * by that.
   */
  static readonly live: Effect.Effect<Health.Report, never, Health> = Effect.flatMap(Health, ({ live }) => live)

  /**
   * Whether this process should be sent work: the layer is built, no shutdown has begun, the pools are open, and what
   * `ready` names answers.
   */
  static readonly ready: Effect.Effect<Health.Report, never, Health> = Effect.flatMap(Health, ({ ready }) => ready)

  /** All parts, for people and alerts. */
  static readonly health: Effect.Effect<Health.Report, never, Health> = Effect.flatMap(Health, ({ health }) => health)

  /** From now on the process is not ready. There is no way back. `HttpShutdown` does it first of all. */
  static readonly drain: Effect.Effect<void, never, Health> = Effect.flatMap(Health, ({ drain }) => drain)

  /** All that a page for people shows: the process, pools, consumers, outbox, reports and recent errors. */
  static readonly snapshot: Effect.Effect<Health.Status, never, Health> = Effect.flatMap(
    Health,
    ({ snapshot }) => snapshot
  )

  /**
   * All metrics of Effect in the text format of Prometheus 0.0.4. On Effect 4 the same is
   * `PrometheusMetrics.format({ metricNameMapper: Health.metricName })`.
   */
  static readonly metrics: Effect.Effect<string> = Effect.sync(() => Prometheus.format())

  /** The same with options. */
  static readonly metricsWith = (options: MetricsOptions): Effect.Effect<string> =>
    Effect.sync(() => Prometheus.format(options))

  /**
   * The name for Prometheus of a metric: ours, and those of Effect's fibers, get unit and `_total`; others stay as they
   * are. Characters that Prometheus does not know are replaced later.
   */
  static readonly metricName: (name: string) => string = Prometheus.metricName

  /**
   * `GET` and `HEAD` of `/livez`, `/readyz`, `/healthz` (reports), `/metrics`, `/status.json` and `/status`, a page that
   * shows that JSON to people, live. The status of reports is 503 for `fail`, all else is 200; nothing is to be cached. No
   * secret is in it, but addresses of servers are: keep it on an internal port.
   */
  static readonly router: HttpRouter.HttpRouter<never, Health> = Routes.router(Health)

  /** The same routes for the router of HttpLayerRouter. */
  static readonly routes: Layer.Layer<never, never, Health | HttpLayerRouter.HttpRouter> = Layer.unwrapEffect(
    Effect.map(
      // Loaded for those who have it loaded anyway.
      Effect.promise(() => import("@effect/platform/HttpLayerRouter")),
      ({ route, use }) =>
        use((router) =>
          Effect.flatMap(
            Health,
            (service) => router.addAll(Routes.routes.map(([path, handler]) => route("GET", path, handler(service))))
          )
        )
    )
  )

  /** The same routes on a server of their own. */
  static readonly serve: Layer.Layer<never, never, Health | HttpServer.HttpServer> = HttpServer.serve(Health.router)
}

const watching = <R>({ databases, others = {}, outbox, queues = [], storage }: HealthParts): Effect.Effect<
  Watching,
  never,
  R
> =>
  Effect.gen(function*() {
    // oxlint-disable-next-line typescript/no-explicit-any -- the tags are known at run time only
    const context = yield* Effect.context<any>()
    // A program without databases loads nothing of them.
    const alive = databases === undefined ? undefined : yield* Effect.promise(() => import("./db/internal/alive.ts"))
    return {
      databases: alive === undefined || databases === undefined ? [] : databases.map((tag) => [
        tag.databaseName,
        alive.watch(tag.databaseName, Context.get(context, tag))
      ]),
      queues: queues.map((tag) => [nameOf(tag), Context.get(context, tag)]),
      storages: storage === undefined ? [] : [[nameOf(storage), Context.get(context, storage)]],
      outboxes: outbox === undefined ? [] : [[nameOf(outbox), Context.get(context, outbox)]],
      others: Object.entries(others).map(([name, effect]) => [name, Effect.provide(effect, context)])
    }
  })

/** The key of a tag, of ours without the package: `Queue`. */
const nameOf = ({ key }: { readonly key: string }): string => key.replace(/^@betterai\/infrastructure\//, "")
