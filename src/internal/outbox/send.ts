/** Sends one batch, and settles what became of each message. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { QueueBackend } from "../../aws/internal/queue/backend.ts"
import type { Message } from "../../aws/internal/queue/message.ts"
import { type DatabaseError, ServiceError, type ServiceReason } from "../../Errors.ts"
import type { Database } from "./database.ts"
import { type Entry, textOf, toMessage } from "./entry.ts"
import type { Faults } from "./faults.ts"
import { laneOf } from "./holds.ts"
import type { Lease, Now } from "./lease.ts"
import type { RelayMetrics } from "./metrics.ts"
import type { Blocked, RelayOptions } from "./model.ts"
import type { Removal } from "./removal.ts"

/** What the passes of one relay share. */
export interface Work {
  readonly database: Database
  /** By the names that the rows have. */
  readonly queues: ReadonlyMap<string, Pick<QueueBackend, "kind" | "sendBatch">>
  readonly faults: Faults
  readonly removal: Removal
  readonly metrics: RelayMetrics
  readonly onPoison: NonNullable<RelayOptions["onPoison"]>
  readonly now: () => Now
  /** Queues of other relays that messages were found for. */
  readonly unknown: Set<string>
}

/** What one pass over a shard has learnt. */
export interface Pass {
  readonly lease: Lease
  /** Whether enough is left of the lease, and it is to be kept. */
  readonly maySend: () => boolean
  /** Nothing more is sent to these queues in this pass: earlier messages of it may be unsent. */
  readonly stopped: Set<string>
  /** Messages that are sent or parked, or were not there any more: their lanes go on. */
  readonly settled: Set<string>
}

/** A send that takes longer is given up. Its outcome is unknown, and it is repeated. In milliseconds. */
const SEND_DEADLINE = 60_000

/** Sends a batch of one queue. What fails is held back; a failure of the database ends the pass. */
export const send = (work: Work, pass: Pass, batch: ReadonlyArray<Entry>): Effect.Effect<void, DatabaseError> =>
  Effect.gen(function*() {
    const sendable = yield* messagesOf(work, pass, batch)
    const refused = yield* sendAs(work, pass, sendable)
    if (refused === undefined) return
    // The request as a whole was refused because of one of its messages, or because of the queue: each alone will tell.
    const unclear: Array<readonly [Entry, ServiceError]> = []
    for (const one of sendable) {
      const error = sendable.length === 1 ? refused : yield* sendAs(work, pass, [one])
      if (error !== undefined) {
        if (error.reason === "InvalidRequest") unclear.push([one.entry, error])
        else yield* refuse(work, pass, one.entry, error)
      }
      if (pass.stopped.has(one.entry.queue)) break
    }
    if (unclear.length === 0) return
    if (!sendable.some(({ entry }) => pass.settled.has(entry.messageId))) {
      return yield* queueFailed(work, pass, sendable, refused)
    }
    // The queue accepts others. It may still be its settings that these do not fit, so they are never parked.
    for (const [entry, error] of unclear) yield* block(work, pass, entry, error)
  })

interface Sendable {
  readonly entry: Entry
  readonly message: Message
}

/** With the bodies of large messages, which were not read before. Messages that cannot be made are refused. */
const messagesOf = (
  work: Work,
  pass: Pass,
  batch: ReadonlyArray<Entry>
): Effect.Effect<ReadonlyArray<Sendable>, DatabaseError> =>
  Effect.gen(function*() {
    const bodies = new Map<string, string>()
    const large = batch.filter(({ body }) => body === undefined)
    if (large.length > 0) {
      const rows = yield* work.database.use((sql) =>
        sql<{ message_id: string; body: Uint8Array }>`SELECT message_id, body FROM outbox
          WHERE shard = ${pass.lease.shard} AND id IN ${sql.in(large.map(({ id }) => id))}`.unprepared
      )
      for (const row of rows) bodies.set(row.message_id, textOf(row.body))
    }
    const sendable: Array<Sendable> = []
    for (const entry of batch) {
      const body = entry.body ?? bodies.get(entry.messageId)
      if (body === undefined) {
        // Somebody has deleted it.
        pass.settled.add(entry.messageId)
        continue
      }
      const message = toMessage(entry, body)
      if (Either.isRight(message)) sendable.push({ entry, message: message.right })
      else yield* refuse(work, pass, entry, message.left)
    }
    return sendable
  })

/** Sends messages as one request. Gives the error of a request that was refused as a whole, and settles everything else. */
const sendAs = (
  work: Work,
  pass: Pass,
  sendable: ReadonlyArray<Sendable>
): Effect.Effect<ServiceError | undefined, DatabaseError> => {
  const queue = sendable[0]?.entry.queue
  const target = work.queues.get(queue ?? "")
  if (queue === undefined || target === undefined) return Effect.succeed(undefined)
  // Since the pass has looked, a body was read or another request was made: the process may have been held up meanwhile.
  if (!pass.maySend()) return Effect.succeed(undefined)
  const request = Effect.suspend(() => target.sendBatch(sendable.map(({ message }) => message))).pipe(
    Effect.timeoutFail({ duration: SEND_DEADLINE, onTimeout: () => tooLong })
  )
  // What was sent is noted before an interruption can come between.
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.exit(restore(request)), (exit) => {
      if (Exit.isSuccess(exit)) {
        sendable.forEach(({ entry }, index) => {
          const result = exit.value[index]
          if (result === undefined || Either.isLeft(result)) return
          work.removal.add(pass.lease.shard, entry)
          pass.settled.add(entry.messageId)
          pass.lease.holds.sent(laneOf(entry, isOrdered(work, queue)))
          work.metrics.sent(queue, entry.age)
        })
        return restore(settle(work, pass, sendable, exit.value))
      }
      const failure = Cause.failureOption(exit.cause)
      if (Cause.isInterruptedOnly(exit.cause)) return Effect.failCause(exit.cause as Cause.Cause<never>)
      const error = failure._tag === "Some" ? failure.value : defect(exit.cause)
      return isRefusal(error)
        ? Effect.succeed(error)
        : restore(Effect.as(queueFailed(work, pass, sendable, error), undefined))
    })
  )
}

/** The messages of a reply that were not sent. */
const settle = (
  work: Work,
  pass: Pass,
  sendable: ReadonlyArray<Sendable>,
  results: ReadonlyArray<Either.Either<unknown, ServiceError>>
): Effect.Effect<undefined, DatabaseError> =>
  Effect.gen(function*() {
    let last: ServiceError | undefined
    let wasAccepted = false
    for (const [index, { entry }] of sendable.entries()) {
      const result = results[index]
      if (result !== undefined && Either.isRight(result)) {
        wasAccepted = true
        continue
      }
      const error = result === undefined ? noAnswer : result.left
      if (isRefusal(error)) yield* refuse(work, pass, entry, error)
      else {
        last = error
        yield* hold(work, pass, entry, error)
      }
    }
    const queue = sendable[0]!.entry.queue
    if (wasAccepted) yield* work.faults.remove(queue)
    else if (last !== undefined) yield* queueFailed(work, pass, [], last, queue)
    return undefined
  })

/** The queue as a whole cannot be sent to. It counts against no message. */
const queueFailed = (
  work: Work,
  pass: Pass,
  sendable: ReadonlyArray<Sendable>,
  error: ServiceError,
  queue = sendable[0]?.entry.queue ?? ""
): Effect.Effect<void> =>
  Effect.suspend(() => {
    pass.stopped.add(queue)
    work.metrics.failed(queue, error.reason, sendable.length)
    return work.faults.add(queue, error, work.now().monotonic)
  })

/** Whether the queue keeps the order of groups. Of a standard queue a group is for fairness. */
export const isOrdered = ({ queues }: Work, queue: string): boolean => queues.get(queue)?.kind !== "standard"

/**
 * One message was not sent, and may be the next time; or never, with `blocked`. Tells whether the queue refuses it for the
 * first time.
 */
const hold = (
  work: Work,
  pass: Pass,
  entry: Entry,
  error: ServiceError,
  blocked?: Blocked
): Effect.Effect<boolean> =>
  Effect.map(Random.next, (random) => {
    const ordered = isOrdered(work, entry.queue)
    work.metrics.failed(entry.queue, error.reason, 1)
    return pass.lease.holds.add(laneOf(entry, ordered), entry, ordered, work.now().monotonic, random, blocked)
  })

/** The queue refuses the message as such. */
const refuse = (
  work: Work,
  pass: Pass,
  entry: Entry,
  error: ServiceError
): Effect.Effect<void, DatabaseError> =>
  work.onPoison === "park" ? park(work, pass, entry, error) : block(work, pass, entry, error)

const block = (work: Work, pass: Pass, entry: Entry, error: ServiceError): Effect.Effect<void> => {
  const ordered = isOrdered(work, entry.queue)
  const blocked: Blocked = {
    id: entry.messageId,
    queue: entry.queue,
    messageGroupId: ordered ? entry.group : undefined,
    reason: error.reason
  }
  const text = `Outbox: a queue refuses a message, which stays${ordered ? " and blocks its group" : ""}`
  return Effect.flatMap(
    hold(work, pass, entry, error, blocked),
    (isNew) => isNew ? logRefused(text, entry, error) : Effect.void
  )
}

/** What was parked before, and sent again by hand without being deleted there, is parked again. */
const park = (work: Work, pass: Pass, entry: Entry, error: ServiceError): Effect.Effect<void, DatabaseError> =>
  Effect.gen(function*() {
    const { id, messageId } = entry
    const { shard } = pass.lease
    yield* work.database.withTransaction(work.database.use((sql) =>
      Effect.zipRight(
        sql`INSERT INTO outbox_failed (shard, id, message_id, queue, group_id, dedup_id, delay_seconds, headers, body,
            created_at, failed_at, reason)
          SELECT shard, id, message_id, queue, group_id, dedup_id, delay_seconds, headers, body, created_at,
            UTC_TIMESTAMP(6), ${error.reason}
          FROM outbox WHERE shard = ${shard} AND id = ${id} AND message_id = ${messageId}
          ON DUPLICATE KEY UPDATE failed_at = UTC_TIMESTAMP(6), reason = ${error.reason}`,
        sql`DELETE FROM outbox WHERE shard = ${shard} AND id = ${id} AND message_id = ${messageId}`
      )
    ))
    pass.settled.add(messageId)
    pass.lease.holds.sent(laneOf(entry, isOrdered(work, entry.queue)))
    work.metrics.failed(entry.queue, error.reason, 1)
    work.metrics.parked(entry.queue)
    yield* logRefused("Outbox: a queue refuses a message, which was moved to outbox_failed", entry, error)
  })

const logRefused = (text: string, { messageId, queue }: Entry, error: ServiceError): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(text, error), { queue, outbox_id: messageId })

const refusals: ReadonlySet<ServiceReason> = new Set<ServiceReason>([
  "InvalidInput",
  "InvalidRequest",
  "PayloadTooLarge",
  "UnreadableData"
])

/** Whether the error is about what was sent, and the same again would be refused again. */
const isRefusal = (error: ServiceError): boolean =>
  !error.retryable && error.outcome === undefined && refusals.has(error.reason)

const failed = (reason: ServiceReason, detail: string, cause?: unknown): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation: "Outbox.relay",
    reason,
    retryable: true,
    attempts: 1,
    outcome: "unknown",
    detail,
    ...(cause === undefined ? {} : { cause })
  })

const tooLong = failed("Timeout", `a batch was not sent within ${SEND_DEADLINE / 1000} seconds`)
const noAnswer = failed("MalformedReply", "the reply says nothing of a message")
const defect = (cause: Cause.Cause<unknown>): ServiceError =>
  failed("Unknown", "sending a batch has failed in an unforeseen way", Cause.squash(cause))
