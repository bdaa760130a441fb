/** The fibers of a consumer. They are its own: the fiber that runs it may be interrupted while they go on to drain. */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { ServiceError } from "../../../../Errors.ts"

export class Fibers<R> {
  readonly #runtime: Runtime.Runtime<R>
  readonly #clock: Clock.Clock
  readonly #running = new Set<Fiber.RuntimeFiber<unknown, unknown>>()

  private constructor(runtime: Runtime.Runtime<R>, clock: Clock.Clock) {
    // The region that drains is not interruptible, but handlers have a deadline.
    this.#runtime = Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption)
    this.#clock = clock
  }

  static readonly make = <R = never>(): Effect.Effect<Fibers<R>, never, R> =>
    Effect.clockWith((clock) => Effect.map(Effect.runtime<R>(), (runtime) => new Fibers<R>(runtime, clock)))

  /** Milliseconds by the Clock, of a source that never goes back. */
  now(): number {
    return Number(this.#clock.unsafeCurrentTimeNanos() / 1000n) / 1000
  }

  /** Milliseconds since 1970. */
  date(): Date {
    return new Date(this.#clock.unsafeCurrentTimeMillis())
  }

  /** In [0, 1). */
  random(): number {
    return Runtime.runSync(this.#runtime, Random.next)
  }

  /** `onEnd` is called once, later, whatever becomes of the fiber. */
  start<A, E>(
    effect: Effect.Effect<A, E, R>,
    onEnd: (exit: Exit.Exit<A, E>) => void
  ): Fiber.RuntimeFiber<A, E> {
    const fiber = Runtime.runFork(this.#runtime, effect, { immediate: false })
    this.#running.add(fiber)
    fiber.addObserver((exit) => {
      this.#running.delete(fiber)
      onEnd(exit)
    })
    return fiber
  }

  /**
   * Calls it after so many milliseconds. Returns how to stop that. Rounded up: one that came a fraction too early would be
   * set again, and on a TestClock, where no time passes between, for ever.
   */
  after(millis: number, call: () => void): () => void {
    let stopped = false
    const fiber = this.start(Effect.sleep(Math.ceil(millis)), () => {
      if (!stopped) call()
    })
    return () => {
      if (stopped) return
      stopped = true
      fiber.unsafeInterruptAsFork(fiber.id())
    }
  }

  /** A log, which is written although all else is interrupted. */
  log(line: Effect.Effect<void>): void {
    Runtime.runFork(this.#runtime, line)
  }

  interruptAll(): void {
    for (const fiber of [...this.#running]) fiber.unsafeInterruptAsFork(fiber.id())
  }
}

/** Calls with the error of a request. A defect is one, too, which no repetition cures: it must not stay unseen. */
export const reportFailure = (
  { cause }: Exit.Failure<unknown, ServiceError>,
  report: (error: ServiceError) => void
): void => {
  const failure = Cause.failureOption(cause)
  if (Option.isSome(failure)) return report(failure.value)
  if (Cause.isInterruptedOnly(cause)) return
  report(
    new ServiceError({
      service: "SQS",
      operation: "consume",
      reason: "Unknown",
      retryable: false,
      attempts: 0,
      detail: "a request has met a defect",
      cause: Cause.squash(cause)
    })
  )
}
