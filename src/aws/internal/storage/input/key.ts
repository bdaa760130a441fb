/** The keys that callers give. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as StorageKey from "../../../StorageKey.ts"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"

/** S3's limit, in bytes of UTF-8. */
const LONGEST = 1024

/**
 * A key, as text or as the parts of one. An empty key would address the bucket. The SDK does not escape `.` and `..` in
 * the path.
 */
export const key = (field: string, value: unknown): Either.Either<string, Refusal> => {
  if (Predicate.isRecord(value)) {
    return StorageKey.isParts(value)
      ? Either.right(StorageKey.format(value))
      : refuse(field, "is not made of valid parts", "see the fields of StorageKey")
  }
  if (typeof value !== "string") return refuse(field, "must be a text, or the parts of a StorageKey")
  return value !== "" && isText(value) && !value.split("/").some((segment) => segment === "." || segment === "..")
    ? Either.right(value)
    : refuse(
      field,
      `must be 1-${LONGEST} bytes without control characters, U+FFFE and U+FFFF, and without the segments '.' and '..'`
    )
}

/** Keys, each of them once. */
export const keys = (field: string, value: unknown): Either.Either<ReadonlyArray<string>, Refusal> =>
  // The letters of a text would be keys.
  typeof value === "string" || !Predicate.isIterable(value)
    ? refuse(field, "must be a list of keys", "one key goes into a list, too")
    : Either.map(
      Either.all(Array.from(value, (one, index) => key(`${field}[${index}]`, one))),
      (keys) => [...new Set(keys)]
    )

/** The beginning of keys, or a text between them. */
export const prefix = (field: string, value: unknown): Either.Either<string | undefined, Refusal> =>
  value === undefined || (typeof value === "string" && isText(value))
    ? Either.right(value)
    : refuse(field, `must be a text of at most ${LONGEST} bytes without control characters, U+FFFE and U+FFFF`)

/** XML cannot carry the other characters: one of them would fail the whole request that names the key among others. */
const isText = (value: string): boolean =>
  Buffer.byteLength(value) <= LONGEST && !/[\p{Cc}\p{Cs}\ufffe\uffff]/u.test(value)
