/**
 * Dates and times of MySQL as they are on the wire: as text, or as the bytes of the binary protocol, here one character
 * for each byte.
 *
 * The driver's own readers move a date that does not exist to another day (`1950-06-00` to `1950-05-31`), and write times
 * without the digits that the text protocol shows.
 */

const MINUTE = 60_000

/** The Gregorian calendar repeats after 400 years. */
const CYCLE_YEARS = 400
const CYCLE = 146_097 * 86_400_000

/** The minutes by which that time zone (`+02:00`, `Z`) is ahead of UTC. */
export const minutesAhead = (timezone: string): number => {
  if (timezone === "+00:00" || timezone === "Z") return 0
  const minutes = Number(timezone.slice(1, 3)) * 60 + Number(timezone.slice(4, 6))
  return timezone.startsWith("-") ? -minutes : minutes
}

const daysIn = (year: number, month: number): number =>
  month === 2
    ? (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
    : month === 4 || month === 6 || month === 9 || month === 11
    ? 30
    : 31

const dateOf = (
  year: number,
  month: number,
  day: number,
  hours: number,
  minutes: number,
  seconds: number,
  millis: number
): Date | undefined => {
  if (month < 1 || month > 12 || day < 1 || (day > 28 && day > daysIn(year, month))) return undefined
  // Date.UTC takes the years 0 to 99 for 1900 to 1999.
  return year < 100
    ? new Date(Date.UTC(year + CYCLE_YEARS, month - 1, day, hours, minutes, seconds, millis) - CYCLE)
    : new Date(Date.UTC(year, month - 1, day, hours, minutes, seconds, millis))
}

const twoDigits = (text: string, at: number): number => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528

/** A date or a moment in UTC, from the text protocol; undefined if there is no such date. */
export const dateOfText = (text: string): Date | undefined => {
  if (text.length < 10 || text.charCodeAt(4) !== 45) return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  return text.length < 19 ? dateOf(year, month, day, 0, 0, 0, 0) : dateOf(
    year,
    month,
    day,
    twoDigits(text, 11),
    twoDigits(text, 14),
    twoDigits(text, 17),
    text.length > 20 ? Number(text.slice(20, 23).padEnd(3, "0")) : 0
  )
}

const uint16 = (bytes: string, at: number): number => bytes.charCodeAt(at) | bytes.charCodeAt(at + 1) << 8
const uint32 = (bytes: string, at: number): number => uint16(bytes, at) + uint16(bytes, at + 2) * 0x10000

/** A date or a moment in UTC, from the binary protocol; undefined if there is no such date. */
export const dateOfBytes = (bytes: string): Date | undefined => {
  const { length } = bytes
  if (length < 4) return undefined
  const year = uint16(bytes, 0)
  const month = bytes.charCodeAt(2)
  const day = bytes.charCodeAt(3)
  return length < 7 ? dateOf(year, month, day, 0, 0, 0, 0) : dateOf(
    year,
    month,
    day,
    bytes.charCodeAt(4),
    bytes.charCodeAt(5),
    bytes.charCodeAt(6),
    length < 11 ? 0 : Math.floor(uint32(bytes, 7) / 1000)
  )
}

const padded = (value: number, digits: number): string => String(value).padStart(digits, "0")

/** The digits after the seconds, as many as the column has. A number above 6 stands for as many as are needed. */
const fraction = (micros: number, decimals: number): string =>
  decimals === 0 || (decimals > 6 && micros === 0) ? "" : `.${padded(micros, 6).slice(0, Math.min(decimals, 6))}`

const clock = (hours: number, bytes: string, at: number): string =>
  `${padded(hours, 2)}:${padded(bytes.charCodeAt(at), 2)}:${padded(bytes.charCodeAt(at + 1), 2)}`

/** The text that the text protocol has for the bytes of a DATE. */
export const textOfDate = (bytes: string): string =>
  bytes.length < 4
    ? "0000-00-00"
    : `${padded(uint16(bytes, 0), 4)}-${padded(bytes.charCodeAt(2), 2)}-${padded(bytes.charCodeAt(3), 2)}`

/** The same for a DATETIME or TIMESTAMP with that many decimals. */
export const textOfMoment = (bytes: string, decimals: number): string =>
  `${textOfDate(bytes)} ${bytes.length < 7 ? "00:00:00" : clock(bytes.charCodeAt(4), bytes, 5)}`
  + fraction(bytes.length < 11 ? 0 : uint32(bytes, 7), decimals)

/** The same for a TIME with that many decimals: `-838:59:59`. */
export const textOfTime = (bytes: string, decimals: number): string =>
  bytes.length < 8
    ? `00:00:00${fraction(0, decimals)}`
    : (bytes.charCodeAt(0) === 0 ? "" : "-") + clock(uint32(bytes, 1) * 24 + bytes.charCodeAt(5), bytes, 6)
      + fraction(bytes.length < 12 ? 0 : uint32(bytes, 8), decimals)

/** `YYYY-MM-DD hh:mm:ss.mmm` of a date, in the time zone that is so many minutes ahead of UTC. */
export const literalOf = (date: Date, ahead: number): string =>
  new Date(date.getTime() + ahead * MINUTE).toISOString().replace("T", " ").slice(0, 23)

/** Whether MySQL has that date, in the time zone that is so many minutes ahead of UTC: in the years 0 to 9999. */
export const isInRange = (date: Date, ahead: number): boolean => {
  const year = new Date(date.getTime() + ahead * MINUTE).getUTCFullYear()
  return year >= 0 && year <= 9999
}

/** The moment that a clock in the time zone showed, so many minutes ahead of UTC, for the same clock in UTC. */
export const inZone = (date: Date | undefined, ahead: number): Date | undefined =>
  date === undefined || ahead === 0 ? date : new Date(date.getTime() - ahead * MINUTE)
