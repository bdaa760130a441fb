/** What callers of Queue see: messages that were received, and the options of those who receive them. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type { ServiceError } from "../../../Errors.ts"
import type { EnqueueOptions } from "./message.ts"
import type { AttributeValue } from "./messageAttributes.ts"

/** A message to send, with its options. */
export interface Outgoing<A> extends EnqueueOptions {
  readonly payload: A
}

export interface EnqueueAllOptions {
  /** The most batches that are sent at a time. Default 8. */
  readonly concurrency?: number | undefined
}

/** How payloads that are too large for SQS are stored, in the format of AWS's extended client libraries. */
export interface LargePayloadOptions {
  /** Messages of more bytes than these, attributes included, are stored. 0 - 1 MiB; default 1 MiB, what SQS accepts. */
  readonly above?: number | undefined
  /** The largest payload, sent or received, in bytes. Default 64 MiB. All of it is in memory. */
  readonly maxBytes?: number | undefined
  /**
   * What the keys of the objects begin with; a message that points elsewhere is refused. Default `sqs/{name of the
   * queue}/`.
   */
  readonly prefix?: string | undefined
  /**
   * Whether an object is deleted once its message is acknowledged. Default: false; then a lifecycle rule of the bucket
   * removes it. SQS acknowledges a message whose visibility has ended, too; it comes again, and without its object
   * it is poison.
   */
  readonly deleteAfterAck?: boolean | undefined
}

/** A message that was received. */
export interface Received<A> {
  readonly payload: A
  /** By SQS. A message that was sent twice, because the reply to the first send was lost, has two of them. */
  readonly messageId: string
  /** How often it was received, this time included; SQS counts approximately. */
  readonly receiveCount: number
  readonly sentAt: Date
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  /** FIFO queues only. */
  readonly sequenceNumber: string | undefined
  /** Numbers beyond what JavaScript holds exactly come as text, and so do types that are none of String, Number and Binary. */
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** The X-Ray header that it was sent with. */
  readonly traceHeader: string | undefined
}

/** A message of a stream, to be settled by hand, once. */
export interface Delivery<A> extends Received<A> {
  /** Deletes the message. SQS says yes to a receipt whose visibility has ended, too; then the message comes again. */
  readonly ack: Effect.Effect<void, ServiceError>
  /** Lets others receive it, at once or after a delay of 0 s - 12 h. */
  readonly release: (delay?: Duration.DurationInput) => Effect.Effect<void, ServiceError>
  /** Keeps it invisible for so long from now, 1 s - 12 h. */
  readonly extend: (visibility: Duration.DurationInput) => Effect.Effect<void, ServiceError>
}

/**
 * A message that no attempt will bring further: its body is not JSON or does not fit the schema, or its handler failed
 * for good.
 */
export interface Poison<E> {
  readonly reason: "Undecodable" | "Failed"
  /** What is wrong with the body; it quotes nothing of it. */
  readonly detail: string
  /** The failure of the handler. */
  readonly error: Option.Option<E>
  readonly body: string
  readonly messageId: string
  readonly receiveCount: number
  readonly sentAt: Date
  readonly messageGroupId: string | undefined
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

/** What to do with a poisonous message: delete it, or leave it to the redrive policy of the queue. */
export type PoisonVerdict = "delete" | "leave"

/**
 * Makes a message take effect once: `once` runs the effect unless it has taken effect for that id before. See
 * `Inbox.dedupe`.
 */
export interface Dedupe<E, R> {
  readonly once: <A, E1, R1>(
    id: string,
    effect: Effect.Effect<A, E1, R1>
  ) => Effect.Effect<Option.Option<A>, E1 | E, R1 | R>
  /** The id of a message. Default: its attribute `outbox-id`, which Outbox sets, or else its `messageId`. */
  readonly id?: ((message: Received<unknown>) => string) | undefined
}

/** How messages are received, for `stream` and what is built like it. */
export interface ReceiveOptions {
  /**
   * How long a message that was received stays invisible to others unless it is extended, 1 s - 12 h, in whole seconds.
   * Default 30 s.
   */
  readonly visibility?: Duration.DurationInput | undefined
  /** How long a poll waits for a message, 0 - 20 s, in whole seconds. Default 20 s. A shutdown waits for the last poll. */
  readonly waitTime?: Duration.DurationInput | undefined
}

/** Common to `consume` and `consumeBatch`. */
export interface ConsumerOptions<E, R> extends ReceiveOptions {
  /** Names the consumer in logs, metrics and status. Default: the name of the queue. */
  readonly name?: string | undefined
  /**
   * How long a handler may run. Then it is interrupted, which counts as a failure. Default 1 hour, at most 12 hours: SQS
   * keeps a message invisible no longer, whatever is asked.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * When a message whose handler failed becomes visible again: after its n-th receive it waits as long as the n-th step of
   * the schedule, whose input is n. Where the schedule has ended, the visibility is left to run out. Default: exponential
   * from 1 second, with jitter, up to 15 minutes.
   */
  readonly retry?: Schedule.Schedule<unknown, number> | undefined
  /** Failures of the handler that no attempt will cure. Default: none. */
  readonly isPoison?: ((error: E) => boolean) | undefined
  /**
   * What becomes of a message that does not decode, or whose handler failed for good. Default: it is logged and left to
   * the redrive policy of the queue, coming back as `retry` says. If this fails, it is left too. It runs at every receive
   * until the message is gone, and outside of the transaction of `dedupe`.
   */
  readonly onPoison?: ((poison: Poison<E>) => Effect.Effect<PoisonVerdict, unknown, R>) | undefined
  /**
   * How long an interrupted consumer takes until it has ended. The poll under way ends by itself and gives its messages
   * back; handlers that are not done shortly before the end are interrupted, and their messages become visible again.
   * Default 30 s; 0 in memory, where nothing moves a TestClock while a test ends.
   */
  readonly drainTimeout?: Duration.DurationInput | undefined
}

export interface ConsumeOptions<E, R> extends ConsumerOptions<E, R> {
  /** The most handlers at a time. Default 10. */
  readonly concurrency?: number | undefined
  /** Makes each message take effect once: `Inbox.dedupe(MainDb, { consumer })`. */
  readonly dedupe?: Dedupe<unknown, R> | undefined
}

export interface ConsumeBatchOptions<E, R> extends ConsumerOptions<E, R> {
  /** The most messages in a batch, 1 - 1,000. Default 10. */
  readonly batchSize?: number | undefined
  /** How long a batch that is not full waits for more. Default 100 ms. */
  readonly batchWithin?: Duration.DurationInput | undefined
  /** The most batches at a time. Default 1. */
  readonly concurrency?: number | undefined
}

/** What became of a batch: nothing means that all is done. Those that are not named are done. */
export type BatchResult = void | {
  /** The `messageId`s of those that failed. */
  readonly failed: ReadonlyArray<string>
}

export type Batch<A> = NonEmptyReadonlyArray<Received<A>>

/** What a consumer of this process is doing, for health checks. */
export interface ConsumerStatus {
  readonly name: string
  readonly queue: string
  /** Starting: no poll has ended well yet. */
  readonly state: "starting" | "running" | "draining"
  /** Messages that were received and are not settled. */
  readonly inFlight: number
  /** Polls under way. */
  readonly polls: number
  /** When the last poll ended well. */
  readonly lastPollAt: Date | undefined
  /** Of a poll, else of an acknowledgement, else of a heartbeat or a release; none after one of its kind that ended well. */
  readonly lastError: ServiceError | undefined
  /** Messages since it began whose handler succeeded, or that `onPoison` has deleted. */
  readonly succeeded: number
  /** Attempts since it began that failed: a message that comes again counts again. */
  readonly failed: number
}

/** A queue as SQS describes it. The numbers of messages are approximate. */
export interface QueueAttributes {
  readonly name: string
  readonly arn: string
  readonly fifo: boolean
  /** Messages that can be received. */
  readonly visible: number
  /** Messages that were received and not deleted. */
  readonly inFlight: number
  /** Messages that wait for their delay. */
  readonly delayed: number
  readonly visibilityTimeout: Duration.Duration
  readonly retention: Duration.Duration
  readonly delay: Duration.Duration
  /** In bytes. */
  readonly maxMessageSize: number
  /** FIFO queues only. */
  readonly contentBasedDeduplication: boolean | undefined
  readonly redrivePolicy: RedrivePolicy | undefined
}

export interface RedrivePolicy {
  readonly deadLetterQueueArn: string
  /** How often a message is received before it is moved there. */
  readonly maxReceiveCount: number
}

export interface RedriveOptions {
  /** The most messages per second, 1 - 500. Default: as SQS sees fit. */
  readonly maxPerSecond?: number | undefined
  /** How often to ask for the progress, 100 ms or more. Default 1 second. */
  readonly interval?: Duration.DurationInput | undefined
}

export interface RedriveProgress {
  readonly status: "running" | "completed"
  readonly moved: number
  /** How many there were when it began, approximately. */
  readonly toMove: number | undefined
}
