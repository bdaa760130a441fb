/** Reports and status of one process, from the parts that it looks at. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Queue } from "../../aws/Queue.ts"
import type { Storage } from "../../aws/Storage.ts"
import type { Watched } from "../../db/internal/alive.ts"
import type { Outbox } from "../../Outbox.ts"
import * as EventLoop from "./eventLoop.ts"
import type { Check, Component, Report, Status, Verdict } from "./model.ts"
import * as Parts from "./parts.ts"
import type { Finding, Limits, Part } from "./probe.ts"
import * as Probe from "./probe.ts"
import type { RecentErrors } from "./recentErrors.ts"

type Named<A> = ReadonlyArray<readonly [name: string, value: A]>

/** What is looked at. */
export interface Watching {
  readonly databases: Named<Watched>
  readonly queues: Named<Queue.Service>
  readonly storages: Named<Storage.Service>
  readonly outboxes: Named<Outbox.Service>
  readonly others: Named<Effect.Effect<unknown, unknown>>
}

export interface HealthService {
  /** Whether the process itself works: the lag of its event loop, and nothing outside of it. It never fails. */
  readonly live: Effect.Effect<Report>
  /**
   * Whether this process should be sent work. It fails while it is draining and when a pool is closed, and for the parts
   * named in `ready`.
   */
  readonly ready: Effect.Effect<Report>
  /** All parts, for people and alerts. */
  readonly health: Effect.Effect<Report>
  /** From now on the process is not ready. There is no way back. */
  readonly drain: Effect.Effect<void>
  /** All that a page for people shows. */
  readonly snapshot: Effect.Effect<Status>
}

export const make = (
  all: Watching,
  ready: Watching,
  limits: Limits,
  recentErrors: RecentErrors
): Effect.Effect<HealthService, never, Scope.Scope> =>
  Effect.gen(function*() {
    const loop = yield* Effect.acquireRelease(
      Effect.sync(EventLoop.watch),
      (loop) => Effect.sync(loop.stop)
    )
    let draining = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        draining = true
      })
    )

    const outboxes = all.outboxes.map(([name, service]) => Parts.outbox(name, service))
    const parts: ReadonlyArray<Part> = [
      ...all.databases.map(([name, watched]) => Parts.database(name, watched)),
      ...all.queues.map(([name, service]) => Parts.queue(name, service)),
      ...all.storages.map(([name, service]) => Parts.storage(name, service)),
      ...outboxes,
      ...all.others.map(([name, effect]) => Parts.other(name, effect))
    ]
    const probes = new Map<string, Probe.Probe>()
    for (const part of parts) probes.set(keyOf(part.component, part.name), yield* Probe.make(part, limits))

    const eventLoop = Probe.known("eventLoop", "process", () => Parts.eventLoop(loop))
    const accepting = Probe.known("accepting", "process", (): Finding =>
      draining ? { status: "fail", detail: "the process is shutting down" } : { status: "pass" })
    const pools = all.databases.map(([name, watched]) =>
      Probe.known(`${name} pool`, "database", () =>
        Parts.opened(watched))
    )
    const consumers = Effect.map(
      Effect.forEach(all.queues, ([, { consumers }]) =>
        consumers),
      (statuses) => statuses.flat().map((status) => Probe.known(status.name, "consumer", () => Parts.consumer(status)))
    )
    const needed = ([
      ["database", ready.databases],
      ["queue", ready.queues],
      ["storage", ready.storages],
      ["outbox", ready.outboxes],
      ["other", ready.others]
    ] as const).flatMap(([component, named]) => named.map(([name]) => probes.get(keyOf(component, name))!))

    const live = report([eventLoop])
    const readiness = report([accepting, ...pools, ...needed])
    const health = Effect.flatMap(consumers, (consumers) =>
      report([
        eventLoop,
        accepting,
        ...probes.values(),
        ...consumers
      ]))

    const snapshot: Effect.Effect<Status> = Effect.gen(function*() {
      const healthReport = yield* health
      const readyReport = yield* readiness
      const { heapUsed, rss } = process.memoryUsage()
      const latest = outboxes[0]?.latest()
      return {
        time: yield* DateTime.now,
        process: {
          pid: process.pid,
          nodeVersion: process.versions.node,
          uptimeSeconds: Math.round(process.uptime()),
          rssBytes: rss,
          heapUsedBytes: heapUsed,
          eventLoopLagMillis: Math.round(loop.lag()),
          draining
        },
        databases: all.databases.map(([name, watched]) => ({ name, pool: watched.stats() ?? null })),
        queues: yield* Effect.forEach(all.queues, ([name, service]) =>
          Effect.map(service.consumers, (consumers) => ({ name, consumers: consumers.map(Parts.consumerStatus) }))),
        outbox: latest === undefined ? null : Parts.outboxStatus(latest),
        health: healthReport,
        ready: readyReport,
        recentErrors: recentErrors.list()
      }
    })

    return {
      live,
      ready: readiness,
      health,
      drain: Effect.sync(() => {
        draining = true
      }),
      snapshot
    }
  })

/** A part of one kind may have the name of a part of another kind. */
const keyOf = (component: Component, name: string): string => `${component} ${name}`

/** All are begun before the first is waited for, without a fiber for each: many may ask. */
const report = (probes: ReadonlyArray<Probe.Probe>): Effect.Effect<Report> =>
  Effect.all(probes).pipe(
    Effect.flatMap((begun) => Effect.all(begun)),
    Effect.map((checks) => ({ status: worst(checks), checks }))
  )

const worst = (checks: ReadonlyArray<Check>): Verdict => {
  const found = new Set(checks.map(({ status }) => status))
  return found.has("fail") ? "fail" : found.has("warn") ? "warn" : "pass"
}

/** What both name, once. */
export const union = (one: Watching, other: Watching): Watching => {
  const both = <A>(named: Named<A>, more: Named<A>): Named<A> => [...new Map([...named, ...more])]
  return {
    databases: both(one.databases, other.databases),
    queues: both(one.queues, other.queues),
    storages: both(one.storages, other.storages),
    outboxes: both(one.outboxes, other.outboxes),
    others: both(one.others, other.others)
  }
}

export const limitsOf = (timeout: Duration.DurationInput, cacheFor: Duration.DurationInput): Limits => ({
  timeout: Duration.decode(timeout),
  cacheFor: Duration.decode(cacheFor)
})
