/**
 * From what the driver throws to DatabaseError: classified by the table, and cleaned of everything that may be a
 * parameter. No server is needed to test any of it.
 */
import { DatabaseError, type DatabaseReason } from "../../../Errors.ts"
import { type Classification, type Row, rows, unlisted } from "./errorTable.ts"
import { keep, masked } from "./redact.ts"

export type { Classification } from "./errorTable.ts"

/** What an error means for the statement, the transaction, the connection and the pool. Never throws. */
export const classify = (cause: unknown): Classification => {
  const { discard, fleet, reason, retryable, transaction } = interpret(cause).row
  return { reason, retryable, discard, transaction, fleet }
}

/**
 * The DatabaseError of what the driver, the server or the network raised; one that is a DatabaseError already stays as
 * it is. The server's message, which quotes values, is in no part of it; `statement` is the text with its placeholders.
 */
export const toDatabaseError = (database: string, cause: unknown, statement?: string): DatabaseError => {
  const original = unwrap(cause)
  if (original instanceof DatabaseError) return original
  const facts = interpret(original)
  return new DatabaseError({
    database,
    reason: facts.row.reason,
    retryable: facts.row.retryable,
    detail: `${facts.message}; ${facts.row.advice}`,
    ...optional("errno", facts.errno),
    ...optional("sqlState", facts.sqlState),
    ...optional("constraint", facts.row.constraint?.(facts.original)),
    ...optional("statement", statement),
    cause: mysqlError(facts)
  })
}

/** A DatabaseError of our own finding. Its `cause` is cleaned like any other, and gives the errno and the SQLSTATE. */
export const makeError = (
  database: string,
  reason: DatabaseReason,
  detail: string,
  options: { readonly retryable?: boolean; readonly cause?: unknown; readonly statement?: string } = {}
): DatabaseError => {
  const original = unwrap(options.cause)
  const facts = original === undefined || original instanceof DatabaseError ? undefined : interpret(original)
  return new DatabaseError({
    database,
    reason,
    retryable: options.retryable ?? false,
    detail,
    ...optional("errno", facts?.errno),
    ...optional("sqlState", facts?.sqlState),
    ...optional("statement", options.statement),
    ...optional("cause", facts === undefined ? original : mysqlError(facts))
  })
}

/** The server refuses this user: dialling again at once would only look like an attack. */
export const isLoginFailure = (cause: unknown): boolean => classify(cause).reason === "LoginRefused"

/** Dialling again cannot help before a person changes something: login, unknown database, TLS. */
export const isPermanent = (cause: unknown): boolean => permanent.has(classify(cause).reason)

/** The server has no room for one more connection. */
export const isTooManyConnections = (cause: unknown): boolean => classify(cause).reason === "TooManyConnections"

const permanent: ReadonlySet<DatabaseReason> = new Set<DatabaseReason>(["LoginRefused", "UnknownDatabase", "Tls"])

const keyed = <K>(keys: (row: Row) => ReadonlyArray<K> | undefined): ReadonlyMap<K, Row> =>
  new Map(rows.flatMap((row) => (keys(row) ?? []).map((key) => [key, row] as const)))

const byErrno = keyed((row) => row.errnos)
const byState = keyed((row) => row.states)
const byCode = keyed((row) => row.codes)
const byReason: ReadonlyMap<DatabaseReason, Row> = new Map(rows.toReversed().map((row) => [row.reason, row]))

interface Facts {
  readonly row: Row
  /** As it came; it may hold values. */
  readonly original: string
  /** Cleaned. */
  readonly message: string
  readonly errno: number | undefined
  readonly sqlState: string | undefined
  readonly code: string | undefined
}

const interpret = (cause: unknown): Facts => {
  const error = unwrap(cause)
  const original = textOf(error, "message") ?? ""
  const code = textOf(error, "code")
  const number = field(error, "errno")
  // Node's own numbers are negative.
  const errno = typeof number === "number" && number > 0 ? number : undefined
  const sqlState = errno === undefined ? undefined : textOf(error, "sqlState")
  const row = error instanceof DatabaseError
    ? ofDatabaseError(error)
    : errno === undefined
    ? ofClient(error, code, original)
    : ofServer(errno, sqlState, original)
  const message = original === "" ? code ?? "no more is known" : row.message(original)
  return { row, original, message: limited(message), errno, sqlState, code }
}

const ofServer = (errno: number, sqlState: string | undefined, original: string): Row => {
  // "running with the --read-only option" is one of many options that this number speaks of.
  if (errno === 1290 && !/read[-_ ]only/i.test(original)) return unlisted
  const row = byErrno.get(errno)
  if (row !== undefined) return row
  const similar = byState.get(sqlState ?? "") ?? byState.get(sqlState?.slice(0, 2) ?? "")
  return similar === undefined ? unlisted : { ...similar, message: similar.message === keep ? masked : similar.message }
}

const ofClient = (error: unknown, code: string | undefined, original: string): Row => {
  if (code === "ETIMEDOUT" && field(error, "syscall") === "connect") return ofReason("ConnectTimeout")
  // The driver gives this code to a socket that breaks during the TLS handshake, too.
  if (code === "HANDSHAKE_SSL_ERROR" && /ECONNRESET|EPIPE|ETIMEDOUT|socket disconnected/.test(original)) {
    return ofReason("ConnectionLost")
  }
  const row = byCode.get(code ?? "")
  if (row !== undefined) return row
  if (code !== undefined && /^ERR_(?:TLS|SSL|OSSL)_/.test(code)) return ofReason("Tls")
  if (code?.startsWith("PROTOCOL_") === true || /closed state/.test(original)) return ofReason("ConnectionLost")
  if (original.startsWith("Bind parameters must")) return ofReason("InvalidParameter")
  // The driver's own mark of a connection that it has given up.
  return field(error, "fatal") === true ? { ...unlisted, discard: true, transaction: "gone" } : unlisted
}

const ofDatabaseError = (error: DatabaseError): Row => ({
  ...(error.errno === undefined ? ofReason(error.reason) : byErrno.get(error.errno) ?? ofReason(error.reason)),
  reason: error.reason,
  retryable: error.retryable
})

const ofReason = (reason: DatabaseReason): Row => byReason.get(reason) ?? unlisted

/** What @effect/sql wrapped is what counts. */
const unwrap = (cause: unknown): unknown =>
  field(cause, "_tag") === "SqlError" && field(cause, "cause") !== undefined ? unwrap(field(cause, "cause")) : cause

const mysqlError = (facts: Facts): Error =>
  Object.assign(new Error(facts.message), {
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

const limited = (text: string): string => text.length <= 400 ? text : `${text.slice(0, 397)}...`

const optional = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]?: A }
