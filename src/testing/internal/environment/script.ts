/** The statements of an SQL file, as the command line client of MySQL finds them: by `;`, or what DELIMITER says. */
import * as Either from "effect/Either"

export interface ScriptStatement {
  readonly text: string
  /** Where it begins in the file. */
  readonly offset: number
}

/** Why a file is not run. */
export interface Unusable {
  readonly offset: number
  readonly detail: string
  readonly hint: string
}

/** What is skipped as a whole besides texts and quoted names: not what the server executes of comments. */
const comment = /--(?=[\x00-\x20]|$)[^\n]*|#[^\n]*|\/\*(?!M?!)[^]*?\*\//y

/** A command of the client rather than a statement, where a statement would begin. */
const delimiterCommand = /DELIMITER[ \t]+(\S+)[ \t]*(?:\r?\n|$)/iy

/** Statements that would leave the database of the test. */
const leaving = /^(?:USE|(?:CREATE|DROP|ALTER)\s+(?:OR\s+REPLACE\s+)?(?:DATABASE|SCHEMA))\b/i

/** Commands of the client that would otherwise reach the server in the middle of a statement. */
const clientCommand = /^(?:SOURCE\s|\\)/i

/**
 * Splits a file. Backslashes escape in texts, as they do in every sql_mode but NO_BACKSLASH_ESCAPES. A quotation mark or
 * a comment that is not closed, and what leaves the database, make the file unusable.
 */
export const split = (sql: string): Either.Either<ReadonlyArray<ScriptStatement>, Unusable> => {
  const statements: Array<ScriptStatement> = []
  let delimiter = ";"
  let start = 0
  let at = 0
  let begun = false
  let unusable: Unusable | undefined

  const finish = (end: number): void => {
    const text = sql.slice(start, end)
    const bare = withoutComments(text)
    const offset = start + text.length - text.trimStart().length
    const beginning = asExecuted(bare)
    if (leaving.test(beginning)) {
      unusable ??= {
        offset,
        detail: `"${beginning.slice(0, 60).trim()}" leaves the database that is made for the test`,
        hint: "take it out; mysqldump writes it with --databases, or if the collation of the database was changed once"
      }
    } else if (clientCommand.test(bare)) {
      unusable ??= {
        offset,
        detail: "has a command of the mysql client, and only DELIMITER is understood",
        hint: "write out the statements"
      }
    } else if (bare !== "") statements.push({ text: text.trim(), offset })
    begun = false
  }

  while (at < sql.length && unusable === undefined) {
    if (!begun) {
      delimiterCommand.lastIndex = at
      const command = delimiterCommand.exec(sql)
      if (command !== null) {
        delimiter = command[1]!
        at = delimiterCommand.lastIndex
        start = at
        continue
      }
    }
    if (sql.startsWith(delimiter, at)) {
      finish(at)
      at += delimiter.length
      start = at
      continue
    }
    comment.lastIndex = at
    if (comment.test(sql)) {
      at = comment.lastIndex
      continue
    }
    const character = sql[at]!
    begun ||= character.trim() !== ""
    if (character === "'" || character === "\"" || character === "`") {
      const end = endOfQuoted(sql, at)
      if (end === undefined) {
        unusable = { offset: at, detail: `a quotation mark (${character}) is not closed`, hint: "close it" }
      } else at = end
    } else {
      if (/^\/\*(?!M?!)/.test(sql.slice(at, at + 4))) {
        unusable = { offset: at, detail: "a comment is not closed", hint: "close it" }
      }
      at++
    }
  }
  if (unusable === undefined) finish(sql.length)
  return unusable === undefined ? Either.right(statements) : Either.left(unusable)
}

/** The place behind a text or a quoted name. A doubled quotation mark is read as two texts side by side. */
const endOfQuoted = (sql: string, start: number): number | undefined => {
  const quote = sql[start]
  for (let at = start + 1; at < sql.length; at++) {
    if (sql[at] === quote) return at + 1
    if (sql[at] === "\\" && quote !== "`") at++
  }
  return undefined
}

/** The first words of a statement as the server reads them. */
const asExecuted = (bare: string): string =>
  bare.slice(0, 1_000)
    .replace(/\/\*M?!\d*/g, " ")
    .replace(/\/\*[^]*?\*\/|\*\//g, " ")
    .replace(/--(?=[\x00-\x20])[^\n]*\n|#[^\n]*\n/g, " ")
    .replace(/\s+/g, " ")
    .trim()

/** What is left of a statement for the eye; executable comments are statements. */
const withoutComments = (text: string): string => {
  let rest = text.trim()
  for (;;) {
    const comment = /^(?:--(?=[\x00-\x20]|$)[^\n]*|#[^\n]*|\/\*(?!M?!)[^]*?\*\/)\s*/.exec(rest)
    if (comment === null || comment[0] === "") return rest
    rest = rest.slice(comment[0].length)
  }
}

/** The line of an offset, from 1. */
export const lineOf = (sql: string, offset: number): number => sql.slice(0, offset).split("\n").length
