/** The bridge from callbacks to Effect. */
import * as Effect from "effect/Effect"
import { async, type Restore } from "./effectPrimitives.ts"

/** Work that answers by a callback, once. */
export interface Work<A, E> {
  readonly start: (resume: (effect: Effect.Effect<A, E>) => void) => void
  /** After this no answer is waited for; what the work has acquired is released. */
  readonly cancel: () => Effect.Effect<void>
}

/**
 * A callback's answer as an Effect. Must run in an uninterruptible region; only the wait is interruptible. What
 * the work acquires is either in the answer or released by `cancel`: no interruption falls between the two.
 *
 * The canceller of `Effect.async` does the same in twice as many steps, a measurable cost because every statement takes
 * them.
 */
export const cancellable = <A, E>(restore: Restore, work: Work<A, E>): Effect.Effect<A, E> =>
  Effect.catchAllCause(
    restore(async<A, E>((resume) => work.start(resume))),
    (cause) => Effect.zipRight(work.cancel(), Effect.failCause(cause))
  )
