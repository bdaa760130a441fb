/**
 * Prepared statements by the types of their values.
 *
 * MySQL (9.7 and, by its manual, from 8.0.22) keeps the types that a prepared statement's parameters had and converts later
 * values to them: after `5.5`, the text `12345678901234567890` for a VARCHAR or a DECIMAL column is stored as
 * 1.2345678901234567e19; after `5`, JSON_SET(doc, '$.a', ?) makes a 0 of `'text'`. So values of other types get a
 * prepared statement of their own. MariaDB has no such memory.
 */
import { DOUBLE, FLOAT } from "./wireTypes.ts"

/** One prepared statement of a text. */
export interface Variant {
  /** No other prepared statement of the connection has it. */
  readonly key: string
  /** The kinds of its values so far; 0 where all of them were NULL. */
  readonly kinds: Uint8Array
  /** The server's descriptions of its parameters, once it is prepared. */
  parameters: ReadonlyArray<{ readonly columnType: number }> | undefined
}

/** A text whose values vary more than that is prepared again, in the place of the variant that was made first. */
const MAX_VARIANTS = 4

/** The most texts that are remembered, twice as many as the driver keeps prepared. A full memory is emptied. */
const MAX_TEXTS = 256

/** Longer texts are not remembered, in UTF-16 code units: they are found again by the kinds of all their values. */
const MAX_LENGTH = 10_000

export class PreparedVariants {
  readonly #byText = new Map<string, Array<Variant>>()
  #keys = 0

  /** The statement for that text with such values. `onReplaced` is told the one whose place it takes, if it takes one. */
  find(sql: string, values: ReadonlyArray<unknown>, onReplaced: (replaced: Variant) => void): Variant {
    if (sql.length > MAX_LENGTH) {
      const kinds = kindsOf(values)
      return { key: kinds.join(""), kinds, parameters: undefined }
    }
    let variants = this.#byText.get(sql)
    if (variants === undefined) {
      if (this.#byText.size >= MAX_TEXTS) this.#byText.clear()
      variants = []
      this.#byText.set(sql, variants)
    }
    for (let i = 0; i < variants.length; i++) if (accepts(variants[i]!, values)) return variants[i]!
    if (variants.length >= MAX_VARIANTS) onReplaced(variants.shift()!)
    const made: Variant = { key: `#${++this.#keys}`, kinds: kindsOf(values), parameters: undefined }
    variants.push(made)
    return made
  }
}

/** Whether the statement may be run with these values; if so, remembers their kinds. */
const accepts = ({ kinds, parameters }: Variant, values: ReadonlyArray<unknown>): boolean => {
  const { length } = values
  if (kinds.length !== length) return false
  let learnt = false
  for (let i = 0; i < length; i++) {
    const kind = kindOf(values[i])
    const known = kinds[i]!
    if (kind === known || kind === NULL) continue
    if (known === NULL) learnt = true
    else if (kind > REAL || known > REAL || !isReal(parameters?.[i]?.columnType)) return false
  }
  if (learnt) { for (let i = 0; i < length; i++) kinds[i] ||= kindOf(values[i]) }
  return true
}

/** Where the server takes a DOUBLE anyway, integers and other numbers are the same to it. */
const isReal = (columnType: number | undefined): boolean => columnType === DOUBLE || columnType === FLOAT

const NULL = 0
const INTEGER = 1
const REAL = 2
const UNSIGNED = 3
const DECIMAL = 4
const TEXT = 5
const MOMENT = 6
const BYTES = 7

const kindsOf = (values: ReadonlyArray<unknown>): Uint8Array => Uint8Array.from(values, kindOf)

/** By the types in which `executePacket` sends values. */
const kindOf = (value: unknown): number => {
  switch (typeof value) {
    case "string":
      return TEXT
    case "number":
      return Number.isSafeInteger(value) ? INTEGER : REAL
    case "bigint":
      return BigInt.asIntN(64, value) === value ? INTEGER : BigInt.asUintN(64, value) === value ? UNSIGNED : DECIMAL
    case "boolean":
      return INTEGER
    default:
      return value === null ? NULL : value instanceof Date ? MOMENT : BYTES
  }
}
