/** The attributes of a message: their types, SQS's rules for them, their size, and their shape in a request. */
import type { MessageAttributeValue } from "@aws-sdk/client-sqs"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import { types } from "node:util"
import { type Refusal, refuse } from "../errors/invalidInput.ts"
import { hasRefusedCharacter } from "./allowedCharacters.ts"
import { MAX_ATTRIBUTES } from "./limits.ts"

/** The value of an attribute, sent as the type String, Number or Binary. */
export type AttributeValue = string | number | Uint8Array

/** An attribute as it is sent. */
export interface MessageAttribute {
  readonly type: "String" | "Number" | "Binary"
  /** Numbers are sent as text. */
  readonly value: string | Uint8Array
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>

/** The attribute in which Outbox sends the id of a message, and by which consumers know what is the same. */
export const OUTBOX_ID = "outbox-id"

export const check = (value: unknown): Either.Either<MessageAttributes, Refusal> =>
  value === undefined ? none : checked(value)

const none: Either.Either<MessageAttributes> = Either.right({})

const checked = (value: unknown): Either.Either<MessageAttributes, Refusal> =>
  Either.gen(function*() {
    // A Map or Headers has no fields, and would be sent as no attributes.
    if (!Predicate.isRecord(value) || Object.prototype.toString.call(value) !== "[object Object]") {
      return yield* refuse("attributes", "must be a plain object")
    }
    const entries = Object.entries(value)
    if (entries.length > MAX_ATTRIBUTES) return yield* refuse("attributes", `must not be more than ${MAX_ATTRIBUTES}`)
    const checked: Record<string, MessageAttribute> = {}
    for (const [name, item] of entries) {
      // Setting a field of that name would change the prototype instead.
      if (name === "__proto__") return yield* refuse("attributes", "must not have the name `__proto__`")
      if (!/^(?!aws\.|amazon\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)$/i.test(name)) {
        return yield* refuse(
          "attributes",
          "must have names of 1-256 letters, digits, '_', '-' and single inner dots, not beginning with 'aws.' or 'amazon.'"
        )
      }
      const attribute = attributeOf(item)
      if (attribute === undefined) {
        return yield* refuse(
          "attributes",
          "must have values that are numbers of 10^-128 - 10^126 or 0, non-empty bytes or non-empty texts of XML characters"
        )
      }
      checked[name] = attribute
    }
    return checked
  })

const attributeOf = (value: unknown): MessageAttribute | undefined => {
  // A copy: the message is sent later, and its sender may use the array again.
  if (types.isUint8Array(value)) {
    return value.byteLength > 0 ? { type: "Binary", value: new Uint8Array(value) } : undefined
  }
  if (typeof value === "number") return isNumber(value) ? { type: "Number", value: String(value) } : undefined
  return typeof value === "string" && value !== "" && !hasRefusedCharacter(value)
    ? { type: "String", value }
    : undefined
}

/** The range of SQS (developer guide, "Amazon SQS message metadata"), on both sides of zero. */
const isNumber = (value: number): boolean => value === 0 || (Math.abs(value) >= 1e-128 && Math.abs(value) <= 1e126)

/** In bytes, as SQS counts: names, types and values. */
export const sizeOf = (attributes: MessageAttributes): number =>
  Object.entries(attributes).reduce(
    (sum, [name, { type, value }]) => sum + name.length + type.length + Buffer.byteLength(value),
    0
  )

export const toSqs = (attributes: MessageAttributes): Record<string, MessageAttributeValue> =>
  Record.map(
    attributes,
    ({ type, value }) =>
      typeof value === "string" ? { DataType: type, StringValue: value } : { DataType: type, BinaryValue: value }
  )
