/** Parameters of statements: what may be sent, in the form in which either protocol sends it. */
import * as Statement from "@effect/sql/Statement"
import * as Either from "effect/Either"
import type { Finding } from "../../../internal/valueChecks.ts"
import { isInRange } from "../values/dates.ts"
import { writeJson } from "../values/json.ts"

/**
 * - string, finite number, bigint, boolean, null, Date and Buffer as they are;
 * - other byte arrays as binary; plain objects and arrays as JSON.
 *
 * What has no exact SQL value is refused, rather than sent as something else: `undefined` as NULL would silently empty a
 * column for a misspelt property. The left side names the position, never the value. `ahead` is how many minutes the time
 * zone of dates is ahead of UTC.
 */
export const encode = (
  values: ReadonlyArray<unknown>,
  ahead: number
): Either.Either<ReadonlyArray<unknown>, Finding> => {
  let encoded: Array<unknown> | undefined
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    // The plainest values cost no call.
    if (value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) continue
    const found = encodeOne(value, ahead)
    if (isRefusal(found)) {
      const { detail, hint } = found.refusal
      return Either.left({ detail: `parameter ${i + 1} ${detail}`, ...(hint === undefined ? {} : { hint }) })
    }
    if (found === value) continue
    encoded ??= [...values]
    encoded[i] = found
  }
  return Either.right(encoded ?? values)
}

/** Why a value cannot be a parameter, as the end of a sentence that begins with its name; undefined if it can. */
export const refusalOf = (value: unknown): Finding | undefined => {
  const found = encodeOne(value, 0)
  return isRefusal(found) ? found.refusal : undefined
}

/** The same for `undefined` alone, which takes no time. */
export const refusalOfMissing = (value: unknown): Finding | undefined =>
  value === undefined ? MISSING.refusal : undefined

/** Not a value that can be sent, so it is not mistaken for one. */
class Refusal {
  readonly refusal: Finding
  constructor(detail: string, hint?: string) {
    this.refusal = hint === undefined ? { detail } : { detail, hint }
  }
}

const MISSING = new Refusal("is undefined", "pass null for SQL NULL")

const isRefusal = (value: unknown): value is Refusal => value instanceof Refusal

const encodeOne = (value: unknown, ahead: number): unknown => {
  switch (typeof value) {
    case "string":
      return isWellFormed(value)
        ? value
        : new Refusal("has half of a character (a lone surrogate)", "cut texts between characters")
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : new Refusal("is not a finite number")
    case "bigint":
      return value > MOST_DIGITS || value < -MOST_DIGITS ? new Refusal("has more than 65 digits") : value
    case "object":
      return value === null ? value : encodeObject(value, ahead)
    case "undefined":
      return MISSING
    default:
      return new Refusal(`is a ${typeof value}`)
  }
}

/** Half of a character would be sent as another character. TypeScript's library of ES2023 lacks the method. */
const isWellFormed = (text: string): boolean => (text as string & { isWellFormed(): boolean }).isWellFormed()

/** The largest DECIMAL. */
const MOST_DIGITS = 10n ** 65n - 1n

const encodeObject = (value: object, ahead: number): unknown => {
  if (value instanceof Date) {
    return Number.isNaN(value.getTime())
      ? new Refusal("is an invalid Date")
      : isInRange(value, ahead)
      ? value
      : new Refusal("is a Date outside of the years 0 to 9999, which are all that MySQL has")
  }
  if (Buffer.isBuffer(value)) return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  if (Statement.isFragment(value) || isHelper(value)) {
    return new Refusal("is a piece of SQL, not a value", "put it into the text of the statement")
  }
  const written = writeJson(value)
  if ("inexact" in written) {
    return new Refusal(
      `cannot be sent as JSON: it is or has ${written.inexact}`,
      "pass plain values: texts, numbers, plain objects, arrays"
    )
  }
  // A value of its own kind, such as a URL: JSON would put it in quotation marks.
  return written.json.startsWith("{") || written.json.startsWith("[")
    ? written.json
    : new Refusal("is an object that stands for a single value", "pass that value, as a text or a Date")
}

/** `sql("name")`, `sql.in(…)` and the like, which `@effect/sql` takes only directly in a template. */
const isHelper = (value: object): boolean =>
  Object.getPrototypeOf(value) !== Object.prototype
  && helperTags.has((value as { readonly _tag?: unknown })._tag)

const helperTags: ReadonlySet<unknown> = new Set([
  "Identifier",
  "ArrayHelper",
  "RecordInsertHelper",
  "RecordUpdateHelper",
  "RecordUpdateHelperSingle"
])
