/** Messages in memory, for the tests of features: the order, the delays and the deduplication of SQS, by the Clock. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { QueueDriver, Sent } from "./sqsBackend.ts"
import type { Message, QueueKind } from "./message.ts"

/** A message as the memory queue keeps it. */
export interface MemoryMessage extends Message, Sent {
  /** The body, read back from JSON. */
  readonly payload: unknown
  /** Milliseconds since 1970. */
  readonly sentAt: number
  readonly visibleAt: number
}

export interface MemoryQueue extends QueueDriver {
  /** Those that a consumer would get by now, in the order in which it would get them. */
  readonly messages: Effect.Effect<ReadonlyArray<MemoryMessage>>
}

/** SQS user guide, "Exactly-once processing". */
const deduplicationWindow = 5 * 60 * 1000

export const make = (kind: QueueKind): MemoryQueue => {
  const messages: Array<MemoryMessage> = []

  const earlier = (deduplicationId: string | undefined, now: number) =>
    deduplicationId === undefined
      ? undefined
      : messages.findLast((message) =>
        message.messageDeduplicationId === deduplicationId && now - message.sentAt < deduplicationWindow
      )

  return {
    kind,

    messages: Effect.map(
      Clock.currentTimeMillis,
      (now) =>
        messages.filter((message) => message.visibleAt <= now).sort((left, right) => left.visibleAt - right.visibleAt)
    ),

    send: (message) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const fifo = kind === "fifo" || message.messageDeduplicationId !== undefined
        // A FIFO queue in memory deduplicates by content where it is given no id.
        const messageDeduplicationId = message.messageDeduplicationId
          ?? (fifo ? createHash("sha256").update(message.body).digest("hex") : undefined)
        const duplicate = earlier(messageDeduplicationId, now)
        if (duplicate !== undefined) return receipt(duplicate)
        const stored: MemoryMessage = {
          ...message,
          messageId: globalThis.crypto.randomUUID(),
          sequenceNumber: fifo ? String(messages.length + 1).padStart(20, "0") : undefined,
          messageDeduplicationId,
          payload: JSON.parse(message.body),
          sentAt: now,
          visibleAt: now + message.delaySeconds * 1000
        }
        messages.push(stored)
        return receipt(stored)
      }),

    check: Effect.void
  }
}

const receipt = ({ messageId, sequenceNumber }: MemoryMessage): Sent => ({
  messageId,
  ...(sequenceNumber === undefined ? {} : { sequenceNumber })
})
