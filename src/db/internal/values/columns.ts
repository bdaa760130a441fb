/**
 * How the columns of a result become JavaScript values: exact, and the same in both protocols and from both servers.
 *
 * The driver reads what it reads exactly. Of the other columns it is made to give the plain bytes or text, and their values
 * are converted when the whole reply has been read: nothing can fail in the middle of it, and a result without such
 * columns costs nothing more.
 */
import type { Finding } from "../../../internal/valueChecks.ts"
import * as Types from "../connection/wireTypes.ts"
import type { Settings } from "../settings/settings.ts"
import { dateOfBytes, dateOfText, inZone, minutesAhead, textOfDate, textOfMoment, textOfTime } from "./dates.ts"
import { numbersOfVector, parseJson, shortestSingle } from "./numbers.ts"

/** A column as the server describes it, in the driver's shape. The driver reads its values by these members. */
export interface Field {
  readonly name: string
  /** The table and the column that it comes from; empty for an expression. */
  readonly orgTable: string
  readonly orgName: string
  readonly columnLength: number
  readonly decimals: number
  /** MariaDB's extended metadata: `json` for its JSON, which is a LONGTEXT. */
  readonly extendedFormat: string | undefined
  columnType: number
  characterSet: number
  encoding: string
}

/** A column whose values must be converted. */
export interface Column {
  /** Its name, or its number in rows that are arrays. */
  readonly key: string | number
  readonly field: Field
  readonly index: number
  readonly decoder: Decoder
}

interface Decoder {
  /** The JavaScript value; undefined if there is none that is exact. `raw` is not NULL. */
  readonly decode: (raw: any, field: Field) => unknown
  /** Why there is none: what follows "the column … of its result". */
  readonly problem: Finding
}

/** Makes the columns of a database's results; `bigint`, `dates` and `timezone` are options of its URL. */
export class Decoding {
  readonly #bigint: Decoder | undefined
  readonly #narrowIsNumber: boolean
  readonly #dateOfText: Decoder | undefined
  readonly #dateOfBytes: Decoder
  readonly #momentOfBytes: Decoder

  constructor({ bigint, dates, timezone }: Pick<Settings, "bigint" | "dates" | "timezone">) {
    this.#bigint = integers[bigint]
    this.#narrowIsNumber = bigint !== "number"
    const ahead = minutesAhead(timezone)
    const asText = dates === "string"
    const date = (read: (raw: string) => Date | undefined): Decoder => ({
      decode: ahead === 0 ? read : (raw: string) => inZone(read(raw), ahead),
      problem: NO_SUCH_DATE
    })
    this.#dateOfText = asText ? undefined : date(dateOfText)
    this.#dateOfBytes = asText ? exact(textOfDate) : date(dateOfBytes)
    this.#momentOfBytes = asText ? exact((raw, { decimals }) => textOfMoment(raw, decimals)) : this.#dateOfBytes
  }

  /** The columns of a result that must be converted; undefined if there are none. Makes the driver give their bytes. */
  columns(fields: ReadonlyArray<Field>, binary: boolean, rowsAsArray: boolean): ReadonlyArray<Column> | undefined {
    let columns: Array<Column> | undefined
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index]!
      const decoder = this.#decoder(field, binary)
      // Of columns with the same name, a row has the last one.
      if (decoder === undefined || (!rowsAsArray && isHidden(fields, index))) continue
      columns ??= []
      columns.push({ key: rowsAsArray ? index : field.name, field, index, decoder })
    }
    return columns
  }

  #decoder(field: Field, binary: boolean): Decoder | undefined {
    switch (field.columnType) {
      case Types.LONGLONG:
        return this.#narrowIsNumber && isNarrow(field) ? undefined : this.#bigint
      case Types.DATE:
      case Types.NEWDATE:
        readAs(field, LATIN1)
        return binary ? this.#dateOfBytes : this.#dateOfText
      case Types.DATETIME:
      case Types.TIMESTAMP:
        readAs(field, LATIN1)
        return binary ? this.#momentOfBytes : this.#dateOfText
      case Types.TIME:
        if (!binary) return undefined
        readAs(field, LATIN1)
        return TIME
      case Types.FLOAT:
        return SINGLE
      case Types.DOUBLE:
        // The driver's reading of 16 and 17 digits is sometimes off by one in the last.
        if (binary) return undefined
        readAs(field, LATIN1)
        return DOUBLE
      case Types.JSON:
        readAs(field, UTF8)
        return JSON_TEXT
      case Types.VECTOR:
        readAs(field, BINARY)
        return VECTOR
      default:
        // The driver gives the text, because of its option `jsonStrings`.
        return field.extendedFormat === "json" ? JSON_TEXT : undefined
    }
  }
}

/**
 * Converts the values of a row in place. Returns the column whose value has no exact JavaScript value, if there is one;
 * the values of the columns after it are left as they are.
 */
export const decodeRow = (
  row: Record<string | number, unknown>,
  columns: ReadonlyArray<Column>
): Column | undefined => {
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!
    const { decoder, field, key } = column
    const raw = row[key]
    if (raw === null) continue
    let value: unknown
    try {
      value = decoder.decode(raw, field)
    } catch {
      // This runs in callbacks of the driver, where nothing must be thrown.
    }
    if (value === undefined) return column
    if (value !== raw) row[key] = value
  }
  return undefined
}

const exact = (decode: Decoder["decode"]): Decoder => ({
  decode,
  problem: { detail: "is not in the form that its type has" }
})

const NO_SUCH_DATE: Finding = {
  detail: "has a date that does not exist",
  hint: "correct the row, or read dates as text with the URL option dates=string"
}

const TIME = exact((raw, { decimals }) => textOfTime(raw, decimals))
const SINGLE = exact(shortestSingle)
const DOUBLE = exact(Number)
const VECTOR = exact(numbersOfVector)
const JSON_TEXT: Decoder = {
  decode: parseJson,
  problem: {
    detail: "has JSON that does not parse, or an integer in it beyond 2^53",
    hint: "read it as text, with CAST(… AS CHAR)"
  }
}

/** The driver gives a number up to 2^53, and the digits of a larger integer. */
const integers: Readonly<Record<Settings["bigint"], Decoder | undefined>> = {
  number: {
    decode: (raw: number | string) => typeof raw === "number" ? raw : undefined,
    problem: {
      detail: "has an integer beyond 2^53, which no JavaScript number holds exactly",
      hint: "set the URL option bigint to string, bigint or auto, or read it as text with CAST(… AS CHAR)"
    }
  },
  string: exact(String),
  bigint: exact(BigInt),
  auto: undefined
}

/**
 * A BIGINT that MySQL makes of a small integer expression such as `EXISTS`, and MariaDB an INT. A column that is declared
 * `bigint(11)` has the same length and holds any value, but it has a table.
 */
const isNarrow = (field: Field): boolean => field.columnLength <= 11 && field.orgTable === ""

const isHidden = (fields: ReadonlyArray<Field>, index: number): boolean => {
  const { name } = fields[index]!
  for (let i = index + 1; i < fields.length; i++) if (fields[i]!.name === name) return true
  return false
}

/** Character sets of the protocol, with the driver's names of their encodings. */
const LATIN1 = { characterSet: 8, encoding: "latin1" }
const UTF8 = { characterSet: 45, encoding: "utf8" }
const BINARY = { characterSet: 63, encoding: "binary" }

/** Makes the driver read a column as a text in that character set; as a Buffer for `BINARY`. */
const readAs = (field: Field, { characterSet, encoding }: typeof LATIN1): void => {
  field.columnType = Types.VAR_STRING
  field.characterSet = characterSet
  field.encoding = encoding
}
