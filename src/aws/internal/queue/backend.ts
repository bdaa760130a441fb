/** What Queue needs of a backend: SQS or memory. */
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { ServiceError } from "../../../Errors.ts"
import type { Message, QueueKind } from "./message.ts"
import type { MessageAttributes } from "./messageAttributes.ts"
import type { QueueAttributes } from "./model.ts"

export interface QueueBackend {
  readonly kind: QueueKind
  /** The name of the queue, for logs, spans and metrics. */
  readonly name: string
  /** Polls can be interrupted, and nobody waits for a shutdown: nothing advances a TestClock when a test ends. */
  readonly inMemory: boolean
  /** The most bytes of a message, attributes included. Default: 1 MiB, what SQS accepts. */
  readonly maxSize?: number | undefined
  /** Payloads of messages of more bytes are stored elsewhere; such a message takes one more attribute. Default: none are. */
  readonly storesAbove?: number | undefined
  readonly send: (message: Message) => Effect.Effect<Enqueued, ServiceError>
  /**
   * 1-10 messages, of 1 MiB together at most. One result for each, in the order given. It fails if nothing is known of
   * any of them.
   */
  readonly sendBatch: (
    messages: ReadonlyArray<Message>
  ) => Effect.Effect<ReadonlyArray<Either.Either<Enqueued, ServiceError>>, ServiceError>
  /** An interruption ends the poll, and messages that it had taken already stay invisible: let it end by itself. */
  readonly receive: (request: ReceiveRequest) => Effect.Effect<ReadonlyArray<RawMessage>, ServiceError>
  /**
   * Deletes 1-10 messages. The error of each that was not deleted, in the order given. SQS also says yes to an old
   * receipt, and deletes nothing.
   */
  readonly delete: (
    receipts: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<ServiceError | undefined>, ServiceError>
  /** Lets 1-10 messages become visible so many seconds from now. The error of each, in the order given. */
  readonly setVisibility: (
    changes: ReadonlyArray<VisibilityChange>
  ) => Effect.Effect<ReadonlyArray<ServiceError | undefined>, ServiceError>
  readonly attributes: Effect.Effect<QueueAttributes, ServiceError>
  readonly purge: Effect.Effect<void, ServiceError>
  /** Moves the messages of a dead-letter queue back to where they came from. Gives the handle of the task. */
  readonly startMove: (
    request: { readonly from: string; readonly to: string; readonly maxPerSecond: number | undefined }
  ) => Effect.Effect<string, ServiceError>
  /** The latest tasks from that queue, the newest first. */
  readonly moves: (from: string) => Effect.Effect<ReadonlyArray<MoveTask>, ServiceError>
  readonly cancelMove: (handle: string) => Effect.Effect<void, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

/** The receipt of a message. A duplicate gets the receipt of the message that first had its deduplication id. */
export interface Enqueued {
  readonly messageId: string
  /** FIFO queues only. */
  readonly sequenceNumber?: string | undefined
}

export interface ReceiveRequest {
  /** 1-10. */
  readonly max: number
  /** 0-20: how long to wait for a first message. */
  readonly waitSeconds: number
  /** 0-43,200. */
  readonly visibilitySeconds: number
}

export interface VisibilityChange {
  readonly receipt: string
  /** 0-43,200, of which SQS counts 12 hours from the first receive. */
  readonly seconds: number
}

/** A message as it was received. */
export interface RawMessage {
  readonly messageId: string
  /** Of this delivery: the handle to delete the message and to change its visibility. */
  readonly receipt: string
  readonly body: string
  /** Why there is no body: what it points to is not there, or not to be read. Then no attempt will cure it. */
  readonly unreadable?: string | undefined
  readonly attributes: MessageAttributes
  /** Milliseconds of its visibility that have gone before it came here: its payload had to be loaded. */
  readonly loadedIn?: number | undefined
  readonly receiveCount: number
  /** Milliseconds since 1970. */
  readonly sentAt: number
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  readonly sequenceNumber: string | undefined
  /** `AWSTraceHeader`. */
  readonly traceHeader: string | undefined
}

export interface MoveTask {
  /** Only while it is running. */
  readonly handle: string | undefined
  readonly status: string
  readonly moved: number
  /** How many there were when it began, approximately. */
  readonly toMove: number | undefined
  readonly failureReason: string | undefined
  /** Milliseconds since 1970. */
  readonly startedAt: number
}
