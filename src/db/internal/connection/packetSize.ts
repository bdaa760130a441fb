/** How large a statement is on the wire. The server ends the connection after a packet that is too large for it. */

export interface Sized {
  readonly sql: string
  /** The text with its values in it, where it is not prepared and has some. */
  readonly text?: string
  readonly values: ReadonlyArray<unknown>
  readonly prepared: boolean
}

/** No character of any character set takes more bytes, for each of its UTF-16 code units. */
const MOST_PER_UNIT = 4

/** More than what a number, a date or the frame of a value takes; and than the frame of a packet. */
const OTHERS = 64

/**
 * The size in bytes of the largest packet of a statement if that may reach the limit, undefined if it certainly does not.
 *
 * The exact size is only worked out near the limit, for UTF-8; other character sets count as one byte for each character,
 * so what they need is not overrated. For each value there may be a byte or two more than are sent.
 */
export const sizeNear = (
  limit: number,
  statement: Sized,
  isUtf8: boolean
): number | undefined => {
  const { prepared, sql, text = sql, values } = statement
  const sizeOf = (text: string): number => isUtf8 ? Buffer.byteLength(text) : text.length
  // The code of the command, and the number of attributes that we do not send.
  if (!prepared) return MOST_PER_UNIT * text.length + OTHERS < limit ? undefined : 3 + sizeOf(text)
  let units = sql.length
  let bytes = OTHERS
  for (const value of values) {
    bytes += OTHERS
    if (typeof value === "string") units += value.length
    else if (ArrayBuffer.isView(value)) bytes += value.byteLength
  }
  if (MOST_PER_UNIT * units + bytes < limit) return undefined
  let execute = 11 + lengthSize(values.length)
  for (const value of values) {
    const size = typeof value === "string" ? sizeOf(value) : ArrayBuffer.isView(value) ? value.byteLength : undefined
    // A bit for NULL, two bytes of type and one of an empty name.
    execute += 3 + 1 / 8 + (size === undefined ? scalarSize(value) : lengthSize(size) + size)
  }
  return Math.max(1 + sizeOf(sql), Math.ceil(execute))
}

/** The bytes of a length before its value. */
const lengthSize = (length: number): number => length < 251 ? 1 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 9

/** A number takes 8 bytes, a date 12, the others less. */
const scalarSize = (value: unknown): number => value === null ? 0 : value instanceof Date ? 12 : 8
