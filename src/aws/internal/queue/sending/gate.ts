/** Waiting until something holds, without polling: whoever changes it says so. */
import * as Effect from "effect/Effect"
import { cancellable } from "../../../../internal/cancellable.ts"
import { uninterruptibleMask } from "../../../../internal/effectPrimitives.ts"

export interface Gate {
  /** Ends when it holds, or when `open` is called. What holds then may not hold any more: look again. */
  readonly wait: Effect.Effect<void>
  /** Lets so many go that wait, the longest waiting first. */
  readonly open: (count: number) => void
  readonly waiting: () => number
}

export const make = (holds: () => boolean): Gate => {
  const waiters = new Set<() => void>()
  return {
    wait: uninterruptibleMask((restore) => {
      let mine: (() => void) | undefined
      return cancellable<void, never>(restore, {
        start: (resume) => {
          if (holds()) return resume(Effect.void)
          const waiter = (): void => {
            waiters.delete(waiter)
            resume(Effect.void)
          }
          mine = waiter
          waiters.add(waiter)
        },
        cancel: () => Effect.sync(() => void (mine !== undefined && waiters.delete(mine)))
      })
    }),
    open: (count) => {
      for (const waiter of [...waiters].slice(0, count)) waiter()
    },
    waiting: () => waiters.size
  }
}
