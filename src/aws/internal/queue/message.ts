/** A message, checked against the rules of SQS before it is sent. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { ServiceError } from "../../../Errors.ts"
import { invalidInput, type Refusal, refuse } from "../errors/invalidInput.ts"
import { hasRefusedCharacter } from "./allowedCharacters.ts"
import * as MessageAttributes from "./messageAttributes.ts"

/** The kind of queue that a message is for. `either`, a queue in memory, accepts what one of the two would accept. */
export type QueueKind = "standard" | "fifo" | "either"

export interface EnqueueOptions {
  /**
   * A FIFO queue requires it, and keeps the messages of a group in order. A standard queue uses it to share its
   * capacity fairly among groups. 1-128 ASCII letters, digits and punctuation marks.
   */
  readonly messageGroupId?: string | undefined
  /**
   * FIFO queues only: of the messages with the same id that are sent within 5 minutes, the queue delivers one. May be
   * left out if the queue deduplicates by content. The same characters as `messageGroupId`.
   */
  readonly messageDeduplicationId?: string | undefined
  /** 0-900 s, rounded up to a whole second. Standard queues only. */
  readonly delay?: Duration.DurationInput | undefined
  /** At most 10, sent as the types String, Number and Binary. */
  readonly attributes?: Readonly<Record<string, MessageAttributes.AttributeValue>> | undefined
}

/** A message that has passed the checks. */
export interface Message {
  /** JSON. */
  readonly body: string
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  readonly delaySeconds: number
  readonly attributes: MessageAttributes.MessageAttributes
}

/** The largest message that SQS accepts, attributes included, in bytes. */
const maxSize = 1_048_576

const maxDelaySeconds = 900

export const check = (
  operation: string,
  kind: QueueKind,
  body: string,
  options: EnqueueOptions
): Either.Either<Message, ServiceError> =>
  Either.gen(function*() {
    if (hasRefusedCharacter(body)) yield* refuse("payload", "contains U+FFFE or U+FFFF, which SQS refuses")
    const messageGroupId = yield* id("messageGroupId", options.messageGroupId)
    const messageDeduplicationId = yield* id("messageDeduplicationId", options.messageDeduplicationId)
    const delaySeconds = yield* delay(options.delay)
    const attributes = yield* MessageAttributes.check(options.attributes)
    if (kind === "fifo" && messageGroupId === undefined) yield* refuse("messageGroupId", "is required by a FIFO queue")
    if (messageDeduplicationId !== undefined && (kind === "standard" || messageGroupId === undefined)) {
      yield* refuse(
        "messageDeduplicationId",
        "is only for FIFO queues",
        "leave it out, or use a FIFO queue and a messageGroupId"
      )
    }
    if (delaySeconds > 0 && (kind === "fifo" || messageDeduplicationId !== undefined)) {
      yield* refuse("delay", "is only for standard queues", "set the delay of the FIFO queue itself")
    }
    return { body, messageGroupId, messageDeduplicationId, delaySeconds, attributes }
  }).pipe(
    Either.mapLeft((refusal) => invalidInput("SQS", operation, refusal)),
    Either.filterOrLeft((message) => sizeOf(message) <= maxSize, (message) => tooLarge(operation, sizeOf(message)))
  )

/** The payload as JSON. Numbers that JSON would turn into null are refused. */
export const encode = (operation: string, payload: unknown): Either.Either<string, ServiceError> =>
  Either.try({
    try: () =>
      JSON.stringify(payload, (_, value: unknown) => {
        if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("not finite")
        return value
      }) as string | undefined,
    catch: () => unserialisable(operation)
  }).pipe(Either.flatMap((body) => Either.fromNullable(body, () => unserialisable(operation))))

/** The payload as JSON with one more field. Refuses a payload that is not an object in JSON. */
export const encodeWith = (
  operation: string,
  payload: unknown,
  field: Readonly<Record<string, string>>
): Either.Either<string, ServiceError> =>
  Either.flatMap(encode(operation, payload), (body) =>
    body.startsWith("{")
      ? Either.right(JSON.stringify({ ...JSON.parse(body), ...field }))
      : Either.left(
        invalidInput("SQS", operation, { field: "payload", detail: "must be an object to take a timestamp" })
      ))

const unserialisable = (operation: string): ServiceError =>
  invalidInput("SQS", operation, {
    field: "payload",
    detail:
      "cannot be written as JSON: it is undefined or a function, refers to itself, or contains a bigint or a number"
      + " that is not finite"
  })

const tooLarge = (operation: string, size: number): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation,
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 0,
    field: "payload",
    detail: `message and attributes are ${size} bytes, and SQS accepts ${maxSize} at most`,
    hint: "store the data and send its key"
  })

const id = (field: string, value: unknown): Either.Either<string | undefined, Refusal> =>
  value === undefined
    ? Either.right(undefined)
    : typeof value === "string" && /^[\x21-\x7e]{1,128}$/.test(value)
    ? Either.right(value)
    : refuse(field, "must be 1-128 ASCII letters, digits and punctuation marks, without spaces")

/** SQS counts whole seconds; a message must not be delivered earlier than asked. */
const delay = (value: Duration.DurationInput | undefined): Either.Either<number, Refusal> => {
  if (value === undefined) return Either.right(0)
  const seconds = Option.match(isNegative(value) ? Option.none() : Duration.decodeUnknown(value), {
    onNone: () => NaN,
    onSome: (duration) => Math.ceil(Duration.toSeconds(duration))
  })
  return seconds >= 0 && seconds <= maxDelaySeconds
    ? Either.right(seconds)
    : refuse("delay", `must be a duration of 0-${maxDelaySeconds} seconds`)
}

/** Effect reads a negative duration as zero. */
const isNegative = (value: unknown): boolean =>
  (typeof value === "number" && !(value >= 0)) || (typeof value === "bigint" && value < 0n)
  || (typeof value === "string" && value.trim().startsWith("-"))

const sizeOf = ({ attributes, body }: Message): number => Buffer.byteLength(body) + MessageAttributes.sizeOf(attributes)
