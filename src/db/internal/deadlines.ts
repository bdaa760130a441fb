/**
 * Every time limit and pause of the database wing that is not a setting, in milliseconds. Those that are settings have
 * their defaults in `settings/defaults.ts`.
 */
import type { Backoff } from "../../internal/backoff.ts"

/** How long an idle connection may take to answer the ping before it is handed out. Then it is discarded. */
export const PING = 1_000

/** How long a returned connection may take to be reset (COM_RESET_CONNECTION). Then it is discarded. */
export const RESET = 1_000

/** How long an interrupted statement may take to stop: side connection, KILL QUERY and both replies. Then its connection is cut. */
export const CANCEL = 1_000

/** How long an idle connection may take to answer a KILL QUERY before another is dialled for it. */
export const KILL_ANSWER = 300

/** When KILL QUERY is sent again: one that arrives between PREPARE and EXECUTE finds nothing to kill. */
export const KILL_AGAIN = 50

/** How long the final KILL of a session may take. Nobody waits for it. */
export const KILL_SESSION = 1_000

/** How long the server may say nothing in a handshake that is not needed any more. Then the socket is cut. */
export const HANDSHAKE = 2_000

/** How long the server may take to close a connection after COM_QUIT. Then the socket is cut. */
export const QUIT = 1_000

/** How long borrowed connections may take to come back when the database is closed. Then they are cut. */
export const SHUTDOWN = 5_000

/** How long BEGIN may take. Then the connection is cut, and the transaction fails. */
export const BEGIN = 10_000

/** How long ROLLBACK and savepoint statements may take, which a healthy server answers at once. Then the connection is cut. */
export const ROLLBACK = 2_000

/** How long COMMIT may take: it waits for the disks of the server and its replicas. Then its outcome is unknown. */
export const COMMIT = 30_000

/** How long a connection may be silent before TCP keep-alive probes it. */
export const KEEP_ALIVE = 30_000

/** The pauses between failed attempts to connect. */
export const DIAL_BACKOFF: Backoff = { first: 10, max: 1_000 }

/** The same after a permanent failure, such as a refused login: a wrong password must not lock the account. */
export const LOGIN_BACKOFF: Backoff = { first: 1_000, max: 30_000 }

/** The pauses between the attempts of a transaction with `retries`. */
export const TRANSACTION_BACKOFF: Backoff = { first: 10, max: 1_000 }

/** How long one statement waits for the lock of migrations. It is asked for again until the caller's deadline. */
export const MIGRATION_LOCK_POLL = 1_000
