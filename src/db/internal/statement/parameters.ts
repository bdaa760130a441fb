/** Parameters as they are sent to the server: the same in the binary and the text protocol. */
import * as Either from "effect/Either"
import type { Finding } from "../../../internal/valueChecks.ts"

/**
 * - string, finite number, boolean, null, Date and Buffer as they are;
 * - bigint as its decimal digits;
 * - other byte arrays as binary; plain objects and arrays as JSON.
 *
 * `undefined` is refused rather than sent as NULL: a misspelt property would silently empty a column. So are NaN,
 * infinities, invalid dates, functions and symbols, which have no SQL value. The left side names the position, never the
 * value.
 */
export const encode = (values: ReadonlyArray<unknown>): Either.Either<ReadonlyArray<unknown>, Finding> => {
  let encoded: Array<unknown> | undefined
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === null) continue
    switch (typeof value) {
      case "string":
      case "boolean":
        continue
      case "number":
        if (Number.isFinite(value)) continue
        return refused(i, "is not a finite number")
      case "bigint":
        encoded ??= [...values]
        encoded[i] = value.toString()
        continue
      case "object":
        break
      default:
        return refused(i, `is ${typeof value}`, "pass null for SQL NULL")
    }
    if (value instanceof Date) {
      if (Number.isNaN(value.getTime())) return refused(i, "is an invalid Date")
    } else if (!Buffer.isBuffer(value)) {
      encoded ??= [...values]
      const converted = convert(value)
      if (converted === undefined) return refused(i, "cannot be written as JSON")
      encoded[i] = converted
    }
  }
  return Either.right(encoded ?? values)
}

const convert = (value: object): unknown => {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

const refused = (index: number, why: string, hint?: string): Either.Either<never, Finding> =>
  Either.left({ detail: `parameter ${index + 1} ${why}`, ...(hint === undefined ? {} : { hint }) })
