/** What an upload is given, checked before anything is sent: S3 accepts most mistakes and keeps them. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import mime from "mime"
import type { ServiceError } from "../../../Errors.ts"
import * as StorageKey from "../../StorageKey.ts"
import { invalidInput } from "../errors/classify.ts"

/** The part of an upload's arguments that does not depend on its stream. */
export interface UploadFields {
  readonly data: unknown
  readonly customerId: number
  readonly discussionId?: number | string | undefined
  readonly fileExtension: string
  readonly contentType?: string | undefined
  readonly cacheControl?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

export interface Checked {
  readonly key: Omit<StorageKey.StorageKey, "timestamp" | "uuid">
  readonly contentType: string
}

type Refusal = readonly [field: string, detail: string]

/** The first thing that is wrong with the arguments, or what they amount to. */
export const check = (
  operation: string,
  category: StorageKey.Category,
  input: UploadFields
): Either.Either<Checked, ServiceError> =>
  Either.gen(function*() {
    const customerId = yield* customer(input.customerId)
    const discussionId = yield* discussion(input.discussionId)
    const fileExtension = yield* extension(input.fileExtension)
    const contentType = input.contentType === undefined
      ? yield* typeOfExtension(category, fileExtension)
      : yield* explicitType(category, input.contentType)
    yield* header("cacheControl", input.cacheControl)
    yield* header("contentDisposition", input.contentDisposition)
    yield* metadata(input.metadata)
    yield* data(input.data)
    return { key: { customerId, discussionId, category, fileExtension }, contentType }
  }).pipe(Either.mapLeft(([field, detail]) => invalidInput("S3", operation, field, detail)))

export const emptyBody = (operation: string): ServiceError =>
  invalidInput("S3", operation, "data", "is empty; there is nothing to store")

/** A key to read or delete. An empty one would address the bucket, and `..` is sent as it is. */
export const checkKey = (operation: string, key: string): Either.Either<string, ServiceError> =>
  typeof key === "string" && key !== "" && Buffer.byteLength(key) <= 1024 && !hasControl(key)
    && !key.split("/").some((segment) => segment === "." || segment === "..")
    ? Either.right(key)
    : Either.left(invalidInput("S3", operation, "key", "must be 1-1024 bytes without control characters and '..'"))

const refuse = (field: string, detail: string): Either.Either<never, Refusal> => Either.left([field, detail])

const customer = (value: unknown): Either.Either<number, Refusal> =>
  StorageKey.isCustomerId(value) ? Either.right(value) : refuse("customerId", "must be a positive integer")

const discussion = (value: unknown): Either.Either<string | undefined, Refusal> =>
  value === undefined
    ? Either.right(undefined)
    : Option.match(StorageKey.discussionSegment(value), {
      onNone: () => refuse("discussionId", "must be a positive integer, or 1-128 letters, digits, '-' and '_'"),
      onSome: Either.right
    })

const extension = (value: unknown): Either.Either<string, Refusal> => {
  const folded = typeof value === "string" ? value.replace(/^\./, "").toLowerCase() : ""
  return /^[a-z0-9]{1,16}$/.test(folded)
    ? Either.right(folded)
    : refuse("fileExtension", "must be 1-16 letters and digits, such as png")
}

const mediaTypes: ReadonlySet<string> = new Set(["image", "video", "audio"])

/** These hold sound as well as pictures; browsers record voice into webm and mp4. */
const containers: ReadonlySet<string> = new Set(["webm", "mp4", "ogg", "3gp", "3g2"])

const typeOfExtension = (category: StorageKey.Category, fileExtension: string): Either.Either<string, Refusal> => {
  const type = mime.getType(fileExtension) ?? "application/octet-stream"
  if ((category === "audio" || category === "video") && containers.has(fileExtension)) {
    return Either.right(type.replace(/^(audio|video)\//, `${category}/`))
  }
  return isOf(category, type)
    ? Either.right(type)
    : refuse("fileExtension", `is of type ${type}, which is not ${category}; upload it as an attachment`)
}

const explicitType = (category: StorageKey.Category, value: unknown): Either.Either<string, Refusal> => {
  if (typeof value !== "string" || !contentTypeSyntax.test(value)) {
    return refuse("contentType", "must be a media type such as image/png or text/plain; charset=utf-8")
  }
  return isOf(category, value.toLowerCase())
    ? Either.right(value)
    : refuse("contentType", `is not ${category}; upload it as an attachment`)
}

/** Only what is known to be another medium is refused: much that is an image to a doctor has an application type. */
const isOf = (category: StorageKey.Category, type: string): boolean => {
  const main = type.slice(0, type.indexOf("/"))
  return category === "attachment" || main === category || !mediaTypes.has(main)
}

/** RFC 9110, section 8.3.1, in at most 255 characters. */
const contentTypeSyntax =
  /^(?=.{1,255}$)[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*$/

const printable = (value: unknown): value is string => typeof value === "string" && /^[\x20-\x7e]*$/.test(value)

const hasControl = (value: string): boolean => /\p{Cc}/u.test(value)

const header = (field: string, value: unknown): Either.Either<void, Refusal> =>
  value === undefined || (printable(value) && value.trim() !== "" && value.length <= 1024)
    ? Either.right(undefined)
    : refuse(field, "must be 1-1024 printable ASCII characters; write others as in filename*=UTF-8''na%C3%AFve.pdf")

/** S3 counts the names and the values together. */
const metadataLimit = 2048

const metadata = (value: unknown): Either.Either<void, Refusal> => {
  if (value === undefined) return Either.right(undefined)
  if (!Predicate.isRecord(value)) return refuse("metadata", "must be an object of texts")
  const entries = Object.entries(value)
  if (entries.some(([name]) => !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name))) {
    return refuse("metadata", "names must be letters, digits, '-' and '_'")
  }
  if (new Set(entries.map(([name]) => name.toLowerCase())).size < entries.length) {
    return refuse("metadata", "names must differ in more than case")
  }
  if (!entries.every(([, text]) => printable(text))) return refuse("metadata", "values must be printable ASCII")
  return entries.reduce((sum, [name, text]) => sum + name.length + String(text).length, 0) <= metadataLimit
    ? Either.right(undefined)
    : refuse("metadata", `must not be larger than ${metadataLimit} bytes, names and values together`)
}

const data = (value: unknown): Either.Either<void, Refusal> => {
  if (value instanceof Uint8Array) {
    return value.byteLength === 0 ? refuse("data", "is empty; there is nothing to store") : Either.right(undefined)
  }
  return Predicate.hasProperty(value, Stream.StreamTypeId)
    ? Either.right(undefined)
    : refuse("data", "must be a Uint8Array or a Stream of them")
}
