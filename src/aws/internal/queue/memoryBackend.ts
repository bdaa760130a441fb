/** Messages in memory, for the tests of features: the order, the delays and the deduplication of SQS, by the Clock. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { Enqueued, QueueBackend } from "./backend.ts"
import type { QueueKind } from "./message.ts"
import type { MessageAttribute } from "./messageAttributes.ts"

/** A message as the queue in memory keeps it. */
export interface MemoryMessage extends Enqueued {
  /** The JSON that was sent. */
  readonly body: string
  /** The body, parsed. */
  readonly payload: unknown
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  readonly delaySeconds: number
  readonly attributes: Readonly<Record<string, MessageAttribute>>
  /** Milliseconds since 1970. */
  readonly sentAt: number
  /** Milliseconds since 1970. */
  readonly visibleAt: number
}

export interface MemoryBackend extends QueueBackend {
  /** The messages that a consumer would have received by now, in the order of delivery. */
  readonly messages: Effect.Effect<ReadonlyArray<MemoryMessage>>
}

/** SQS developer guide, "Exactly-once processing"; in milliseconds. */
const deduplicationWindow = 5 * 60 * 1000

export const make = (kind: QueueKind): MemoryBackend => {
  const messages: Array<MemoryMessage> = []

  const earlier = (deduplicationId: string | undefined, now: number): MemoryMessage | undefined =>
    deduplicationId === undefined
      ? undefined
      : messages.findLast((message) =>
        message.messageDeduplicationId === deduplicationId && now - message.sentAt < deduplicationWindow
      )

  return {
    kind,
    name: "memory",
    sendBatch: () => Effect.dieMessage("later"),
    receive: () => Effect.dieMessage("later"),
    delete: () => Effect.dieMessage("later"),
    setVisibility: () => Effect.dieMessage("later"),
    attributes: Effect.dieMessage("later"),
    purge: Effect.dieMessage("later"),
    startMove: () => Effect.dieMessage("later"),
    moves: () => Effect.dieMessage("later"),
    cancelMove: () => Effect.dieMessage("later"),

    messages: Effect.map(
      Clock.currentTimeMillis,
      (now) =>
        messages.filter((message) => message.visibleAt <= now).sort((left, right) => left.visibleAt - right.visibleAt)
    ),

    send: (message) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const fifo = kind === "fifo" || message.messageDeduplicationId !== undefined
        // A FIFO queue in memory deduplicates by content if the message has no id.
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

const receipt = ({ messageId, sequenceNumber }: MemoryMessage): Enqueued => ({
  messageId,
  ...(sequenceNumber === undefined ? {} : { sequenceNumber })
})
