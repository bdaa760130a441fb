/** Messages as ReceiveMessage gives them. */
import type { MessageSystemAttributeName } from "@aws-sdk/client-sqs"
import type { RawMessage } from "../backend.ts"
import type { MessageAttribute, MessageAttributes } from "../messageAttributes.ts"
import type { IsSame } from "./texts.ts"

/** What is asked for of each message, apart from its own attributes. */
export const systemAttributes: ReadonlyArray<MessageSystemAttributeName> = [
  "ApproximateReceiveCount",
  "SentTimestamp",
  "MessageGroupId",
  "MessageDeduplicationId",
  "SequenceNumber",
  "AWSTraceHeader"
]

/** Why a message of a reply cannot be handled. */
export type Fault = "without an id or without a receipt" | typeof OTHER_TEXT

export const OTHER_TEXT = "with another text than was sent"

/**
 * A message of a reply, or why it cannot be handled: without a receipt it can never be deleted, and without an id nobody can
 * tell whether it came before. A missing body is an empty one, which no consumer can decode.
 *
 * @param now for what SQS did not say, in milliseconds since 1970
 */
export const messageOf = (message: unknown, now: number, isSame: IsSame): RawMessage | Fault => {
  const { Attributes, Body, MD5OfBody, MessageAttributes, MessageId, ReceiptHandle } = fieldsOf(message)
  const messageId = textOf(MessageId)
  const receipt = textOf(ReceiptHandle)
  const body = textOf(Body) ?? ""
  if (messageId === undefined || receipt === undefined) return "without an id or without a receipt"
  if (!isSame(body, MD5OfBody)) return OTHER_TEXT
  const system = fieldsOf(Attributes)
  return {
    messageId,
    receipt,
    body,
    attributes: attributesOf(MessageAttributes),
    receiveCount: countOf(system["ApproximateReceiveCount"]) || 1,
    sentAt: countOf(system["SentTimestamp"]) ?? now,
    messageGroupId: textOf(system["MessageGroupId"]),
    messageDeduplicationId: textOf(system["MessageDeduplicationId"]),
    sequenceNumber: textOf(system["SequenceNumber"]),
    traceHeader: textOf(system["AWSTraceHeader"])
  }
}

const noAttributes: MessageAttributes = Object.freeze({})

/** A type may have a label of its own, as `Number.int` has: what counts is before it. Other types come as text. */
const attributesOf = (value: unknown): MessageAttributes =>
  value === undefined ? noAttributes : Object.fromEntries(
    Object.entries(fieldsOf(value)).flatMap(([name, attribute]): ReadonlyArray<[string, MessageAttribute]> => {
      const { BinaryValue, DataType, StringValue } = fieldsOf(attribute)
      if (BinaryValue instanceof Uint8Array) return [[name, { type: "Binary", value: BinaryValue }]]
      if (typeof StringValue !== "string") return []
      const isNumber = typeof DataType === "string" && /^Number(\.|$)/.test(DataType)
      return [[name, { type: isNumber ? "Number" : "String", value: StringValue }]]
    })
  )

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {}

const textOf = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined

const countOf = (value: unknown): number | undefined => {
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return Number.isSafeInteger(count) && (count as number) >= 0 ? count as number : undefined
}
