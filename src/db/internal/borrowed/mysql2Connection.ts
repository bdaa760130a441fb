/**
 * Borrowed from mysql2: the members of its connections and results that its own types leave out.
 *
 * Without `stream` a connection cannot be cut (`destroy` only half-closes the socket) and KILL QUERY cannot be sent to
 * the same address. Without `reset` session state reaches the next borrower. Without the result header's
 * `serverStatus` we cannot know whether a transaction is still open.
 */
import type * as Mysql from "mysql2"
import type * as Net from "node:net"

/** A connection of the driver. */
export type DriverConnection = Mysql.Connection & {
  readonly stream: Net.Socket
  /** COM_RESET_CONNECTION. */
  readonly reset: (done: (error?: unknown) => void) => void
}

/** What the server says of a statement that returns no rows: the protocol's OK packet. */
export interface WriteHeader {
  readonly affectedRows: number
  readonly insertId: number | string
  /** The protocol's status flags. */
  readonly serverStatus: number
}

/** Whether this is the driver's result header, which has its own class. A row is always a plain object. */
export const isWriteHeader = (result: unknown): result is WriteHeader =>
  typeof result === "object" && result !== null && !Array.isArray(result) && "serverStatus" in result
  && Object.getPrototypeOf(result) !== Object.prototype

/** SERVER_STATUS_IN_TRANS of the protocol's status flags. */
const IN_TRANSACTION = 1

/** Whether, by this result, a transaction is open on the server; undefined for rows, where the driver does not say. */
export const inTransaction = (result: unknown): boolean | undefined => {
  const last = Array.isArray(result) ? result[result.length - 1] : result
  return isWriteHeader(last) ? (last.serverStatus & IN_TRANSACTION) !== 0 : undefined
}
