/**
 * Borrowed from mysql2: the members of its connections and results that its own types leave out.
 *
 * Without `stream` a connection cannot be cut (`destroy` only half-closes the socket) and KILL QUERY cannot be sent to
 * the same address. Without `reset` session state reaches the next borrower. Without the result header's
 * `serverStatus` we cannot know whether a transaction is still open, or whether statements are committed by themselves.
 */
import type * as Mysql from "mysql2"
import type * as Net from "node:net"

/** A connection of the driver. */
export type DriverConnection = Omit<Mysql.Connection, "unprepare"> & {
  readonly stream: Net.Socket
  /** COM_RESET_CONNECTION. */
  readonly reset: (done: (error?: unknown) => void) => void
  /** Runs a command after those that were added before it. */
  readonly addCommand: (command: object) => void
  /** Closes the prepared statement with that key. The server does not answer. */
  readonly unprepare: (key: { readonly sql: string; readonly nestTables: string | undefined }) => void
  /** The statements that are prepared. To look one up keeps it from being the next that is closed. */
  readonly _statements: { readonly get: (key: string) => object | undefined }
  /** Known from the server's greeting. */
  readonly _isMariaDB: boolean
}

/** What the server says of a statement that returns no rows: the protocol's OK packet. */
export interface WriteHeader {
  readonly affectedRows: number
  readonly insertId: number | string | bigint
  /** The protocol's status flags. */
  readonly serverStatus: number
}

/** Whether this is the driver's result header, which has its own class. A row is always a plain object. */
export const isWriteHeader = (result: unknown): result is WriteHeader =>
  typeof result === "object" && result !== null && !Array.isArray(result) && "serverStatus" in result
  && Object.getPrototypeOf(result) !== Object.prototype

/** Flags of the protocol's server status. */
const IN_TRANSACTION = 1
const AUTOCOMMIT = 2

/** The status flags of a result; undefined for rows, where the driver does not hand them out. */
export const serverStatus = (result: unknown): number | undefined => {
  const last = Array.isArray(result) ? result[result.length - 1] : result
  return isWriteHeader(last) ? last.serverStatus : undefined
}

/** Whether the driver has read an OK packet without its flags: it was cut short, and says nothing. */
export const isGarbled = (result: unknown): boolean => {
  const last = Array.isArray(result) ? result[result.length - 1] : result
  return isWriteHeader(last) && !Number.isInteger(last.serverStatus)
}

/** SERVER_STATUS_IN_TRANS: a transaction is open on the server. */
export const isInTransaction = (status: number): boolean => (status & IN_TRANSACTION) !== 0

/** SERVER_STATUS_AUTOCOMMIT: a statement outside of a transaction is committed by itself. */
export const isAutocommit = (status: number): boolean => (status & AUTOCOMMIT) !== 0
