/** A message, checked against the rules of SQS before it is sent. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ServiceError } from "../../../Errors.ts"
import { invalidInput } from "../errors/classify.ts"

/** What kind of queue a message is for. `either`: what one of the two would take, for a queue in memory. */
export type QueueKind = "standard" | "fifo" | "either"

export type AttributeValue = string | number | Uint8Array

export interface Attribute {
  readonly type: "String" | "Number" | "Binary"
  readonly value: string | Uint8Array
}

export interface MessageOptions {
  readonly messageGroupId?: string | undefined
  readonly messageDeduplicationId?: string | undefined
  readonly delay?: Duration.DurationInput | undefined
  readonly attributes?: Readonly<Record<string, AttributeValue>> | undefined
}

export interface Message {
  readonly body: string
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  readonly delaySeconds: number
  readonly attributes: Readonly<Record<string, Attribute>>
}

type Refusal = readonly [field: string, detail: string]

/** A message and its attributes together, in bytes. */
const maxSize = 1_048_576

export const check = (
  operation: string,
  kind: QueueKind,
  body: string,
  options: MessageOptions
): Either.Either<Message, ServiceError> =>
  Either.gen(function*() {
    if (illegal(body)) yield* refuse("payload", "holds U+FFFE or U+FFFF, which SQS refuses")
    const messageGroupId = yield* id("messageGroupId", options.messageGroupId)
    const messageDeduplicationId = yield* id("messageDeduplicationId", options.messageDeduplicationId)
    const delaySeconds = yield* delay(options.delay)
    const attributes = yield* attributesOf(options.attributes)
    if (kind === "fifo" && messageGroupId === undefined) yield* refuse("messageGroupId", "is required by a FIFO queue")
    if (messageDeduplicationId !== undefined && (kind === "standard" || messageGroupId === undefined)) {
      yield* refuse("messageDeduplicationId", "is for FIFO queues; a standard queue does not deduplicate")
    }
    if (delaySeconds > 0 && (kind === "fifo" || messageDeduplicationId !== undefined)) {
      yield* refuse("delay", "is not for messages of a FIFO queue; the queue itself may have one")
    }
    return { body, messageGroupId, messageDeduplicationId, delaySeconds, attributes }
  }).pipe(
    Either.mapLeft(([field, detail]) => invalidInput("SQS", operation, field, detail)),
    Either.filterOrLeft((message) => sizeOf(message) <= maxSize, (message) => tooLarge(operation, sizeOf(message)))
  )

/** The payload as JSON, or why there is none. Numbers that JSON would turn into null are refused. */
export const encode = (operation: string, payload: unknown): Either.Either<string, ServiceError> =>
  Either.try({
    try: () =>
      JSON.stringify(payload, (_, value: unknown) => {
        if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("not finite")
        return value
      }) as string | undefined,
    catch: () => unserialisable(operation)
  }).pipe(Either.flatMap((body) => Either.fromNullable(body, () => unserialisable(operation))))

/** The same with one more field; only of a payload that is an object in JSON. */
export const encodeWith = (
  operation: string,
  payload: unknown,
  field: Readonly<Record<string, string>>
): Either.Either<string, ServiceError> =>
  Either.flatMap(encode(operation, payload), (body) =>
    body.startsWith("{")
      ? Either.right(JSON.stringify({ ...JSON.parse(body), ...field }))
      : Either.left(invalidInput("SQS", operation, "payload", "must be an object to take a timestamp")))

const unserialisable = (operation: string): ServiceError =>
  invalidInput(
    "SQS",
    operation,
    "payload",
    "cannot be written as JSON: it is undefined or a function, or holds a bigint, a number that is not finite or itself"
  )

const tooLarge = (operation: string, size: number): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation,
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 0,
    field: "payload",
    detail: `message and attributes are ${size} bytes, and SQS takes ${maxSize}; store the data and send its key`
  })

const refuse = (field: string, detail: string): Either.Either<never, Refusal> => Either.left([field, detail])

const id = (field: string, value: unknown): Either.Either<string | undefined, Refusal> =>
  value === undefined
    ? Either.right(undefined)
    : typeof value === "string" && /^[\x21-\x7e]{1,128}$/.test(value)
    ? Either.right(value)
    : refuse(field, "must be 1-128 ASCII letters, digits and punctuation marks, without spaces")

/** SQS counts in whole seconds; a message is never earlier than asked. */
const delay = (value: Duration.DurationInput | undefined): Either.Either<number, Refusal> => {
  if (value === undefined) return Either.right(0)
  const seconds = Option.match(isNegative(value) ? Option.none() : Duration.decodeUnknown(value), {
    onNone: () => NaN,
    onSome: (duration) => Math.ceil(Duration.toSeconds(duration))
  })
  return seconds >= 0 && seconds <= 900 ? Either.right(seconds) : refuse("delay", "must be a duration of 0-900 seconds")
}

/** Effect takes a negative duration for none. */
const isNegative = (value: unknown): boolean =>
  (typeof value === "number" && !(value >= 0)) || (typeof value === "bigint" && value < 0n)
  || (typeof value === "string" && value.trim().startsWith("-"))

const attributesOf = (value: unknown): Either.Either<Message["attributes"], Refusal> =>
  Either.gen(function*() {
    if (value === undefined) return {}
    if (!Predicate.isRecord(value)) return yield* refuse("attributes", "must be an object")
    const entries = Object.entries(value)
    if (entries.length > 10) return yield* refuse("attributes", "must not be more than 10")
    const checked: Record<string, Attribute> = {}
    for (const [name, item] of entries) {
      if (!/^(?!aws\.|amazon\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)$/i.test(name)) {
        return yield* refuse("attributes", "names must be 1-256 letters, digits, '_', '-' and single inner dots")
      }
      const attribute = attributeOf(item)
      if (attribute === undefined) {
        return yield* refuse(
          "attributes",
          "values must be finite numbers, or texts in XML's characters or bytes, not empty"
        )
      }
      checked[name] = attribute
    }
    return checked
  })

const attributeOf = (value: unknown): Attribute | undefined => {
  if (value instanceof Uint8Array) return value.byteLength > 0 ? { type: "Binary", value } : undefined
  if (typeof value === "number") return Number.isFinite(value) ? { type: "Number", value: String(value) } : undefined
  return typeof value === "string" && value !== "" && !illegal(value) ? { type: "String", value } : undefined
}

/** Outside of XML 1.0's characters, or half of a surrogate pair: what SQS refuses. */
const illegal = (text: string): boolean => /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(text)

const sizeOf = ({ attributes, body }: Message): number =>
  Object.entries(attributes).reduce(
    (sum, [name, { type, value }]) => sum + name.length + type.length + Buffer.byteLength(value),
    Buffer.byteLength(body)
  )
