/**
 * Keys of stored objects: `{customer_id}/assets/chat/{discussion_id}/{timestamp}_{uuid}_{category}.{ext}`. Without a
 * discussion, that segment is left out. The timestamp is UTC, to the millisecond, and sorts as text.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** Every category, in lower-case letters. To add one, add it here. */
export const categories = ["image", "video", "audio", "attachment"] as const

/** What kind of file an object is. */
export type Category = typeof categories[number]

export interface StorageKey {
  /** A positive integer. */
  readonly customerId: number
  /** 1-128 letters, digits, `-` and `_`. A numeric id is given as its digits. */
  readonly discussionId?: string | undefined
  /** Years 0-9999. */
  readonly timestamp: DateTime.Utc
  /** In lower case. */
  readonly uuid: string
  readonly category: Category
  /** 1-16 lower-case letters and digits, without a dot. */
  readonly fileExtension: string
}

/** Decodes the text of a key into its parts, and encodes the parts as text. */
export const schema: Schema.Schema<StorageKey, string> = Schema.transformOrFail(
  Schema.String,
  Schema.declare((value): value is StorageKey => isParts(value), { identifier: "StorageKey" }),
  {
    strict: true,
    decode: (text, _, ast) =>
      Option.match(parse(text), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, text, "not the key of a stored object")),
        onSome: ParseResult.succeed
      }),
    encode: (key) => ParseResult.succeed(format(key))
  }
)

/** A new key: the time from the Clock, a random UUID (version 4). The parts are not checked. */
export const make = (parts: Omit<StorageKey, "timestamp" | "uuid">): Effect.Effect<string> =>
  Effect.map(
    Effect.zip(DateTime.now, Effect.sync(() => globalThis.crypto.randomUUID())),
    ([timestamp, uuid]) => format({ ...parts, timestamp, uuid })
  )

/** The key of these parts, which are not checked. Use {@link schema} for parts from outside. */
export const format = (key: StorageKey): string => {
  const folder = key.discussionId === undefined
    ? `${key.customerId}/assets/chat`
    : `${key.customerId}/assets/chat/${key.discussionId}`
  return `${folder}/${formatTimestamp(key.timestamp)}_${key.uuid}_${key.category}.${key.fileExtension}`
}

/** The parts of a key that {@link format} made; none for any other text. */
export const parse = (text: string): Option.Option<StorageKey> =>
  Option.flatMap(Option.fromNullable(pattern.exec(text)), partsOf)

/** Whether the value is a valid customer id: a positive safe integer. */
export const isCustomerId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

/** The segment of a discussion, which must be a positive integer, or 1-128 letters, digits, `-` and `_`. */
export const discussionSegment = (value: unknown): Option.Option<string> =>
  isCustomerId(value) || (typeof value === "string" && /^[A-Za-z0-9_-]{1,128}$/.test(value))
    ? Option.some(String(value))
    : Option.none()

const pattern = new RegExp(
  "^([1-9][0-9]{0,15})/assets/chat/(?:([A-Za-z0-9_-]{1,128})/)?"
    + "([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{3})Z"
    + "_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    + `_(${categories.join("|")})\\.([a-z0-9]{1,16})$`
)

const formatTimestamp = (timestamp: DateTime.Utc): string => DateTime.formatIso(timestamp).replace(/[-:.]/g, "")

const partsOf = (match: RegExpExecArray): Option.Option<StorageKey> => {
  const [text, customer, discussionId, year, month, day, hour, minute, second, milli, uuid, category, fileExtension] =
    match
  const customerId = Number(customer)
  return Option.filter(
    Option.map(
      DateTime.make(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milli}Z`),
      (timestamp): StorageKey => ({
        customerId,
        ...(discussionId === undefined ? {} : { discussionId }),
        timestamp: DateTime.toUtc(timestamp),
        uuid: uuid as string,
        category: category as Category,
        fileExtension: fileExtension as string
      })
    ),
    // Refuses dates that Date silently moves, such as the 30th of February, and customers beyond the safe integers.
    (key) => isCustomerId(customerId) && format(key) === text
  )
}

/** Whether the value is the valid parts of a key. */
export const isParts = (value: unknown): value is StorageKey =>
  typeof value === "object" && value !== null && "timestamp" in value && DateTime.isDateTime(value.timestamp)
  && Option.isSome(parse(format(value as StorageKey)))
