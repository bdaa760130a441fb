/** What Queue needs of a backend: SQS or memory. */
import type * as Effect from "effect/Effect"
import type { ServiceError } from "../../../Errors.ts"
import type { Message, QueueKind } from "./message.ts"

export interface QueueBackend {
  readonly kind: QueueKind
  readonly send: (message: Message) => Effect.Effect<Enqueued, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

/** The receipt of a message. A duplicate gets the receipt of the message that first had its deduplication id. */
export interface Enqueued {
  readonly messageId: string
  /** FIFO queues only. */
  readonly sequenceNumber?: string | undefined
}
