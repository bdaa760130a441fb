/** Messages in memory, for the tests of features: what SQS does with them, by the Clock. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import type { ServiceError } from "../../../Errors.ts"
import type { Enqueued, QueueBackend, RawMessage, ReceiveRequest } from "./backend.ts"
import { MAX_SIZE } from "./limits.ts"
import { MemoryQueue, refusal, type Stored } from "./memory/memoryQueue.ts"
import { Moves } from "./memory/moves.ts"
import type { QueueKind } from "./message.ts"
import type { MessageAttribute } from "./messageAttributes.ts"
import type { QueueAttributes } from "./model.ts"

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
  /** How often it was received. */
  readonly receiveCount: number
}

export interface MemoryBackend extends QueueBackend {
  /** The messages that a consumer would receive now, in the order of delivery. */
  readonly messages: Effect.Effect<ReadonlyArray<MemoryMessage>>
  /** The oldest first. */
  readonly deadLetters: Effect.Effect<ReadonlyArray<MemoryMessage>>
}

const name = "memory"
const arn = `arn:aws:sqs:memory:000000000000:${name}`
const deadLetterArn = `${arn}-dead-letters`

/** @param maxReceiveCount how often a message is received before it is a dead letter; without it none ever is */
export const make = (kind: QueueKind, maxReceiveCount?: number): MemoryBackend => {
  const queue = new MemoryQueue(kind, maxReceiveCount)
  const moves = new Moves(queue)

  /** Done when something has changed that a poll may be waiting for. */
  let changed: Deferred.Deferred<void> | undefined
  const tell = (): void => {
    if (changed === undefined) return
    Deferred.unsafeDone(changed, Effect.void)
    changed = undefined
  }

  /** Looks at the queue, or changes it and tells those that wait. */
  const look = <A>(at: (now: number) => A): Effect.Effect<A> => Effect.map(Clock.currentTimeMillis, at)
  const change = <A>(at: (now: number) => A): Effect.Effect<A> =>
    look((now) => {
      const result = at(now)
      tell()
      return result
    })

  const somethingNew = (now: number, deadline: number): Effect.Effect<void> => {
    changed ??= Deferred.unsafeMake<void>(FiberId.none)
    const until = Math.min(queue.timers.next, deadline)
    // Interruptible, for the timeout, also where the poll is not.
    return Effect.asVoid(Effect.timeoutOption(Effect.interruptible(Deferred.await(changed)), Math.ceil(until - now)))
  }

  const receive = ({ max, visibilitySeconds, waitSeconds }: ReceiveRequest) => {
    const poll = (deadline: number): Effect.Effect<ReadonlyArray<RawMessage>> =>
      // An interruption ends the wait; what was taken is returned to a fiber that is not interruptible.
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const received = queue.receive(max, visibilitySeconds * 1000, now)
          return received.length > 0 || now >= deadline
            ? Effect.succeed(received)
            : Effect.zipRight(restore(somethingNew(now, deadline)), poll(deadline))
        })
      )
    return Effect.flatMap(Clock.currentTimeMillis, (now) => poll(now + waitSeconds * 1000))
  }

  return {
    kind,
    name,
    inMemory: true,
    messages: look((now) => queue.deliverable(now).map(memoryMessage)),
    deadLetters: look((now) => queue.deadLetters(now).map(memoryMessage)),
    send: (message) => change((now) => queue.send(message, now)),
    sendBatch: (messages) => change((now) => messages.map((message) => Either.right(queue.send(message, now)))),
    receive,
    delete: (receipts) => change((now) => receipts.map((receipt) => queue.delete(receipt, now))),
    setVisibility: (changes) =>
      change((now) => changes.map(({ receipt, seconds }) => queue.setVisibility(receipt, seconds * 1000, now))),

    attributes: look((now): QueueAttributes => ({
      name,
      arn,
      fifo: kind === "fifo",
      ...queue.counts(now),
      visibilityTimeout: Duration.seconds(30),
      retention: Duration.days(4),
      delay: Duration.zero,
      maxMessageSize: MAX_SIZE,
      contentBasedDeduplication: kind === "fifo" ? true : undefined,
      redrivePolicy: maxReceiveCount === undefined ? undefined : { deadLetterQueueArn: deadLetterArn, maxReceiveCount }
    })),

    purge: change((now) => queue.purge(now)),

    startMove: ({ from, maxPerSecond, to }) =>
      Effect.flatten(
        change((now): Either.Either<string, ServiceError> =>
          maxReceiveCount === undefined || from !== deadLetterArn || to !== arn
            ? Either.left(refusal("StartMessageMoveTask", "ResourceNotFoundException", "there is no such queue"))
            : moves.start(maxPerSecond, now)
        )
      ),
    moves: (from) => look((now) => from === deadLetterArn ? moves.list(now) : []),
    cancelMove: (handle) =>
      Effect.flatMap(
        change((now) => moves.cancel(handle, now)),
        (error) => error === undefined ? Effect.void : Effect.fail(error)
      ),

    check: Effect.void
  }
}

const memoryMessage = (stored: Stored): MemoryMessage => ({
  ...stored.message,
  messageId: stored.messageId,
  sequenceNumber: stored.sequenceNumber,
  messageDeduplicationId: stored.messageDeduplicationId,
  delaySeconds: stored.message.delaySeconds ?? 0,
  payload: JSON.parse(stored.message.body),
  sentAt: stored.sentAt,
  visibleAt: stored.visibleAt,
  receiveCount: stored.receiveCount
})
