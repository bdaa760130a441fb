/** Writes a message into the outbox, in the open transaction. */
import * as Effect from "effect/Effect"
import { invalidInput } from "../../aws/internal/errors/invalidInput.ts"
import { MAX_ATTRIBUTES } from "../../aws/internal/queue/limits.ts"
import type { EnqueueOptions } from "../../aws/internal/queue/message.ts"
import { OUTBOX_ID } from "../../aws/internal/queue/messageAttributes.ts"
import * as Tracing from "../../aws/internal/queue/sending/tracing.ts"
import type { Internals } from "../../aws/internal/queue/service.ts"
import { DatabaseError, type ServiceError } from "../../Errors.ts"
import type { Database } from "./database.ts"
import { toRow } from "./entry.ts"
import type { Pending } from "./model.ts"
import { shardOfGroup, shardOfMessage } from "./shards.ts"

const OPERATION = "Outbox.enqueue"

/** One is ours. */
const maxAttributes = MAX_ATTRIBUTES - 1

export const enqueue = (
  database: Database,
  queue: string,
  { backend, prepare }: Internals,
  payload: unknown,
  options: EnqueueOptions,
  wake: (shard: number) => void
): Effect.Effect<Pending, DatabaseError | ServiceError> =>
  Effect.gen(function*() {
    const id = globalThis.crypto.randomUUID()
    const { attributes = {} } = options
    const names = typeof attributes === "object" && attributes !== null ? Object.keys(attributes) : []
    if (names.includes(OUTBOX_ID)) {
      yield* invalidInput("SQS", OPERATION, {
        field: "attributes",
        detail: `must not have the name "${OUTBOX_ID}", which is ours`
      })
    }
    if (names.length > maxAttributes) {
      yield* invalidInput("SQS", OPERATION, {
        field: "attributes",
        detail:
          `must not be more than ${maxAttributes}: SQS takes ${MAX_ATTRIBUTES}, and the outbox adds "${OUTBOX_ID}"`
      })
    }
    // A queue in memory of either kind is a FIFO queue for a message with a group, unless it is to be delayed.
    const isFifo = backend.kind === "fifo"
      || (backend.kind === "either" && options.messageGroupId !== undefined && options.delay === undefined)
    const checked = yield* prepare(OPERATION, payload, {
      ...options,
      // With an own id the same message can be sent again after a failure whose outcome is not known.
      ...(isFifo ? { messageDeduplicationId: options.messageDeduplicationId ?? id } : {}),
      attributes: typeof attributes === "object" && attributes !== null
        ? { ...attributes, [OUTBOX_ID]: id }
        : attributes
    })
    // The receiver's trace begins where the message was written, not where it is sent.
    const carry = yield* Tracing.carry(backend)
    const message = carry(checked)
    // On a standard queue a group is for fairness among customers, and has no order that one shard would keep.
    const shard = backend.kind !== "standard" && message.messageGroupId !== undefined
      ? shardOfGroup(queue, message.messageGroupId)
      : shardOfMessage(id)
    const isOpen = yield* database.afterCommit(Effect.sync(() => wake(shard)))
    if (!isOpen) return yield* outsideOfTransaction(database.name)
    const { body, dedup_id, delay_seconds, group_id, headers } = toRow(message)
    yield* database.use((sql) =>
      sql`INSERT INTO outbox
        (shard, message_id, queue, group_id, dedup_id, delay_seconds, headers, body, created_at)
        VALUES (${shard}, ${id}, ${queue}, ${group_id}, ${dedup_id}, ${delay_seconds}, ${headers}, ${body},
          UTC_TIMESTAMP(6))`
    )
    return { id }
  })

const outsideOfTransaction = (name: string): DatabaseError =>
  new DatabaseError({
    database: name,
    reason: "InvalidParameter",
    retryable: false,
    detail: `${OPERATION} was called outside of a transaction of ${name}; nothing was written`,
    hint: `call it inside ${name}.withTransaction, or send the message with the queue itself`
  })
