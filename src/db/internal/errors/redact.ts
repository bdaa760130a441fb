/**
 * What an error may show of the server's messages. They quote values, and no error of ours repeats a value: a message
 * is kept, masked, or replaced by a description of ours.
 */

/** For messages that hold only identifiers, accounts and addresses. */
export const unchanged = (message: string): string => message

/** For messages of which nothing may be shown. */
export const replacedBy = (description: string) => (): string => description

/**
 * Masks everything from the first quotation mark to the last, because a quoted value may hold quotation marks itself;
 * if their number is odd, everything after the first. The apostrophe of "can't" does not count. For errors whose
 * errno is in no row.
 */
export const maskQuotedText = (message: string): string => {
  const marks = Array.from(message.matchAll(/(?<!n)'|'(?!t\b)|["`´‘’“”„«»]/g), ({ index }) => index)
  const [first] = marks
  if (first === undefined) return message
  const end = marks.length % 2 === 0 ? (marks.at(-1) ?? first) + 1 : message.length
  return `${message.slice(0, first)}'?'${message.slice(end)}`
}

export const describeDuplicate = (message: string): string => {
  const key = findKey(message)
  return key === undefined
    ? "a row with the same unique key exists"
    : `a row with the same value of the key '${key}' exists`
}

export const describeInvalidValue = (message: string): string => {
  const column = findColumn(message)
  return column === undefined
    ? "a value is not valid for the type that the statement needs"
    : `the value is not valid for the column '${column}'`
}

/** Such a message may name an expression instead of a column, and the expression may contain values. */
export const unchangedIfItNamesAColumn = (message: string): string =>
  /'[\p{L}\p{N}_$.]+' at row \d+$/u.test(message) ? message : "a value does not fit its column"

export const describeSyntaxError = (message: string): string => {
  const line = /at line (\d+)$/.exec(message)?.[1]
  return `the server does not understand the statement${line === undefined ? "" : ` (line ${line} of it)`}`
}

// A name is taken only from the end of the message, or from a form in which no value comes before it: a quoted value
// may look like anything, even like a name.

export const findKey = (message: string): string | undefined => /for key '(?:[^']*\.)?([^'.]+)'$/.exec(message)?.[1]

export const findForeignKey = (message: string): string | undefined =>
  /CONSTRAINT `((?:[^`]|``)+)` FOREIGN KEY/.exec(message)?.[1]?.replaceAll("``", "`")

export const findCheckConstraint = (message: string): string | undefined =>
  /^Check constraint '([^']+)' is violated/.exec(message)?.[1]
    ?? /^CONSTRAINT [`'](?:[^`']*\.)?([^`'.]+)[`'] failed for/.exec(message)?.[1]

const findColumn = (message: string): string | undefined => {
  const [, quoted, ticked] = /for column (?:'([^']+)'|(?:`[^`]+`\.)*`([^`]+)`) at row \d+$/.exec(message) ?? []
  return quoted ?? ticked
}
