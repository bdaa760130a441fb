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

/** What is skipped as a whole: comments, texts and quoted names. */
const token =
  /--(?=[\x00-\x20]|$)[^\n]*|#[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`(?:[^`]|``)*`/y

/** A command of the client rather than a statement, where a statement would begin. */
const delimiterCommand = /[ \t]*DELIMITER[ \t]+(\S+)[ \t]*(?:\r?\n|$)/iy

/** Statements that would leave the database of the test. */
const leaving = /^(?:USE|(?:CREATE|DROP|ALTER)\s+(?:DATABASE|SCHEMA))\b/i

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
  let unusable: Unusable | undefined

  const finish = (end: number): void => {
    const text = sql.slice(start, end)
    const bare = withoutComments(text)
    const offset = start + text.length - text.trimStart().length
    if (leaving.test(bare)) {
      unusable ??= {
        offset,
        detail: `"${bare.slice(0, 60).replace(/\s+/g, " ").trim()}" leaves the database that is made for the test`,
        hint: "take it out; mysqldump does not write it without --databases"
      }
    } else if (clientCommand.test(bare)) {
      unusable ??= {
        offset,
        detail: "has a command of the mysql client, and only DELIMITER is understood",
        hint: "write out the statements"
      }
    } else if (bare !== "") statements.push({ text: text.trim(), offset })
  }

  while (at < sql.length && unusable === undefined) {
    if (sql.slice(start, at).trim() === "" && isLineStart(sql, at)) {
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
    token.lastIndex = at
    if (token.test(sql)) {
      at = token.lastIndex
      continue
    }
    if (/['"`]/.test(sql[at]!) || sql.startsWith("/*", at)) {
      unusable = {
        offset: at,
        detail: sql[at] === "/" ? "a comment is not closed" : `a quotation mark (${sql[at]}) is not closed`,
        hint: "close it"
      }
    }
    at++
  }
  if (unusable === undefined) finish(sql.length)
  return unusable === undefined ? Either.right(statements) : Either.left(unusable)
}

const isLineStart = (sql: string, at: number): boolean => at === 0 || sql[at - 1] === "\n"

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
