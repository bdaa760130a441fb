/**
 * Several statements in one text, as libraries for `@effect/sql` write them: `` sql`INSERT …; SELECT …` ``. The server is
 * never asked to take more than one statement in a text, since that would widen every injection. Instead such a template
 * is split where its own source has a semicolon, and its statements are sent one by one. What is put into the template,
 * whatever it is, never makes one statement two.
 */
import { statementsIn } from "./inspectSql.ts"

/** A template of one statement: what is between the values, and the values. */
export interface Template {
  readonly strings: TemplateStringsArray
  readonly args: ReadonlyArray<unknown>
}

/** What stands for a value while the text is looked at. */
const VALUE = "?"

/** The statements of a template; undefined if it has only one, or it is not certain where they end. */
export const split = ({ args, strings }: Template): ReadonlyArray<Template> | undefined => {
  const ranges = rangesIn(strings)
  return ranges === undefined || ranges.length < 2 ? undefined : ranges.map(([start, end]) => {
    const parts: Array<string> = []
    const values: Array<unknown> = []
    let offset = 0
    strings.forEach((string, index) => {
      const from = Math.max(start - offset, 0)
      const to = end - offset
      if (from <= string.length && to >= 0) parts.push(string.slice(from, Math.max(to, 0)))
      offset += string.length
      if (index < args.length && offset >= start && offset < end) values.push(args[index])
      offset += VALUE.length
    })
    return { strings: Object.assign(parts, { raw: parts }), args: values }
  })
}

const rangesIn = (strings: TemplateStringsArray): ReturnType<typeof statementsIn> => {
  if (!known.has(strings)) {
    known.set(strings, strings.some((string) => string.includes(";")) ? statementsIn(strings.join(VALUE)) : undefined)
  }
  return known.get(strings)
}

/** The strings of a template in a source are always the same object. */
const known = new WeakMap<TemplateStringsArray, ReturnType<typeof statementsIn>>()

type Compiled = readonly [sql: string, params: ReadonlyArray<unknown>]

/** One of several statements, and how many of the parameters are its own. */
export interface Part {
  readonly sql: string
  readonly params: number
}

/** How many texts are remembered. A text is run soon after it was compiled. */
const MAX_TEXTS = 1_000

/** The statements of the texts that were compiled from such templates: some libraries keep no more than the text. */
export class SplitTexts {
  readonly #texts = new Map<string, ReadonlyArray<Part>>()

  /** Compiled statements as one. */
  join(statements: ReadonlyArray<Compiled>): Compiled {
    const sql = statements.map(([text]) => text).join(";")
    this.#texts.delete(sql)
    this.#texts.set(sql, statements.map(([text, params]) => ({ sql: text, params: params.length })))
    if (this.#texts.size > MAX_TEXTS) this.#texts.delete(this.#texts.keys().next().value!)
    return [sql, statements.flatMap(([, params]) => params)]
  }

  /** The statements of that text; undefined for any text that is not from a template of several statements. */
  partsOf(sql: string): ReadonlyArray<Part> | undefined {
    return this.#texts.get(sql)
  }
}
