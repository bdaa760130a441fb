/** One part that is looked at: with a deadline, one look at a time, and its result kept for a while. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { eventLoopTurn } from "../eventLoopTurn.ts"
import type { Check, Component, Verdict } from "./model.ts"

/** What a look at a part has found. */
export interface Finding {
  readonly status: Verdict
  readonly detail?: string | undefined
  readonly observed?: Check["observed"] | undefined
}

export interface Part {
  readonly name: string
  readonly component: Component
  readonly look: Effect.Effect<Finding>
  /** What to say when the look has not ended in time, if it can be told better than that. */
  readonly late?: (() => Finding | undefined) | undefined
}

export interface Limits {
  readonly timeout: Duration.Duration
  readonly cacheFor: Duration.Duration
}

/** What is known at once. */
export const known = (name: string, component: Component, find: () => Finding): Probe =>
  Effect.map(checkOf(name, component, find), Effect.succeed)

const checkOf = (name: string, component: Component, find: () => Finding): Effect.Effect<Check> =>
  Effect.map(DateTime.now, (time) => {
    const { detail, observed, status } = find()
    return { name, component, status, ...(detail === undefined ? {} : { detail }), observed: observed ?? {}, time }
  })

/** A look is for all who ask: it runs in no transaction, and in no span, of the first of them. */
const ofNobody = <A>(look: Effect.Effect<A>): Effect.Effect<A> => Effect.mapInputContext(look, () => Context.empty())

/** Begins a check where one is needed; its result is waited for by the effect that this gives. */
export type Probe = Effect.Effect<Effect.Effect<Check>>

/**
 * The check of a part. Any number of callers share one look, which goes on when they are interrupted. It answers within
 * the timeout also where the part does not, and is not interrupted either: then the next look waits for the end of this
 * one, and callers meanwhile hear at once that there is no answer.
 */
export const make = (part: Part, limits: Limits): Effect.Effect<Probe, never, Scope.Scope> =>
  Effect.gen(function*() {
    const keep = Duration.toMillis(limits.cacheFor) * 1_000_000
    const patience = Duration.format(limits.timeout)
    // By the monotonic clock: the time of day may be set back.
    let last: { readonly check: Check; readonly at: bigint } | undefined
    let flight: Deferred.Deferred<Check> | undefined
    let looking: Fiber.RuntimeFiber<Finding> | undefined
    let closed = false

    const found = (finding: Finding): Effect.Effect<Check> => checkOf(part.name, part.component, () => finding)
    const afterClose = found({ status: "fail", detail: "the health checks are closed" })

    const look: Effect.Effect<Finding> = Effect.gen(function*() {
      if (looking !== undefined) return { status: "fail" as const, detail: "the look before has had no answer yet" }
      const fiber = yield* Effect.forkDaemon(Effect.interruptible(ofNobody(part.look)))
      looking = fiber
      fiber.addObserver(() => {
        looking = undefined
      })
      const inTime = yield* Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), limits.timeout))
      // After a blocked event loop, timers come before answers that have long arrived.
      const exit = Option.isSome(inTime) ? inTime : yield* Effect.zipRight(eventLoopTurn, fiber.poll)
      if (Option.isNone(exit)) {
        fiber.unsafeInterruptAsFork(FiberId.none)
        return part.late?.() ?? { status: "fail" as const, detail: `no answer within ${patience}` }
      }
      return exit.value._tag === "Success"
        ? exit.value.value
        : { status: "fail" as const, detail: "the check itself failed unexpectedly" }
    })

    const fly = (landed: Deferred.Deferred<Check>): Effect.Effect<void> =>
      Effect.flatMap(Effect.flatMap(look, found), (check) =>
        Effect.flatMap(Clock.currentTimeNanos, (at) => {
          last = { check, at }
          flight = undefined
          return Deferred.succeed(landed, check)
        }))

    yield* Effect.addFinalizer(() =>
      Effect.flatMap(afterClose, (check) => {
        closed = true
        // Nobody waits for its end, which may not come.
        looking?.unsafeInterruptAsFork(FiberId.none)
        return flight === undefined ? Effect.void : Deferred.succeed(flight, check)
      })
    )

    return Effect.flatMap(Clock.currentTimeNanos, (now) => {
      if (closed) return Effect.succeed(afterClose)
      if (last !== undefined && now - last.at < keep) return Effect.succeed(Effect.succeed(last.check))
      if (flight !== undefined) return Effect.succeed(Deferred.await(flight))
      const landed = Deferred.unsafeMake<Check>(FiberId.none)
      flight = landed
      return Effect.as(Effect.forkDaemon(fly(landed)), Deferred.await(landed))
    }).pipe(Effect.uninterruptible)
  })
