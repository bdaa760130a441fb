/** The bridge from callbacks to Effect. */
import * as Effect from "effect/Effect"

/** Makes an effect interruptible again, as `Effect.uninterruptibleMask` hands it out. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * A callback's answer as an Effect. Must run in an uninterruptible region; only the wait is interruptible. What
 * `register` acquires is either in the answer or released by `cancel`: no interruption falls between the two.
 *
 * The canceller of `Effect.async` does the same in twice as many steps, a measurable cost because every statement takes
 * them.
 */
export const cancellable = <A, E>(
  restore: Restore,
  register: (resume: (effect: Effect.Effect<A, E>) => void) => void,
  cancel: () => Effect.Effect<void>
): Effect.Effect<A, E> =>
  Effect.catchAllCause(
    restore(Effect.async<A, E>((resume) => register(resume))),
    (cause) => Effect.zipRight(cancel(), Effect.failCause(cause))
  )
