/**
 * One message. On a FIFO queue, a run that ends without its success being seen leaves its message, with the deduplication
 * id, for the next run of the same effect: `enqueue(…)` with a timeout and a retry around it delivers one message.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import type { ServiceError } from "../../../../Errors.ts"
import type { Enqueued } from "../backend.ts"
import type { Message, QueueKind } from "../message.ts"
import type { Parcel, Sender } from "./deduplication.ts"

/** A message that may be in the queue, and until when the queue remembers it. */
interface Kept {
  readonly parcel: Parcel
  readonly until: number
}

/** SQS developer guide, "Exactly-once processing"; in milliseconds. */
const DEDUPLICATION_WINDOW = 5 * 60 * 1000

/** Each effect that this makes remembers its own message. `prepare` makes it. */
export const make = <R>(
  kind: QueueKind,
  sender: Sender,
  prepare: Effect.Effect<Message, ServiceError, R>
): Effect.Effect<Enqueued, ServiceError, R> => {
  if (kind === "standard") return Effect.flatMap(prepare, (message) => sender.send({ message }))
  /** Of runs that are over; those under way at the same time have a message each. */
  const left: Array<Kept> = []

  const take = (now: number): Parcel | undefined => {
    for (let kept = left.pop(); kept !== undefined; kept = left.pop()) {
      if (now < kept.until) return kept.parcel
    }
    return undefined
  }
  const keep = (parcel: Parcel): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => void left.push({ parcel, until: now + DEDUPLICATION_WINDOW }))

  return Effect.checkInterruptible((interruptible) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        let parcel = take(now)
        const sent = parcel === undefined
          ? Effect.flatMap(prepare, (message) => sender.send(parcel = { message }))
          : sender.send(parcel)
        return Effect.onExit(restore(sent), (exit) => {
          if (parcel === undefined) return Effect.void
          if (Exit.isFailure(exit)) return keep(parcel)
          return interruptible ? keepIfUnseen(keep(parcel)) : Effect.void
        })
      })
    )
  )
}

/** An interruption that has arrived, or is about to, hides the success: what waits for this effect has given up. */
const keepIfUnseen = (keep: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.yieldNow(),
    Effect.flatMap(
      FiberRef.get(FiberRef.interruptedCause),
      (cause) => Cause.isEmpty(cause) ? Effect.void : keep
    )
  )
