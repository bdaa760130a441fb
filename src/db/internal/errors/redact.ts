/** What of the server's messages may be shown: they quote values, which no error of ours repeats. */

/** For messages that hold identifiers, accounts and addresses only. */
export const keep = (original: string): string => original

export const fixed = (text: string) => (): string => text

/**
 * Takes out all between the first quotation mark and the last, because a quoted value may hold such marks itself; if
 * their number is odd, all that follows the first. The apostrophe of "can't" is none. For numbers that nobody listed.
 */
export const masked = (original: string): string => {
  const marks = Array.from(original.matchAll(/(?<!n)'|'(?!t\b)|["`´‘’“”„«»]/g), ({ index }) => index)
  const [first] = marks
  if (first === undefined) return original
  const end = marks.length % 2 === 0 ? (marks.at(-1) ?? first) + 1 : original.length
  return `${original.slice(0, first)}'?'${original.slice(end)}`
}

// Patterns are anchored at the end: what the server quotes comes before, and could look like anything.
export const keyOf = (original: string): string | undefined => /for key '(?:[^']*\.)?([^'.]+)'$/.exec(original)?.[1]

const columnOf = (original: string): string | undefined => {
  const [, quoted, ticked] = /for column (?:'([^']+)'|(?:`[^`]+`\.)*`([^`]+)`) at row \d+$/.exec(original) ?? []
  return quoted ?? ticked
}

export const foreignKeyOf = (original: string): string | undefined =>
  /CONSTRAINT `((?:[^`]|``)+)` FOREIGN KEY/.exec(original)?.[1]?.replaceAll("``", "`")

export const checkOf = (original: string): string | undefined =>
  /^Check constraint '([^']+)' is violated/.exec(original)?.[1]
    ?? /^CONSTRAINT [`'](?:[^`']*\.)?([^`'.]+)[`'] failed for/.exec(original)?.[1]

export const duplicate = (original: string): string => {
  const key = keyOf(original)
  return key === undefined
    ? "a row with the same unique key exists"
    : `a row with the same value of the key '${key}' exists`
}

export const badValue = (original: string): string => {
  const column = columnOf(original)
  return column === undefined
    ? "a value is not valid for the type that the statement needs"
    : `the value is not valid for the column '${column}'`
}

// Where there is no column the server puts the text of an expression, with its values.
export const misfit = (original: string): string =>
  /'[\p{L}\p{N}_$.]+' at row \d+$/u.test(original) ? original : "a value does not fit its column"

export const syntax = (original: string): string => {
  const line = /at line (\d+)$/.exec(original)?.[1]
  return `the server does not understand the statement${line === undefined ? "" : ` (line ${line} of it)`}`
}
