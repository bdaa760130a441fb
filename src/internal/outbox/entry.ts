/** A message as a row of the outbox. */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import * as Either from "effect/Either"
import type { Message } from "../../aws/internal/queue/message.ts"
import * as MessageAttributes from "../../aws/internal/queue/messageAttributes.ts"
import { ServiceError } from "../../Errors.ts"

/** A message in the outbox. Its identity is `messageId`: an `id` can be given twice, by a server that was restored. */
export interface Entry {
  readonly id: number
  readonly messageId: string
  readonly queue: string
  readonly group: string | undefined
  readonly delaySeconds: number
  readonly deduplicationId: string | undefined
  readonly attributes: Either.Either<MessageAttributes.MessageAttributes, undefined>
  /** Undefined for a large one, which is read when its turn comes. */
  readonly body: string | undefined
  /** In bytes, as SQS counts. */
  readonly size: number
  /** Milliseconds since it was written. */
  readonly age: number
}

/** Bodies beyond this are not read with the page: 200 of 1 MiB would be too much. In bytes. */
const LARGE_BODY = 16_384

export interface Row {
  readonly id: number | string | bigint
  readonly message_id: string
  readonly queue: string
  readonly group_id: string | null
  readonly dedup_id: string | null
  readonly delay_seconds: number
  readonly attributes: Uint8Array | null
  readonly size: number | string | bigint
  readonly body: Uint8Array | null
  readonly age: number | string | bigint | null
}

/** The columns of a {@link Row}. */
export const columns = (sql: SqlClient): Fragment =>
  sql.literal(`id, message_id, queue, group_id, dedup_id, delay_seconds, attributes, OCTET_LENGTH(body) AS size,
    IF(OCTET_LENGTH(body) <= ${LARGE_BODY}, body, NULL) AS body,
    TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) AS age`)

export const fromRow = (row: Row): Entry => {
  const attributes = decodeAttributes(row.attributes)
  return {
    id: Number(row.id),
    messageId: row.message_id,
    queue: row.queue,
    group: row.group_id ?? undefined,
    deduplicationId: row.dedup_id ?? undefined,
    delaySeconds: row.delay_seconds,
    attributes,
    body: row.body === null ? undefined : textOf(row.body),
    size: Number(row.size) + Either.match(attributes, { onLeft: () => 0, onRight: MessageAttributes.sizeOf }),
    age: Math.max(0, Number(row.age ?? 0) / 1000)
  }
}

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8")

/** The message to send; what is not as it was written is refused like a message that the queue refuses. */
export const toMessage = (entry: Entry, body: string): Either.Either<Message, ServiceError> =>
  Either.mapBoth(entry.attributes, {
    onLeft: () =>
      new ServiceError({
        service: "SQS",
        operation: "Outbox.relay",
        reason: "InvalidInput",
        retryable: false,
        attempts: 0,
        field: "attributes",
        detail: "the attributes of a message in the outbox are not as they were written"
      }),
    onRight: (attributes): Message => ({
      body,
      messageGroupId: entry.group,
      messageDeduplicationId: entry.deduplicationId,
      delaySeconds: entry.delaySeconds,
      attributes
    })
  })

/** The message's part of a new row. */
export const toRow = (
  message: Message
): Pick<Row, "group_id" | "dedup_id" | "delay_seconds"> & Record<"attributes" | "body", Uint8Array> => ({
  group_id: message.messageGroupId ?? null,
  dedup_id: message.messageDeduplicationId ?? null,
  delay_seconds: message.delaySeconds,
  attributes: encodeAttributes(message.attributes),
  body: Buffer.from(message.body)
})

const encodeAttributes = (attributes: MessageAttributes.MessageAttributes): Uint8Array =>
  Buffer.from(JSON.stringify(
    Object.entries(attributes).map(([name, { type, value }]) =>
      typeof value === "string" ? [name, type, value] : [name, type, Buffer.from(value).toString("base64")]
    )
  ))

const decodeAttributes = (
  bytes: Uint8Array | null
): Either.Either<MessageAttributes.MessageAttributes, undefined> => {
  if (bytes === null) return Either.right({})
  const list = Either.try({ try: (): unknown => JSON.parse(textOf(bytes)), catch: () => undefined })
  return Either.flatMap(list, (list) => {
    if (!Array.isArray(list)) return Either.left(undefined)
    const attributes: Record<string, MessageAttributes.MessageAttribute> = {}
    for (const item of list as ReadonlyArray<unknown>) {
      if (!Array.isArray(item)) return Either.left(undefined)
      const [name, type, value] = item as ReadonlyArray<unknown>
      if (typeof name !== "string" || typeof value !== "string") return Either.left(undefined)
      if (type === "Binary") attributes[name] = { type, value: new Uint8Array(Buffer.from(value, "base64")) }
      else if (type === "String" || type === "Number") attributes[name] = { type, value }
      else return Either.left(undefined)
    }
    return Either.right(attributes)
  })
}
