import * as Effect from "effect/Effect"

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * A callback's answer as an Effect, to be run where interruption is off; only the wait is interruptible. What `register`
 * has acquired is either answered with or, by `cancel`, given up: no interruption falls between. It does what the
 * canceller of `Effect.async` does with half of its steps, which is felt when every statement takes them.
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
