/**
 * Deduplication ids for those who give none. Whether a FIFO queue deduplicates by content is a setting of the queue, and
 * reading it takes a right that senders may not have. So the first message goes without an id; a queue that refuses it
 * wants ids, and gets them from then on.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ServiceError } from "../../../../Errors.ts"
import type { Enqueued, QueueBackend } from "../backend.ts"
import type { Message } from "../message.ts"

/** A message on its way. It may get a deduplication id, which it keeps for all attempts. */
export interface Parcel {
  message: Message
}

export interface Sender {
  readonly send: (parcel: Parcel) => Effect.Effect<Enqueued, ServiceError>
  /** See `QueueBackend.sendBatch`. */
  readonly sendBatch: (
    parcels: ReadonlyArray<Parcel>
  ) => Effect.Effect<ReadonlyArray<Either.Either<Enqueued, ServiceError>>, ServiceError>
}

export const make = (backend: QueueBackend): Sender => {
  let wantsIds = false

  const lacksId = ({ message }: Parcel): boolean =>
    backend.kind !== "standard" && message.messageGroupId !== undefined && message.messageDeduplicationId === undefined

  const giveId = (parcel: Parcel): void => {
    if (lacksId(parcel)) {
      parcel.message = { ...parcel.message, messageDeduplicationId: globalThis.crypto.randomUUID() }
    }
  }

  const send: Sender["send"] = (parcel) =>
    Effect.suspend(() => {
      if (wantsIds) giveId(parcel)
      const sent = backend.send(parcel.message)
      if (!lacksId(parcel)) return sent
      return Effect.catchAll(sent, (error) => {
        if (!isRefusal(error)) return Effect.fail(error)
        wantsIds = true
        return send(parcel)
      })
    })

  const sendBatch: Sender["sendBatch"] = (parcels) =>
    Effect.suspend(() => {
      if (wantsIds) parcels.forEach(giveId)
      const sent = backend.sendBatch(parcels.map(({ message }) => message))
      if (!parcels.some(lacksId)) return sent
      return Effect.matchEffect(sent, {
        onFailure: (error) => {
          if (!isRefusal(error)) return Effect.fail(error)
          wantsIds = true
          return sendBatch(parcels)
        },
        onSuccess: (results) => {
          const refused = parcels.filter((parcel, index) => lacksId(parcel) && isRefused(results[index]))
          if (refused.length === 0) return Effect.succeed(results)
          wantsIds = true
          return Effect.map(Effect.either(sendBatch(refused)), (again) => {
            const resultOf = new Map(refused.map((parcel, index) => [
              parcel,
              Either.isLeft(again) ? Either.left(again.left) : again.right[index]
            ]))
            return parcels.map((parcel, index) => (resultOf.get(parcel) ?? results[index]) as typeof results[number])
          })
        }
      })
    })

  return { send, sendBatch }
}

const isRefused = (result: Either.Either<Enqueued, ServiceError> | undefined): boolean =>
  result !== undefined && Either.isLeft(result) && isRefusal(result.left)

/** "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly". */
const isRefusal = ({ cause, outcome, reason }: ServiceError): boolean =>
  reason === "InvalidRequest" && outcome === undefined && cause instanceof Error
  && /ContentBasedDeduplication|MessageDeduplicationId/.test(cause.message)
