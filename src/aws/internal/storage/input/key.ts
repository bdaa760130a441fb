/** The keys that callers give. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as StorageKey from "../../../StorageKey.ts"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"

/** S3's limit, in bytes of UTF-8. */
const LONGEST = 1024

/** An empty key would address the bucket. The SDK does not escape `.` and `..` in the path. */
export const key = (field: string, value: unknown): Either.Either<string, Refusal> =>
  typeof value === "string" && value !== "" && isText(value)
    && !value.split("/").some((segment) => segment === "." || segment === "..")
    ? Either.right(value)
    : refuse(
      field,
      `must be 1-${LONGEST} bytes without control characters, U+FFFE and U+FFFF, and without the segments '.' and '..'`
    )

/** A key, as text or as the parts of one. */
export const keyOrParts = (value: unknown): Either.Either<string, Refusal> => {
  if (!Predicate.isRecord(value)) return key("key", value)
  return StorageKey.isParts(value)
    ? Either.right(StorageKey.format(value))
    : refuse("key", "is not made of valid parts", "see StorageKey")
}

/** The beginning of keys, or a text between them. */
export const prefix = (field: string, value: unknown): Either.Either<string | undefined, Refusal> =>
  value === undefined || (typeof value === "string" && isText(value))
    ? Either.right(value)
    : refuse(field, `must be at most ${LONGEST} bytes without control characters, U+FFFE and U+FFFF`)

/** XML cannot carry the other characters: one of them would fail the whole request that names the key among others. */
const isText = (value: string): boolean =>
  Buffer.byteLength(value) <= LONGEST && !/[\p{Cc}\p{Cs}\ufffe\uffff]/u.test(value)
