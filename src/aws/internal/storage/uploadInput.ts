/** The arguments of an upload, checked before anything is sent: S3 accepts most mistakes and keeps them. */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import * as StorageKey from "../../StorageKey.ts"
import { invalidInput, type Refusal, refuse } from "../errors/invalidInput.ts"
import * as MediaTypes from "./mediaTypes.ts"

/** A file to store. `E` and `R` are those of the stream that it comes from. */
export interface UploadInput<E = never, R = never> {
  /**
   * The bytes, at least one. Bytes in memory must not change while they are sent; up to 16 MiB are sent as one request.
   * A stream may have up to 10,000 parts of 8 MiB. At most five parts are held at a time. An upload takes about 120 MiB
   * of memory in all, whatever its length.
   */
  readonly data: Uint8Array | Stream.Stream<Uint8Array, E, R>
  /** A positive integer. */
  readonly customerId: number
  /** A positive integer, or 1-128 letters, digits, `-` and `_`. */
  readonly discussionId?: number | string | undefined
  /** 1-16 letters and digits, in any case, with or without a leading dot. */
  readonly fileExtension: string
  /** Default: the type that belongs to the extension, or `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** The `Cache-Control` that the file is served with; printable ASCII. */
  readonly cacheControl?: string | undefined
  /** The `Content-Disposition` that the file is served with; printable ASCII. */
  readonly contentDisposition?: string | undefined
  /** Texts that S3 keeps and serves with the file: printable ASCII, at most 2 KiB. S3 makes the names lower case. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Called after each part with the bytes that S3 has confirmed so far. */
  readonly onProgress?: ((bytes: number) => Effect.Effect<void>) | undefined
}

export interface Checked {
  readonly key: Omit<StorageKey.StorageKey, "timestamp" | "uuid">
  readonly contentType: string
}

/** The parts of the key and the content type, or the first thing that is wrong with the arguments. */
export const check = (
  operation: string,
  category: StorageKey.Category,
  input: UploadInput<unknown, unknown>
): Either.Either<Checked, ServiceError> =>
  Either.gen(function*() {
    const customerId = yield* customer(input.customerId)
    const discussionId = yield* discussion(input.discussionId)
    const fileExtension = yield* extension(input.fileExtension)
    const contentType = input.contentType === undefined
      ? yield* MediaTypes.ofExtension(category, fileExtension)
      : yield* MediaTypes.explicit(category, input.contentType)
    yield* header("cacheControl", input.cacheControl)
    yield* header("contentDisposition", input.contentDisposition)
    yield* metadata(input.metadata)
    yield* data(input.data)
    return { key: { customerId, discussionId, category, fileExtension }, contentType }
  }).pipe(Either.mapLeft((refusal) => invalidInput("S3", operation, refusal)))

const empty: Refusal = { field: "data", detail: "is empty", hint: "upload at least one byte" }

/** A body that turns out to be empty when it is read. */
export const emptyBody = (operation: string): ServiceError => invalidInput("S3", operation, empty)

/** A key to read or delete. An empty key would address the bucket. The SDK does not escape `.` and `..` in the path. */
export const checkKey = (operation: string, key: string): Either.Either<string, ServiceError> =>
  typeof key === "string" && key !== "" && Buffer.byteLength(key) <= 1024 && !/\p{Cc}/u.test(key)
    && !key.split("/").some((segment) => segment === "." || segment === "..")
    ? Either.right(key)
    : Either.left(invalidInput("S3", operation, {
      field: "key",
      detail: "must be 1-1024 bytes without control characters and without the segments '.' and '..'"
    }))

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

const printable = (value: unknown): value is string => typeof value === "string" && /^[\x20-\x7e]*$/.test(value)

const header = (field: string, value: unknown): Either.Either<void, Refusal> =>
  value === undefined || (printable(value) && value.trim() !== "" && value.length <= 1024)
    ? Either.void
    : refuse(
      field,
      "must be 1-1024 printable ASCII characters",
      "encode other characters, as in filename*=UTF-8''na%C3%AFve.pdf"
    )

/** In bytes. S3 counts the names and the values together. */
const metadataLimit = 2048

const metadata = (value: unknown): Either.Either<void, Refusal> => {
  if (value === undefined) return Either.void
  if (!Predicate.isRecord(value)) return refuse("metadata", "must be an object of texts")
  const entries = Object.entries(value)
  if (entries.some(([name]) => !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name))) {
    return refuse("metadata", "must have names of letters, digits, '-' and '_'")
  }
  if (new Set(entries.map(([name]) => name.toLowerCase())).size < entries.length) {
    return refuse("metadata", "must have names that differ in more than case")
  }
  if (!entries.every(([, text]) => printable(text))) {
    return refuse("metadata", "must have values of printable ASCII characters")
  }
  return entries.reduce((sum, [name, text]) => sum + name.length + String(text).length, 0) <= metadataLimit
    ? Either.void
    : refuse("metadata", `must not be larger than ${metadataLimit} bytes, names and values together`)
}

const data = (value: unknown): Either.Either<void, Refusal> => {
  if (value instanceof Uint8Array) return value.byteLength === 0 ? Either.left(empty) : Either.void
  return Predicate.hasProperty(value, Stream.StreamTypeId)
    ? Either.void
    : refuse("data", "must be a Uint8Array or a Stream of them")
}
