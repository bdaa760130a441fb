/**
 * What can be known of a statement from a cheap look at its text: enough to protect a transaction from being ended
 * behind its back, and the next borrower of a connection from the session of the last. In doubt it says yes.
 */

export interface StatementText {
  /** The first keyword, upper case; empty where there is none. */
  readonly operation: string
  /** Begins or ends a transaction, or commits implicitly ("Statements That Cause an Implicit Commit" in MySQL's manual). */
  readonly endsTransaction: boolean
  /** May leave something in the session that outlives the transaction: the connection has to be reset. */
  readonly changesSession: boolean
  /** Asks for rows: SELECT, SHOW and the like. */
  readonly reads: boolean
}

/** Looks at a text, or remembers the last look. */
export const inspect = (sql: string): StatementText => {
  const known = seen.get(sql)
  if (known !== undefined) return known
  const found = look(sql)
  if (sql.length <= LONGEST) {
    if (seen.size >= MOST) seen.clear()
    seen.set(sql, found)
  }
  return found
}

const MOST = 2_000
const LONGEST = 10_000
const seen = new Map<string, StatementText>()

const look = (sql: string): StatementText => {
  const operation = /^[ \t\r\n(]*([a-z]+)/i.exec(sql)?.[1]?.toUpperCase() ?? ""
  const plain = plainOperations.get(operation)
  if (plain !== undefined && !suspicious.test(sql)) return plain
  const found = lookClosely(bare(sql, true))
  // Where the session's sql_mode has NO_BACKSLASH_ESCAPES the strings end elsewhere.
  return sql.includes("\\") ? either(found, lookClosely(bare(sql, false))) : found
}

/** What a plain statement of these operations does, so long as nothing in the text is suspicious. */
const plainOperations: ReadonlyMap<string, StatementText> = new Map(
  ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "SHOW", "SAVEPOINT"].map((operation) => [
    operation,
    { operation, endsTransaction: false, changesSession: false, reads: operation === "SELECT" || operation === "SHOW" }
  ])
)

const suspicious = /[@;]|\/\*M?!|_LOCK|LAST_INSERT_ID|SQL_CALC/i

/** A text without its comments and the content of its quotation marks; the content of executable comments stays. */
interface Bare {
  readonly text: string
  /** It holds an executable comment, which one server runs and another skips, or a mark without its other half. */
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

const lookClosely = ({ text, uncertain }: Bare): StatementText => {
  const parts = text.split(";").map((part) => part.replace(/^[ (]+/, "")).filter((part) => part !== "")
  const [first, ...more] = parts.map(lookAtPart)
  if (first === undefined) return { operation: "", endsTransaction: false, changesSession: uncertain, reads: false }
  const all = more.reduce(either, first)
  return uncertain || more.length > 0 ? { ...all, changesSession: true } : all
}

const either = (left: StatementText, right: StatementText): StatementText => ({
  operation: left.operation,
  endsTransaction: left.endsTransaction || right.endsTransaction,
  changesSession: left.changesSession || right.changesSession,
  reads: left.reads && right.reads
})

/** One statement, bare, from its first keyword on. */
const lookAtPart = (part: string): StatementText => {
  const operation = /^[a-z]+/i.exec(part)?.[0].toUpperCase() ?? ""
  const inner = operation === "SET" ? /^SET STATEMENT\b.*?\bFOR (.*)/i.exec(part)?.[1] : undefined
  // MariaDB sets variables for the length of one statement.
  if (inner !== undefined) {
    const found = lookAtPart(inner)
    return { ...found, operation, changesSession: found.changesSession || lasting.test(part) }
  }
  return {
    operation,
    endsTransaction: ending[operation]?.test(part) ?? false,
    changesSession: !(harmless[operation]?.test(part) ?? false) || lasting.test(part),
    reads: reading[operation]?.test(part) ?? false
  }
}

const always = /^/

/** For each keyword that may end a transaction: the statements that do. */
const ending: Readonly<Record<string, RegExp>> = {
  ALTER: always,
  // ANALYZE SELECT … of MariaDB is none of these.
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
  // Compound statements of MariaDB, whatever is in them.
  CASE: always,
  FOR: always,
  IF: always,
  LOOP: always,
  REPEAT: always,
  WHILE: always
}

/** For each keyword that leaves the session as it was: the statements that do. What is not here is taken to change it. */
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

/** What outlives a statement of any keyword: user variables, user-level locks, and what FOUND_ROWS and LAST_INSERT_ID tell. */
const lasting =
  /(?:^|[^@])@(?!@)|\b(?:GET_LOCK|RELEASE_LOCK|RELEASE_ALL_LOCKS) ?\(|\bLAST_INSERT_ID ?\( ?[^) ]|\bSQL_CALC_FOUND_ROWS\b/i
