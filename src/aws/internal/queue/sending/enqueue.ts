/**
 * One message. On a FIFO queue, a run that ends without its success being seen leaves its message, with the deduplication
 * id, for the next run of the same effect: `enqueue(…)` with a timeout and a retry around it delivers one message.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { ServiceError } from "../../../../Errors.ts"
import type { Enqueued } from "../backend.ts"
import { DEDUPLICATION_WINDOW } from "../limits.ts"
import type { Message, QueueKind } from "../message.ts"
import type { Parcel, Sender } from "./deduplication.ts"

/** A message that may be in the queue. */
interface Kept {
  readonly parcel: Parcel
  /** Until when the queue remembers it. */
  readonly until: number
  /** The fiber that is about to see its success. If it ends before, its message is left. */
  readonly owner: Fiber.RuntimeFiber<unknown, unknown> | undefined
}

/** Each effect that this makes remembers its own message. `prepare` makes it. */
export const make = <R>(
  kind: QueueKind,
  sender: Sender,
  prepare: Effect.Effect<Message, ServiceError, R>
): Effect.Effect<Enqueued, ServiceError, R> => {
  if (kind === "standard") return Effect.flatMap(prepare, (message) => sender.send({ message }))
  /** Of runs that are over; those under way at the same time have a message each. */
  const left = new Set<Kept>()

  const take = (fiber: Fiber.RuntimeFiber<unknown, unknown>, now: number): Parcel | undefined => {
    for (const kept of left) {
      if (kept.owner !== undefined && kept.owner !== fiber && !hasEnded(kept.owner)) continue
      left.delete(kept)
      if (now < kept.until) return kept.parcel
    }
    return undefined
  }

  const keep = (parcel: Parcel, owner: Kept["owner"]): Effect.Effect<Kept> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const kept: Kept = { parcel, until: now + DEDUPLICATION_WINDOW, owner }
      left.add(kept)
      return kept
    })

  return Effect.withFiberRuntime<Enqueued, ServiceError, R>((fiber) =>
    Effect.flatMap(
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          let parcel = take(fiber, now)
          const sent = parcel === undefined
            ? Effect.flatMap(prepare, (message) => sender.send(parcel = { message }))
            : sender.send(parcel)
          return Effect.matchCauseEffect(restore(sent), {
            onFailure: (cause) =>
              parcel === undefined
                ? Effect.failCause(cause)
                : Effect.zipRight(keep(parcel, undefined), Effect.failCause(cause)),
            onSuccess: (enqueued) => Effect.map(keep(parcel as Parcel, fiber), (kept) => ({ enqueued, kept }))
          })
        })
      ),
      // An interruption that is about to arrive hides the success: what waits for this effect has given up.
      ({ enqueued, kept }) =>
        Effect.flatMap(Effect.yieldNow(), () => {
          left.delete(kept)
          return Effect.succeed(enqueued)
        })
    )
  )
}

const hasEnded = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean => {
  let ended = false
  const observer = (): void => void (ended = true)
  fiber.addObserver(observer)
  fiber.removeObserver(observer)
  return ended
}
