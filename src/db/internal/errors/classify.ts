/**
 * Turns what the driver throws into a DatabaseError: classified by the table, and cleaned of everything that may be a
 * parameter. These functions are pure, so their tests need no server.
 */
import * as Cause from "effect/Cause"
import * as Runtime from "effect/Runtime"
import { DatabaseError, type DatabaseReason } from "../../../Errors.ts"
import { MYSQL_MESSAGE, truncate } from "../../../internal/textLimits.ts"
import { hasSeveralStatements } from "../statement/inspectSql.ts"
import { type Classification, notUnderstood, type Row, rows, unlisted } from "./errorTable.ts"
import { maskQuotedText, unchanged } from "./redact.ts"

export type { Classification } from "./errorTable.ts"

/** What an error means for its transaction, its connection and the pool. Takes any value, and never throws. */
export const classify = (cause: unknown): Classification => {
  const { discard, invalidatesPool, outcome, reason, retryable, transaction } = interpret(cause).row
  return { reason, retryable, discard, transaction, invalidatesPool, outcome }
}

/**
 * Whether nothing more may be read from a connection after this error: it is neither an answer of the server nor a refusal
 * of ours before anything was sent, so what comes next would be taken for the answer to a later statement.
 */
export const endsConnection = (cause: unknown): boolean => {
  const { errno, row } = interpret(cause)
  return errno === undefined && row.discard
}

/**
 * The DatabaseError for what the driver, the server or the network raised; a DatabaseError stays as it is. The values
 * that the server's message quotes are in no part of it. `statement` is the text with its placeholders.
 *
 * `mayHaveEffect`: the statement was sent, and nothing undoes it. Then a failure that is not the server's own word leaves
 * its outcome unknown, and it is not retryable.
 */
export const toDatabaseError = (
  database: string,
  cause: unknown,
  statement?: string,
  mayHaveEffect = false
): DatabaseError => {
  const original = unwrap(cause)
  if (original instanceof DatabaseError) return original
  const facts = interpret(original)
  const isUnknown = mayHaveEffect && facts.row.outcome === "unknown"
  return new DatabaseError({
    database,
    reason: facts.row.reason,
    retryable: facts.row.retryable && !isUnknown,
    detail: facts.detail,
    hint: isUnknown ? OUTCOME_UNKNOWN : hintOf(facts, statement),
    ...optional("errno", facts.errno),
    ...optional("sqlState", facts.sqlState),
    ...optional("constraint", facts.row.constraint?.(facts.message)),
    ...optional("statement", statement),
    ...optional("outcome", isUnknown ? "unknown" as const : undefined),
    cause: cleanedCause(facts)
  })
}

const hintOf = ({ errno, row }: Facts, statement: string | undefined): string =>
  errno === 1064 && statement !== undefined && hasSeveralStatements(statement)
    ? "send the statements one by one; multiple-statements=true in the URL allows several in one text"
    : row.hint

/** The hint for work that may have been done. */
export const OUTCOME_UNKNOWN = "do not repeat it blindly: look up what it would have written"

/**
 * A DatabaseError for a failure that this package detected itself, not retryable by default. A `cause` from the driver
 * is cleaned, and gives the errno and the SQLSTATE; a DatabaseError as the cause stays as it is.
 */
export const makeError = (
  database: string,
  reason: DatabaseReason,
  detail: string,
  options: {
    readonly hint?: string
    readonly retryable?: boolean
    readonly cause?: unknown
    readonly statement?: string
    readonly outcome?: "unknown"
  } = {}
): DatabaseError => {
  const original = unwrap(options.cause)
  const facts = original === undefined || original instanceof DatabaseError ? undefined : interpret(original)
  return new DatabaseError({
    database,
    reason,
    retryable: options.retryable ?? false,
    detail,
    ...optional("hint", options.hint),
    ...optional("errno", facts?.errno),
    ...optional("sqlState", facts?.sqlState),
    ...optional("statement", options.statement),
    ...optional("outcome", options.outcome),
    ...optional("cause", facts === undefined ? original : cleanedCause(facts))
  })
}

/** ER_UNSUPPORTED_PS: the server prepares no such statement, and has done nothing. */
export const isUnpreparable = (cause: unknown): boolean => field(cause, "errno") === 1295

/**
 * Whether the server says with this answer to COMMIT that it has rolled back: InnoDB's deadlock and its like (SQLSTATE
 * class 40, Galera and group replication too), a lock wait timeout (1205), and a server that became read-only.
 */
export const isRefusedCommit = (cause: unknown): boolean => {
  const { errno, row, sqlState } = interpret(cause)
  return errno !== undefined
    && (row.reason === "Deadlock" || row.reason === "LockWaitTimeout" || row.reason === "ReadOnlyServer"
      || sqlState?.startsWith("40") === true)
}

/** Whether dialling fails until someone changes the settings, the account, the database or the certificate. */
export const isPermanent = (cause: unknown): boolean => permanent.has(classify(cause).reason)

/** Whether the server has no room for one more connection. */
export const isTooManyConnections = (cause: unknown): boolean => classify(cause).reason === "TooManyConnections"

const permanent: ReadonlySet<DatabaseReason> = new Set<DatabaseReason>(["LoginRefused", "UnknownDatabase", "Tls"])

const keyed = <K>(keys: (row: Row) => ReadonlyArray<K> | undefined): ReadonlyMap<K, Row> =>
  new Map(rows.flatMap((row) => (keys(row) ?? []).map((key) => [key, row] as const)))

const byErrno = keyed((row) => row.errnos)
const byState = keyed((row) => row.states)
const byCode = keyed((row) => row.codes)
const byReason: ReadonlyMap<DatabaseReason, Row> = new Map(rows.toReversed().map((row) => [row.reason, row]))

/** What is known about one error. */
interface Facts {
  readonly row: Row
  /** The message as it came: it may quote values. */
  readonly message: string
  /** The same without values, and shortened. */
  readonly detail: string
  readonly errno: number | undefined
  readonly sqlState: string | undefined
  readonly code: string | undefined
}

const interpret = (cause: unknown): Facts => {
  const error = unwrap(cause)
  // Some libraries write the statement and its values into `message`; `sqlMessage` is as the server sent it.
  const message = textOf(error, "sqlMessage") ?? textOf(error, "message") ?? ""
  const code = textOf(error, "code")
  const number = field(error, "errno")
  // Node's own numbers are negative.
  const errno = typeof number === "number" && number > 0 ? number : undefined
  const sqlState = errno === undefined ? undefined : textOf(error, "sqlState")
  const row = error instanceof DatabaseError
    ? ofDatabaseError(error)
    : errno === undefined
    ? ofClient(error, code, message)
    : ofServer(errno, sqlState, message)
  const unknownText = errno === undefined &&
    (innerOf(error).length > 0 || (row === notUnderstood && code === undefined))
  const detail = unknownText
    ? `the error (${nameOf(error)}) has no number of the server, and its text may hold values, so it is not shown`
    : message === ""
    ? code ?? "no details are known"
    : row.detail(message)
  return { row, message, detail: truncate(detail, MYSQL_MESSAGE), errno, sqlState, code }
}

/** The row for an error that the server sent. */
const ofServer = (errno: number, sqlState: string | undefined, message: string): Row => {
  // 1290 is "running with the --read-only option", and the same for many other options.
  if (errno === 1290 && !/read[-_ ]only/i.test(message)) return byState.get("42") ?? unlisted
  const row = byErrno.get(errno)
  if (row !== undefined) return row
  const similar = byState.get(sqlState ?? "") ?? byState.get(sqlState?.slice(0, 2) ?? "")
  if (similar === undefined) return unlisted
  // Nobody has checked what the message of this errno quotes.
  return { ...similar, detail: similar.detail === unchanged ? maskQuotedText : similar.detail }
}

/** The driver's errors without a code for a connection that is closed. The whole text, since a wrapper's may hold values. */
const CLOSED_STATE = /^Can't (?:add new command when connection is|write) in closed state$/

/** The row for an error that the driver or Node raised. */
const ofClient = (error: unknown, code: string | undefined, message: string): Row => {
  if (code === "ETIMEDOUT" && field(error, "syscall") === "connect") return ofReason("ConnectTimeout")
  // The driver gives this code to a socket that breaks during the TLS handshake, too.
  if (code === "HANDSHAKE_SSL_ERROR" && /ECONNRESET|EPIPE|ETIMEDOUT|socket disconnected/.test(message)) {
    return ofReason("ConnectionLost")
  }
  const row = byCode.get(code ?? "")
  if (row !== undefined) return row
  if (code !== undefined && /^ERR_(?:TLS|SSL|OSSL)_/.test(code)) return ofReason("Tls")
  // The driver has sent nothing.
  if (CLOSED_STATE.test(message)) return { ...ofReason("ConnectionLost"), outcome: "failed" }
  if (code?.startsWith("PROTOCOL_") === true) return ofReason("ConnectionLost")
  return notUnderstood
}

/** An error of ours keeps its reason and `retryable`; the rest comes from the row of its errno, or of its reason. */
const ofDatabaseError = (error: DatabaseError): Row => ({
  ...(error.errno === undefined ? ofReason(error.reason) : byErrno.get(error.errno) ?? ofReason(error.reason)),
  reason: error.reason,
  retryable: error.retryable
})

/** The first row with that reason. */
const ofReason = (reason: DatabaseReason): Row => byReason.get(reason) ?? notUnderstood

/** How many errors inside each other are looked at, at most. */
const MAX_WRAPPERS = 64

/**
 * The error of the database inside the errors of other libraries: a DatabaseError, or else the innermost error of the
 * server, the driver or the network, because a wrapper may have copied its codes. The value itself if there is none.
 */
const unwrap = (cause: unknown): unknown => {
  const errors = new Set([cause])
  let found = cause
  for (const error of errors) {
    if (error instanceof DatabaseError) return error
    if (isFromDatabase(error)) found = error
    for (const inner of innerOf(error)) {
      if (errors.size < MAX_WRAPPERS) errors.add(inner)
    }
  }
  return found
}

const isFromDatabase = (error: unknown): boolean => {
  const errno = field(error, "errno")
  return (typeof errno === "number" && errno > 0)
    || ofClient(error, textOf(error, "code"), textOf(error, "message") ?? "") !== notUnderstood
}

/** What an error wraps: its cause, the errors of an AggregateError, and those in a Cause of Effect or a FiberFailure. */
const innerOf = (error: unknown): ReadonlyArray<unknown> => {
  if (Cause.isCause(error)) return [...Cause.failures(error), ...Cause.defects(error)]
  if (Runtime.isFiberFailure(error)) return [error[Runtime.FiberFailureCauseId]]
  const errors = field(error, "errors")
  return [field(error, "cause"), ...(Array.isArray(errors) ? errors : [])]
    .filter((inner) => typeof inner === "object" && inner !== null)
}

/** The kind of an error, by its class or tag: a name, never a text that was made for one error. */
const nameOf = (error: unknown): string =>
  [textOf(error, "_tag"), textOf(error, "name"), error instanceof Object ? error.constructor?.name : undefined]
    .find((name) => typeof name === "string" && name !== "Error" && /^[\w$./@-]{1,60}$/.test(name)) ?? "unknown"

/** The `cause` of our errors: the codes of the original, and the detail as its message. Nothing else is copied. */
const cleanedCause = (facts: Facts): Error =>
  Object.assign(new Error(facts.detail), {
    name: "MysqlError",
    ...optional("errno", facts.errno),
    ...optional("code", facts.code),
    ...optional("sqlState", facts.sqlState)
  })

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined

const textOf = (value: unknown, key: string): string | undefined => {
  const text = field(value, key)
  return typeof text === "string" && text !== "" ? text : undefined
}

const optional = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]?: A }
