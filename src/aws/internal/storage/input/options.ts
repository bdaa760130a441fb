/** The options of the other methods of Storage, checked, with their defaults. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import { finiteDuration } from "../../../../internal/finiteDuration.ts"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"
import type { Condition, Copy, Listing, ObjectHead, Reading } from "../backend.ts"
import * as MediaTypes from "../mediaTypes.ts"
import type {
  CopyOptions,
  ListPagesOptions,
  PresignOptions,
  PresignPutOptions,
  PresignReadOptions,
  PutOptions,
  ReadBytesOptions,
  ReadOptions
} from "../model.ts"
import { contentDisposition, headers } from "./headers.ts"
import * as Key from "./key.ts"
import { object } from "./object.ts"

type Checked<A> = Either.Either<A, Refusal>

export const put = (
  key: unknown,
  options: PutOptions
): Checked<{ readonly head: ObjectHead; readonly condition: Condition }> =>
  Either.gen(function*() {
    yield* object("options", options)
    const text = yield* Key.key("key", key)
    const contentType = yield* MediaTypes.mediaType(options.contentType ?? MediaTypes.ofKey(text))
    if (options.ifNoneMatch !== undefined && (options.ifNoneMatch as unknown) !== "*") {
      return yield* refuse("ifNoneMatch", "must be \"*\"", "ifMatch takes an ETag")
    }
    if (options.ifNoneMatch !== undefined && options.ifMatch !== undefined) {
      return yield* refuse("ifNoneMatch", "excludes ifMatch")
    }
    const ifMatch = yield* etag("ifMatch", options.ifMatch)
    return {
      head: { key: text, contentType, ...(yield* headers(options)) },
      condition: { ifNoneMatch: options.ifNoneMatch, ifMatch }
    }
  })

export const read = (options: ReadOptions): Checked<Reading> =>
  Either.flatMap(object("options", options), () => reading(options))

const reading = (options: ReadOptions): Checked<Reading> => {
  const { range } = options
  if (range !== undefined) {
    if (!Predicate.isRecord(range)) return refuse("range", "must be { start, end } or { last }")
    if ("last" in range) {
      if (!isPosition(range.last) || range.last === 0) return refuse("range", "must have a positive integer as last")
    } else {
      const { end, start } = range
      if (!isPosition(start)) return refuse("range", "must have a start, or a last, that is an integer of at least 0")
      if (end !== undefined && !(isPosition(end) && end >= start)) {
        return refuse("range", "must have an end that is an integer of at least its start", "both are included")
      }
    }
  }
  return Either.map(etag("ifMatch", options.ifMatch), (ifMatch) => ({ range, ifMatch }))
}

export const list = (options: ListPagesOptions): Checked<Listing> =>
  Either.gen(function*() {
    yield* object("options", options)
    const prefix = yield* Key.prefix("prefix", options.prefix)
    const startAfter = yield* Key.prefix("startAfter", options.startAfter)
    const delimiter = yield* Key.prefix("delimiter", options.delimiter)
    const { pageSize = PAGE } = options
    if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > PAGE) {
      return yield* refuse("pageSize", `must be an integer of 1-${PAGE}`)
    }
    return {
      prefix: prefix ?? "",
      startAfter: startAfter === "" ? undefined : startAfter,
      delimiter: delimiter === "" ? undefined : delimiter,
      pageSize
    }
  })

/** S3's limit (ListObjectsV2, MaxKeys). */
const PAGE = 1000

export const copy = (from: unknown, to: unknown, options: CopyOptions): Checked<Copy> =>
  Either.gen(function*() {
    yield* object("options", options)
    const source = yield* Key.key("from", from)
    const target = yield* Key.key("to", to)
    const ifMatch = yield* etag("ifMatch", options.ifMatch)
    const { contentType, ifMatch: _, ...others } = options
    const stored = Object.values(others).some((value) => value !== undefined) || contentType !== undefined
    if (!stored && source === target) {
      return yield* refuse("to", "is the original", "give options to store it with, such as contentType")
    }
    const head = stored
      ? {
        key: target,
        contentType: yield* MediaTypes.mediaType(contentType ?? MediaTypes.ofKey(target)),
        ...(yield* headers(others))
      }
      : undefined
    return { from: source, to: target, head, ifMatch }
  })

/** In whole seconds. */
export const expiry = (options: PresignOptions): Checked<number> => {
  const duration = finiteDuration(options.expiresIn ?? "15 minutes")
  const seconds = duration === undefined ? Number.NaN : Duration.toSeconds(duration)
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= LONGEST_EXPIRY
    ? Either.right(seconds)
    : refuse(
      "expiresIn",
      "must be whole seconds, from 1 second to 7 days",
      "a number means milliseconds; write \"5 minutes\""
    )
}

/** Seven days, the limit of Signature Version 4. */
const LONGEST_EXPIRY = 7 * 24 * 60 * 60

export const onlyOnce = ({ onlyOnce = false }: PresignPutOptions): Checked<boolean> =>
  typeof onlyOnce === "boolean" ? Either.right(onlyOnce) : refuse("onlyOnce", "must be true or false")

/** What the answer to a presigned request says of itself. */
export const reply = (
  options: PresignReadOptions
): Checked<{ readonly contentDisposition: string | undefined; readonly contentType: string | undefined }> =>
  Either.all({
    contentDisposition: contentDisposition(options.contentDisposition),
    contentType: options.contentType === undefined
      ? Either.right(undefined)
      : MediaTypes.mediaType(options.contentType)
  })

/** The bytes that someone else may store, by a form. */
export const sizes = (
  { maxSize, minSize = 1 }: { readonly maxSize: unknown; readonly minSize?: unknown }
): Checked<{ readonly min: number; readonly max: number }> =>
  Either.flatMap(
    size("minSize", minSize, 0),
    (min) => Either.map(size("maxSize", maxSize, Math.max(min, 1)), (max) => ({ min, max }))
  )

/** The bytes that someone else may store. */
export const size = (field: string, value: unknown, least: number): Checked<number> =>
  isPosition(value) && value >= least && value <= LARGEST
    ? Either.right(value)
    : refuse(field, `must be a number of bytes, from ${least} to 5 GiB`)

/** What S3 takes in one request. */
const LARGEST = 5 * 1024 ** 3

/** The most bytes that `readBytes` reads. */
export const maxBytes = (options: ReadBytesOptions): Checked<number> =>
  Either.flatMap(object("options", options), () => {
    const { maxBytes = MAX_BYTES } = options
    return isPosition(maxBytes) ? Either.right(maxBytes) : refuse("maxBytes", "must be a number of bytes")
  })

const MAX_BYTES = 64 * 1024 * 1024

const isPosition = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const etag = (field: string, value: unknown): Checked<string | undefined> =>
  value === undefined || (typeof value === "string" && /^"[\x21\x23-\x7e]{1,255}"$/.test(value))
    ? Either.right(value as string | undefined)
    : refuse(field, "must be an ETag in double quotes, as head and put return it")
