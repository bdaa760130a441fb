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
  const take = Effect.async<void>((resume) => {
    const leave = permits.take(1, () => resume(Effect.void))
    return Effect.sync(() => {
      if (!leave()) permits.give(1)
    })
  })
  const give = Effect.sync(() => permits.give(1))
  return (effect) =>
    Effect.uninterruptibleMask((restore) => Effect.zipRight(restore(take), Effect.ensuring(restore(effect), give)))
}
