/**
 * What stands in a message instead of a payload that is stored: the format of AWS's extended client libraries
 * (amazon-sqs-java-extended-client-lib 2.x, and those for Python and .NET).
 */
import * as Predicate from "effect/Predicate"
import { MAX_ATTRIBUTES } from "../limits.ts"
import type { MessageAttributes } from "../messageAttributes.ts"

export interface Pointer {
  readonly bucket: string
  readonly key: string
}

const CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"

/** The attribute with the size of the payload in bytes. */
export const SIZE = "ExtendedPayloadSize"

/** What it is called by libraries of before 2019. */
const OLD_SIZE = "SQSLargePayloadSize"

export const format = ({ bucket, key }: Pointer): string =>
  JSON.stringify([CLASS, { s3BucketName: bucket, s3Key: key }])

export const isMarked = (attributes: MessageAttributes): boolean =>
  attributes[SIZE] !== undefined || attributes[OLD_SIZE] !== undefined

/** What is wrong with the attributes of a message where payloads may be stored; `isStored`: as this one's is. */
export const wrongAttributes = (attributes: MessageAttributes, isStored: boolean): string | undefined =>
  // Receivers would look for a pointer in its body.
  isMarked(attributes)
    ? `must not have the names ${SIZE} and ${OLD_SIZE}: they mark pointers`
    : isStored && Object.keys(attributes).length >= MAX_ATTRIBUTES
    ? `must not be more than ${MAX_ATTRIBUTES - 1} beside a payload that is stored`
    : undefined

export const withoutMark = (attributes: MessageAttributes): MessageAttributes =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== SIZE && name !== OLD_SIZE))

/** The pointer in a body; none if it is something else. */
export const parse = (body: string): Pointer | undefined => {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return undefined
  }
  const fields: unknown = Array.isArray(value) && value.length === 2 && value[0] === CLASS ? value[1] : undefined
  return Predicate.isRecord(fields) && typeof fields["s3BucketName"] === "string" && typeof fields["s3Key"] === "string"
    ? { bucket: fields["s3BucketName"], key: fields["s3Key"] }
    : undefined
}

const MARK = "betterai-payload."

/** A receipt that also says which object belongs to the message: whoever settles the message needs nothing else. */
export const receiptWith = (receipt: string, key: string): string =>
  `${MARK}${Buffer.from(key).toString("base64url")}.${receipt}`

/** The receipt that SQS has given, and the key in it. */
export const splitReceipt = (receipt: string): { readonly receipt: string; readonly key: string | undefined } => {
  const end = receipt.startsWith(MARK) ? receipt.indexOf(".", MARK.length) : -1
  return end < 0
    ? { receipt, key: undefined }
    : { receipt: receipt.slice(end + 1), key: Buffer.from(receipt.slice(MARK.length, end), "base64url").toString() }
}
