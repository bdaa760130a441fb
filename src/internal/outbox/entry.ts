/** A message as a row of the outbox. */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
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
  readonly headers: Either.Either<Headers, undefined>
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
  readonly headers: Uint8Array
  readonly size: number | string | bigint
  readonly body: Uint8Array | null
  readonly age: number | string | bigint | null
}

/** The columns of a {@link Row}. */
export const columns = (sql: SqlClient): Fragment =>
  sql.literal(`id, message_id, queue, group_id, dedup_id, delay_seconds, headers, OCTET_LENGTH(body) AS size,
    IF(OCTET_LENGTH(body) <= ${LARGE_BODY}, body, NULL) AS body,
    TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) AS age`)

export const fromRow = (row: Row): Entry => {
  const headers = decode(row.headers)
  return {
    id: Number(row.id),
    messageId: row.message_id,
    queue: row.queue,
    group: row.group_id ?? undefined,
    deduplicationId: row.dedup_id ?? undefined,
    delaySeconds: row.delay_seconds,
    headers,
    body: row.body === null ? undefined : textOf(row.body),
    size: Number(row.size) +
      Either.match(headers, { onLeft: () => 0, onRight: ({ attributes }) => MessageAttributes.sizeOf(attributes) }),
    age: Math.max(0, Number(row.age ?? 0) / 1000)
  }
}

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8")

/** The message to send; what is not as it was written is refused like a message that the queue refuses. */
export const toMessage = (entry: Entry, body: string): Either.Either<Message, ServiceError> =>
  Either.mapBoth(entry.headers, {
    onLeft: () =>
      new ServiceError({
        service: "SQS",
        operation: "Outbox.relay",
        reason: "InvalidInput",
        retryable: false,
        attempts: 0,
        field: "headers",
        detail: "the headers of a message in the outbox are not as they were written"
      }),
    onRight: (headers): Message => ({
      ...headers,
      body,
      messageGroupId: entry.group,
      messageDeduplicationId: entry.deduplicationId,
      // Its column holds no difference between none and zero.
      delaySeconds: entry.delaySeconds === 0 ? undefined : entry.delaySeconds
    })
  })

/** What has no column of its own. */
type Headers = Pick<Message, "attributes" | "traceHeader">

/** The message's part of a new row. */
export const toRow = (
  message: Message
): Pick<Row, "group_id" | "dedup_id" | "delay_seconds" | "headers"> & { readonly body: Uint8Array } => ({
  group_id: message.messageGroupId ?? null,
  dedup_id: message.messageDeduplicationId ?? null,
  delay_seconds: message.delaySeconds ?? 0,
  headers: encode(message),
  body: Buffer.from(message.body)
})

const encode = ({ attributes, traceHeader }: Headers): Uint8Array =>
  Buffer.from(JSON.stringify({
    attributes: Object.entries(attributes).map(([name, { type, value }]) =>
      typeof value === "string" ? [name, type, value] : [name, type, Buffer.from(value).toString("base64")]
    ),
    ...(traceHeader === undefined ? {} : { traceHeader })
  }))

const decode = (bytes: Uint8Array): Either.Either<Headers, undefined> => {
  const json = Either.try({ try: (): unknown => JSON.parse(textOf(bytes)), catch: () => undefined })
  return Either.flatMap(json, (json) => {
    if (!Predicate.isRecord(json) || !Array.isArray(json["attributes"])) return Either.left(undefined)
    const traceHeader = json["traceHeader"]
    if (traceHeader !== undefined && typeof traceHeader !== "string") return Either.left(undefined)
    const attributes: Record<string, MessageAttributes.MessageAttribute> = {}
    for (const item of json["attributes"] as ReadonlyArray<unknown>) {
      if (!Array.isArray(item)) return Either.left(undefined)
      const [name, type, value] = item as ReadonlyArray<unknown>
      if (typeof name !== "string" || typeof value !== "string") return Either.left(undefined)
      if (type === "Binary") attributes[name] = { type, value: new Uint8Array(Buffer.from(value, "base64")) }
      else if (type === "String" || type === "Number") attributes[name] = { type, value }
      else return Either.left(undefined)
    }
    return Either.right({ attributes, traceHeader })
  })
}
