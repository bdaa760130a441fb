/**
 * Effects that run a few at a time: first come, first served. A Semaphore of Effect wakes all that wait each time one of
 * them ends, which thousands of uploads at once would feel.
 */
import * as Effect from "effect/Effect"
import { Permits } from "../../client/permits.ts"

/** Runs the effect when it is its turn. */
export type InTurn = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const make = (most: number): InTurn => {
  const permits = new Permits(most)
  return (effect) =>
    Effect.suspend(() => {
      let leave: (() => boolean) | undefined
      const take = Effect.async<void>((resume) => {
        leave = permits.take(1, () => resume(Effect.void))
      })
      // One place gives it back, so that no interruption falls between taking it and having it.
      return Effect.ensuring(
        Effect.zipRight(take, effect),
        Effect.sync(() => {
          if (leave?.() === false) permits.give(1)
        })
      )
    })
}
