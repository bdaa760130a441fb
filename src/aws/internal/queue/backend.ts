/** What Queue asks of the place where messages go: SQS, or memory. */
import type * as Effect from "effect/Effect"
import type { ServiceError } from "../../../Errors.ts"
import type { Message, QueueKind } from "./message.ts"

export interface QueueBackend {
  readonly kind: QueueKind
  readonly send: (message: Message) => Effect.Effect<Enqueued, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

/** A message that SQS has accepted, or that it knew already by its deduplication id. */
export interface Enqueued {
  readonly messageId: string
  /** FIFO queues only. */
  readonly sequenceNumber?: string | undefined
}
