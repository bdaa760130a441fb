/** A message, checked against the rules of SQS before it is sent. */
import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { ServiceError } from "../../../Errors.ts"
import { invalidInput, type Refusal, refuse } from "../errors/invalidInput.ts"
import { hasRefusedCharacter } from "./allowedCharacters.ts"
import { MAX_SIZE } from "./limits.ts"
import * as MessageAttributes from "./messageAttributes.ts"
import { seconds } from "./seconds.ts"
import { toJson } from "./sending/payload.ts"
import * as Pointer from "./sending/pointer.ts"

/** The kind of queue that a message is for. `either`, a queue in memory, accepts what one of the two would accept. */
export type QueueKind = "standard" | "fifo" | "either"

export interface EnqueueOptions {
  /**
   * A FIFO queue requires it, and keeps the messages of a group in order. A standard queue uses it to share its
   * capacity fairly among groups. 1-128 ASCII letters, digits and punctuation marks.
   */
  readonly messageGroupId?: string | undefined
  /**
   * FIFO queues only: of the messages with the same id that are sent within 5 minutes, the queue delivers one. Default:
   * none if the queue deduplicates by content, else one that is made for this call. The same characters as
   * `messageGroupId`.
   */
  readonly messageDeduplicationId?: string | undefined
  /** 0-900 s, rounded up to a whole second. Standard queues only. Default: the delay of the queue. */
  readonly delay?: Duration.DurationInput | undefined
  /** At most 10, sent as the types String, Number and Binary. */
  readonly attributes?: Readonly<Record<string, MessageAttributes.AttributeValue>> | undefined
  /** The header of X-Ray (`Root=1-…;Parent=…;Sampled=1`), sent as `AWSTraceHeader`. It does not count in the size. */
  readonly traceHeader?: string | undefined
}

/** A message that has passed the checks. */
export interface Message {
  /** JSON. */
  readonly body: string
  readonly messageGroupId: string | undefined
  readonly messageDeduplicationId: string | undefined
  /** Without it, the queue's own delay. */
  readonly delaySeconds: number | undefined
  readonly attributes: MessageAttributes.MessageAttributes
  readonly traceHeader: string | undefined
}

const maxDelaySeconds = 900

/** What a queue accepts. */
export interface Rules {
  readonly kind: QueueKind
  /** In bytes. Default: {@link MAX_SIZE}. */
  readonly maxSize?: number | undefined
  /** Payloads of more bytes are stored elsewhere. */
  readonly storesAbove?: number | undefined
}

/** `body` is the JSON of {@link encode}. */
export const check = (
  operation: string,
  rules: Rules,
  body: string,
  options: EnqueueOptions
): Either.Either<Message, ServiceError> => {
  const checked = checkOptions(rules.kind, body, options)
  if (Either.isLeft(checked)) return Either.left(invalidInput("SQS", operation, checked.left))
  const size = sizeOf(checked.right)
  const wrong = rules.storesAbove === undefined
    ? undefined
    : Pointer.wrongAttributes(checked.right.attributes, size > rules.storesAbove)
  if (wrong !== undefined) return Either.left(invalidInput("SQS", operation, { field: "attributes", detail: wrong }))
  const most = rules.maxSize ?? MAX_SIZE
  return size <= most ? Either.right(checked.right) : Either.left(tooLarge(operation, size, most))
}

const checkOptions = (kind: QueueKind, body: string, options: EnqueueOptions): Either.Either<Message, Refusal> => {
  const { messageDeduplicationId, messageGroupId, traceHeader } = options
  if (!isId(messageGroupId)) return refuse("messageGroupId", wantedId)
  if (!isId(messageDeduplicationId)) return refuse("messageDeduplicationId", wantedId)
  const delaySeconds = delay(options.delay)
  if (Either.isLeft(delaySeconds)) return Either.left(delaySeconds.left)
  const attributes = MessageAttributes.check(options.attributes)
  if (Either.isLeft(attributes)) return Either.left(attributes.left)
  if (traceHeader !== undefined && !isTraceHeader(traceHeader)) {
    return refuse(
      "traceHeader",
      "must be a header of X-Ray, such as Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    )
  }
  if (kind === "fifo" && messageGroupId === undefined) return refuse("messageGroupId", "is required by a FIFO queue")
  if (messageDeduplicationId !== undefined && (kind === "standard" || messageGroupId === undefined)) {
    return refuse(
      "messageDeduplicationId",
      "is only for FIFO queues",
      "leave it out, or use a FIFO queue and a messageGroupId"
    )
  }
  const isFifo = kind === "fifo" || messageDeduplicationId !== undefined
  if (isFifo && delaySeconds.right !== undefined && delaySeconds.right > 0) {
    return refuse("delay", "is only for standard queues", "set the delay of the FIFO queue itself")
  }
  return Either.right({
    body,
    messageGroupId,
    messageDeduplicationId,
    // A FIFO queue refuses one of 0, too.
    delaySeconds: isFifo ? undefined : delaySeconds.right,
    attributes: attributes.right,
    traceHeader
  })
}

/** The payload as JSON. A payload that JSON would change is refused. */
export const encode = (operation: string, payload: unknown): Either.Either<string, ServiceError> =>
  Either.mapLeft(toJson(payload), (refusal) => invalidInput("SQS", operation, refusal))

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

const tooLarge = (operation: string, size: number, most: number): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation,
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 0,
    field: "payload",
    detail: `message and attributes are ${size} bytes, and ${most} are accepted`,
    hint: "store the data and send its key"
  })

const wantedId = "must be 1-128 ASCII letters, digits and punctuation marks, without spaces"

const isId = (value: unknown): boolean =>
  value === undefined || (typeof value === "string" && /^[\x21-\x7e]{1,128}$/.test(value))

/** Pairs of a name and a value, among them the root that X-Ray requires. */
const isTraceHeader = (value: unknown): boolean =>
  typeof value === "string" && value.length <= 1024 && !hasRefusedCharacter(value)
  && value.replace(/;$/, "").split(";").every((pair) => /^ ?[\w-]+=[^\s=]+$/.test(pair))
  && /(?:^|; ?)Root=1-[\da-f]{8}-[\da-f]{24}(?:;|$)/i.test(value)

const noDelay: Either.Either<undefined> = Either.right(undefined)

/** SQS counts whole seconds; a message must not be delivered earlier than asked. */
const delay = (value: Duration.DurationInput | undefined): Either.Either<number | undefined, Refusal> =>
  value === undefined ? noDelay : Either.map(seconds("delay", value, 0, maxDelaySeconds), Math.ceil)

/** In bytes, as SQS counts. The header of X-Ray is free. */
export const sizeOf = ({ attributes, body }: Message): number =>
  Buffer.byteLength(body) + MessageAttributes.sizeOf(attributes)
