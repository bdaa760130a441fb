/** Where the placeholders of a text are, for the text protocol, in which the values are written into it. */

/**
 * The positions of the `?` that stand for values: outside of strings, identifiers and comments. Undefined if the server may
 * see others: where a string ends may depend on the session's `sql_mode` (NO_BACKSLASH_ESCAPES, ANSI_QUOTES), and whether
 * the content of an executable comment counts, on the server's version.
 */
export const placeholdersOf = (sql: string): ReadonlyArray<number> | undefined => {
  const [found, ...others] = (sql.includes("\\") ? READINGS : FEWEST_READINGS).map((escaping) => scan(sql, escaping))
  return others.every((other) => String(other) === String(found)) ? found : undefined
}

/** The quotation marks within which a backslash may be an escape. Without a backslash it does not matter. */
const READINGS = ["'\"", "'", ""]
const FEWEST_READINGS = [""]

const TOKEN = /[?'"`#]|--(?=[\x00-\x20]|$)|\/\*/g

const scan = (sql: string, escaping: string): ReadonlyArray<number> | undefined => {
  const positions: Array<number> = []
  const token = new RegExp(TOKEN)
  for (let match = token.exec(sql); match !== null; match = token.exec(sql)) {
    const at = match.index
    if (match[0] === "?") {
      positions.push(at)
      continue
    }
    const end = endOf(sql, at, match[0], escaping)
    if (end === undefined) return undefined
    token.lastIndex = end
  }
  return positions
}

/** The position after what begins there; undefined if it does not end, or if nobody knows what it is. */
const endOf = (sql: string, at: number, opening: string, escaping: string): number | undefined => {
  switch (opening) {
    case "#":
    case "--": {
      const newline = sql.indexOf("\n", at)
      return newline < 0 ? sql.length : newline + 1
    }
    case "/*": {
      const end = sql.indexOf("*/", at + 2)
      if (end < 0) return undefined
      const executable = /^\/\*M?!/.test(sql.slice(at, at + 4))
      return executable && /[?'"`#\\]|--|\/\*/.test(sql.slice(at + 2, end)) ? undefined : end + 2
    }
    default: {
      // A doubled quotation mark within is the end of one piece and the beginning of the next.
      for (let i = at + 1; i < sql.length; i++) {
        if (sql[i] === opening) return i + 1
        if (sql[i] === "\\" && escaping.includes(opening)) i++
      }
      return undefined
    }
  }
}

/** What is wrong where a statement has another number of placeholders than of values. */
export const wrongCount = (placeholders: number, values: number): string =>
  `the number of placeholders is ${placeholders}, that of the values ${values}`
