/**
 * Values as literals of SQL, for the text protocol. They mean the same in every `sql_mode`, and have the types that the
 * binary protocol gives to parameters.
 *
 * The connection must speak UTF-8: in other character sets a byte of another character may be read as a quotation mark.
 */
import { literalOf } from "./dates.ts"

/** Puts the values into a text, at the positions of its placeholders. Dates are written in a time zone so far ahead of UTC. */
export const interpolate = (
  sql: string,
  positions: ReadonlyArray<number>,
  values: ReadonlyArray<unknown>,
  ahead: number
): string => {
  let text = ""
  let from = 0
  for (let i = 0; i < positions.length; i++) {
    const before = sql.slice(from, positions[i])
    // The spaces keep a literal apart from the words beside it: AND? is fine, AND1 is a name. After -- one begins a comment.
    text += `${before}${before.endsWith("-") ? "" : " "}${literal(values[i], ahead)} `
    from = positions[i]! + 1
  }
  return text + sql.slice(from)
}

const literal = (value: unknown, ahead: number): string => {
  switch (typeof value) {
    case "string":
      return text(value)
    case "number":
      return number(value)
    case "bigint":
    case "boolean":
      return String(value)
    default:
      if (value === null) return "NULL"
      return value instanceof Date
        ? `TIMESTAMP'${literalOf(value, ahead)}000'`
        : `_binary X'${(value as Buffer).toString("hex")}'`
  }
}

/** Without an exponent, 1.5 would be a DECIMAL. */
const number = (value: number): string => {
  if (Object.is(value, -0)) return "-0e0"
  const digits = String(value)
  return Number.isSafeInteger(value) || digits.includes("e") ? digits : `${digits}e0`
}

/**
 * A backslash is an escape in one `sql_mode` and a character in another, so such a text is written in hexadecimal. The
 * quotation mark is doubled, which means the same in all of them.
 */
const text = (value: string): string =>
  /[\\\0\x1a]/.test(value) ? `_utf8mb4 X'${Buffer.from(value).toString("hex")}'` : `'${value.replaceAll("'", "''")}'`
