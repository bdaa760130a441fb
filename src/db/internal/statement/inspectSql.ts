/**
 * A cheap inspection of a statement's text: whether it would end the open transaction, and whether it may leave
 * something in the session that the next borrower of the connection must not see. In doubt the answer is yes.
 */

export interface InspectedSql {
  /** The first keyword, upper case; empty if there is none. */
  readonly keyword: string
  /** Begins or ends a transaction, or commits implicitly ("Statements That Cause an Implicit Commit" in MySQL's manual). */
  readonly endsTransaction: boolean
  /** May leave something in the session that outlives the transaction: the connection must be reset. */
  readonly changesSession: boolean
  /**
   * Asks for rows and changes nothing: SELECT, SHOW and the like. A stored function that writes cannot be seen in the
   * text of its SELECT.
   */
  readonly reads: boolean
  /** May end the open transaction without its text saying so: CALL of a stored procedure. */
  readonly mayCommit: boolean
}

/** Inspects a text; the results for recent texts are cached. */
export const inspect = (sql: string): InspectedSql => {
  const known = seen.get(sql)
  if (known !== undefined) return known
  const found = look(sql)
  if (sql.length <= MAX_CACHED_LENGTH) {
    if (seen.size >= MAX_CACHED_TEXTS) seen.clear()
    seen.set(sql, found)
  }
  return found
}

/** The most texts that the cache holds. A full cache is emptied. */
const MAX_CACHED_TEXTS = 2_000

/** The longest text that is cached, in UTF-16 code units. */
const MAX_CACHED_LENGTH = 10_000

const seen = new Map<string, InspectedSql>()

const look = (sql: string): InspectedSql => {
  const keyword = /^[ \t\r\n(]*([a-z]+)/i.exec(sql)?.[1]?.toUpperCase() ?? ""
  const plain = plainKeywords.get(keyword)
  if (plain !== undefined && !suspicious.test(sql)) return plain
  const found = lookClosely(bare(sql, true))
  // With NO_BACKSLASH_ESCAPES in the session's sql_mode, strings end elsewhere: both readings count.
  return sql.includes("\\") ? either(found, lookClosely(bare(sql, false))) : found
}

/** The result for a statement with one of these keywords, unless something in the text is `suspicious`. */
const plainKeywords: ReadonlyMap<string, InspectedSql> = new Map(
  ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "SHOW", "SAVEPOINT"].map((keyword) => [
    keyword,
    {
      keyword,
      endsTransaction: false,
      changesSession: false,
      reads: keyword === "SELECT" || keyword === "SHOW",
      mayCommit: false
    }
  ])
)

const suspicious = /[@;]|\/\*M?!|_LOCK|LAST_INSERT_ID|SQL_CALC/i

/** A text without its comments and quoted content. The content of executable comments stays. */
interface Bare {
  readonly text: string
  /** It holds an executable comment, which one server runs and another skips, or an unmatched quotation mark. */
  readonly uncertain: boolean
}

const ignored = [/`[^`]*`/, /--(?=[\x00-\x20]|$)[^\n]*/, /#[^\n]*/, /\/\*(?!M?!)[^]*?\*\//]
const unmatched = [/\/\*M?!\d*/, /\/\*/, /\*\//, /['"`]/]

const tokens = (...strings: ReadonlyArray<RegExp>): RegExp =>
  new RegExp([...strings, ...ignored, ...unmatched].map((pattern) => pattern.source).join("|"), "g")

const withEscapes = tokens(/'[^'\\]*(?:\\[^][^'\\]*)*'/, /"[^"\\]*(?:\\[^][^"\\]*)*"/)
const withoutEscapes = tokens(/'[^']*'/, /"[^"]*"/)
const isUnmatched = new RegExp(`^(?:${unmatched.map((pattern) => pattern.source).join("|")})$`)

const bare = (sql: string, escapes: boolean): Bare => {
  let uncertain = false
  const text = sql.replace(escapes ? withEscapes : withoutEscapes, (token) => {
    uncertain ||= isUnmatched.test(token)
    return token.length > 1 && /^['"`]/.test(token) ? "''" : " "
  })
  return { text: text.replace(/\s+/g, " "), uncertain }
}

/**
 * Where the statements of a text begin and end, without the semicolons between them. Undefined if that is not certain:
 * with an executable comment, an unmatched quotation mark or a backslash that ends a string in one sql_mode only, and
 * in the body of a routine, whose semicolons are its own.
 */
export const statementsIn = (sql: string): ReadonlyArray<readonly [start: number, end: number]> | undefined => {
  const [first, second] = [withEscapes, withoutEscapes].map((pattern) => {
    let certain = true
    const text = sql.replace(pattern, (token) => {
      certain &&= !isUnmatched.test(token)
      return (/^['"`]/.test(token) ? "." : " ").repeat(token.length)
    })
    const statements: Array<readonly [start: number, end: number]> = []
    let start = 0
    for (const statement of text.split(";")) {
      certain &&= !compound.test(statement)
      if (/\S/.test(statement)) statements.push([start, start + statement.length])
      start += statement.length + 1
    }
    return certain ? statements : undefined
  })
  return first !== undefined && String(first) === String(second) ? first : undefined
}

/** Statements that hold others: routines, and the compound statements of MariaDB. */
const compound =
  /^\s*(?:CREATE\b(?:(?!\b(?:TABLE|INDEX|VIEW|DATABASE|SCHEMA|USER|ROLE|SERVER)\b)[^(])*\b(?:PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE)|ALTER\s+EVENT|BEGIN|CASE|DECLARE|ELSE\w*|END|FOR|IF|LOOP|REPEAT|WHILE|\w+\s*:)\b/i

/** Whether a text holds more than one statement, as far as that is certain. */
export const hasSeveralStatements = (sql: string): boolean => (statementsIn(sql)?.length ?? 0) > 1

const lookClosely = ({ text, uncertain }: Bare): InspectedSql => {
  const parts = text.split(";").map((part) => part.replace(/^[ (]+/, "")).filter((part) => part !== "")
  const [first, ...more] = parts.map(lookAtPart)
  if (first === undefined) {
    return { keyword: "", endsTransaction: false, changesSession: uncertain, reads: false, mayCommit: false }
  }
  const all = more.reduce(either, first)
  return uncertain || more.length > 0 ? { ...all, changesSession: true } : all
}

const either = (left: InspectedSql, right: InspectedSql): InspectedSql => ({
  keyword: left.keyword,
  endsTransaction: left.endsTransaction || right.endsTransaction,
  changesSession: left.changesSession || right.changesSession,
  reads: left.reads && right.reads,
  mayCommit: left.mayCommit || right.mayCommit
})

/** One statement, bare, from its first keyword on. */
const lookAtPart = (part: string): InspectedSql => {
  const keyword = /^[a-z]+/i.exec(part)?.[0].toUpperCase() ?? ""
  const inner = keyword === "SET" ? /^SET STATEMENT\b.*?\bFOR (.*)/i.exec(part)?.[1] : undefined
  // MariaDB's SET STATEMENT sets variables for one statement only.
  if (inner !== undefined) {
    const found = lookAtPart(inner)
    return { ...found, keyword, changesSession: found.changesSession || lasting.test(part) }
  }
  return {
    keyword,
    endsTransaction: ending[keyword]?.test(part) ?? false,
    changesSession: !(harmless[keyword]?.test(part) ?? false) || lasting.test(part),
    reads: reading[keyword]?.test(part) ?? false,
    mayCommit: keyword === "CALL"
  }
}

const always = /^/

/** For each keyword that may end a transaction: the statements that do. */
const ending: Readonly<Record<string, RegExp>> = {
  ALTER: always,
  // MariaDB's ANALYZE SELECT … does not.
  ANALYZE: /^\w+ (?:(?:NO_WRITE_TO_BINLOG|LOCAL) )?TABLES?\b/i,
  BACKUP: always,
  BEGIN: always,
  CACHE: always,
  CHANGE: always,
  CHECK: always,
  COMMIT: always,
  CREATE: /^\w+ (?!(?:OR REPLACE )?TEMPORARY\b)/i,
  DROP: /^\w+ (?!TEMPORARY\b|PREPARE\b)/i,
  EXECUTE: always,
  FLUSH: always,
  GRANT: always,
  IMPORT: always,
  INSTALL: always,
  LOAD: /^\w+ INDEX\b/i,
  LOCK: /^\w+ TABLES?\b/i,
  OPTIMIZE: always,
  RENAME: always,
  REPAIR: always,
  RESET: /^\w+ (?!PERSIST\b)/i,
  REVOKE: always,
  ROLLBACK: /^\w+\b(?! (?:WORK )?TO\b)/i,
  SET: /^\w+ (?:PASSWORD\b|DEFAULT ROLE\b|.*\bAUTOCOMMIT\b)/i,
  START: always,
  STOP: always,
  TRUNCATE: always,
  UNINSTALL: always,
  UNLOCK: /^\w+ TABLES?\b/i,
  XA: always,
  // Compound statements of MariaDB, whatever they contain.
  CASE: always,
  FOR: always,
  IF: always,
  LOOP: always,
  REPEAT: always,
  WHILE: always
}

/** For each keyword that leaves the session as it was: the statements that do. Any other is assumed to change it. */
const harmless: Readonly<Record<string, RegExp>> = {
  ALTER: always,
  ANALYZE: always,
  CACHE: always,
  CHECK: always,
  CHECKSUM: always,
  COMMIT: /^\w+\b(?!.*\b(?:CHAIN|RELEASE)\b)/i,
  CREATE: /^\w+ (?!(?:OR REPLACE )?TEMPORARY\b)/i,
  DELETE: always,
  DESC: always,
  DESCRIBE: always,
  DROP: always,
  EXPLAIN: always,
  GRANT: always,
  HELP: always,
  INSERT: always,
  KILL: always,
  LOAD: always,
  OPTIMIZE: always,
  RELEASE: always,
  RENAME: always,
  REPAIR: always,
  REPLACE: always,
  REVOKE: always,
  ROLLBACK: /^\w+\b(?!.*\b(?:CHAIN|RELEASE)\b)/i,
  SAVEPOINT: always,
  SELECT: always,
  SHOW: always,
  TABLE: always,
  TRUNCATE: always,
  UPDATE: always,
  VALUES: always,
  WITH: always
}

const reading: Readonly<Record<string, RegExp>> = {
  // The analysing forms run the statement.
  ANALYZE: /^\w+ (?:FORMAT ?= ?\w+ )?[( ]*SELECT\b/i,
  CHECKSUM: always,
  DESC: /^(?!.*\bANALYZE\b)/i,
  DESCRIBE: /^(?!.*\bANALYZE\b)/i,
  EXPLAIN: /^(?!.*\bANALYZE\b)/i,
  HELP: always,
  SELECT: always,
  SHOW: always,
  TABLE: always,
  VALUES: always,
  WITH: /^(?!.*\b(?:UPDATE|DELETE)\b)/i
}

/** What outlives a statement of any kind: user variables, user-level locks, the values of FOUND_ROWS and LAST_INSERT_ID. */
const lasting =
  /(?:^|[^@])@(?!@)|\b(?:GET_LOCK|RELEASE_LOCK|RELEASE_ALL_LOCKS) ?\(|\bLAST_INSERT_ID ?\( ?[^) ]|\bSQL_CALC_FOUND_ROWS\b/i
