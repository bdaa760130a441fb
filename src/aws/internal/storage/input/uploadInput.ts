/** The arguments of an upload whose key we make, checked before anything is sent. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as StorageKey from "../../../StorageKey.ts"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"
import type { ObjectHead } from "../backend.ts"
import { isActive } from "../content/activeContent.ts"
import * as MediaTypes from "../mediaTypes.ts"
import type { Data, WriteOptions } from "../model.ts"
import { headers } from "./headers.ts"
import { object } from "./object.ts"

/** Whose file it is and what it is: what the key is made of. */
export interface FileInput {
  /** A positive integer. */
  readonly customerId: number
  /** A positive integer, or 1-128 letters, digits, `-` and `_`. */
  readonly discussionId?: number | string | undefined
  /** 1-16 letters and digits, in any case, with or without a leading dot. */
  readonly fileExtension: string
  /** Default: the type that belongs to the extension, or `application/octet-stream`. */
  readonly contentType?: string | undefined
}

/** A file to store. `E` and `R` are those of the stream that it comes from. */
export interface UploadInput<E = never, R = never> extends FileInput, WriteOptions {
  readonly data: Data<E, R>
}

/** A file that someone else stores: a browser, for example. Everything but the data is said beforehand. */
export interface PresignInput
  extends FileInput, Omit<WriteOptions, "size" | "verifyContent" | "onProgress" | "checksum">
{
  /** Default: `attachment`. */
  readonly category?: StorageKey.Category | undefined
}

export interface Checked {
  readonly key: Omit<StorageKey.StorageKey, "timestamp" | "uuid">
  readonly head: Omit<ObjectHead, "key">
}

/**
 * The parts of the key and the headers, or the first thing that is wrong with the arguments. What a browser would run if
 * it were opened is saved instead, unless the caller says otherwise.
 */
export const check = (
  category: StorageKey.Category,
  input: FileInput & Omit<WriteOptions, "size">
): Either.Either<Checked, Refusal> =>
  Either.gen(function*() {
    yield* object("input", input)
    if (!StorageKey.categories.includes(category)) {
      return yield* refuse("category", `must be one of ${StorageKey.categories.join(", ")}`)
    }
    const customerId = yield* customer(input.customerId)
    const discussionId = yield* discussion(input.discussionId)
    const fileExtension = yield* extension(input.fileExtension)
    const contentType = yield* MediaTypes.contentType(category, fileExtension, input.contentType)
    const others = yield* headers(
      input.contentDisposition === undefined && isActive(contentType, fileExtension)
        ? { ...input, contentDisposition: "attachment" }
        : input
    )
    return { key: { customerId, discussionId, category, fileExtension }, head: { contentType, ...others } }
  })

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
