/** The lending of connections: to single statements, to transactions, to reservations. */
import type * as Context from "effect/Context"
import type { DatabaseError } from "../../Errors.ts"
import { isAutocommit, isInTransaction } from "./borrowed/mysql2Connection.ts"
import type { Connection } from "./connection/connection.ts"
import type { Classification } from "./errors/classify.ts"
import type { AcquireFailure, Borrower, Entry } from "./pool/model.ts"
import type { Pool } from "./pool/pool.ts"
import type { PoolMetrics } from "./telemetry/metrics.ts"

/** How one use of a connection went. The lender decides what follows from it. */
export interface Outcome {
  /** Undefined if the server accepted the statement. */
  readonly failure: { readonly error: DatabaseError; readonly classification: Classification } | undefined
  /** The server's status flags; undefined if it did not send them. */
  readonly status: number | undefined
  /** The statement may have changed the session (variables, locks, temporary tables …). */
  readonly changedSession: boolean
  /** The statement may have ended the open transaction, although its text does not say so. */
  readonly mayCommit: boolean
}

const UNCHANGED: Outcome = { failure: undefined, status: undefined, changedSession: false, mayCommit: false }
const CHANGED: Outcome = { ...UNCHANGED, changedSession: true }

/** The outcome of a use without failure, after which the server said nothing about its state. */
export const unfailed = (changedSession: boolean): Outcome => changedSession ? CHANGED : UNCHANGED

/** What its borrower does with a connection. A view (`testing`) may lend something else that does the same. */
export type LentConnection = Readonly<
  Pick<Connection, "dead" | "run" | "stream" | "resume" | "stop" | "destroy">
>

/** The exclusive right to use one connection, until `end`. */
export interface Lease {
  readonly connection: LentConnection
  /** The connection is that of an open transaction: what fails on it is undone with the transaction. */
  readonly inTransaction: boolean
  readonly end: (outcome: Outcome) => void
}

/** Who asks for a connection. Exactly one of the two is called, once, unless the request is taken back. */
export interface Applicant {
  readonly onLease: (lease: Lease) => void
  readonly onRefusal: (error: DatabaseError) => void
}

/** Where a statement gets its connection: the pool, a reservation, or a level of a transaction. */
export interface Lender {
  /** The function returned takes the request back. */
  readonly lend: (context: Context.Context<never>, applicant: Applicant) => () => void
}

/** What a lease of the pool needs of the database that it belongs to. */
export interface PoolOwner {
  readonly pool: Pool<Connection>
  readonly metrics: PoolMetrics
  readonly acquireError: (failure: AcquireFailure) => DatabaseError
}

/** A connection of the pool, asked for and lent for one statement or for a whole transaction. */
export class PoolLease implements Borrower<Connection>, Lease {
  readonly #owner: PoolOwner
  readonly #applicant: Applicant
  readonly #askedAt = performance.now()
  readonly label: Context.Context<never>
  readonly inTransaction = false
  #entry: Entry<Connection> | undefined
  #connection: Connection | undefined

  constructor(owner: PoolOwner, context: Context.Context<never>, applicant: Applicant) {
    this.#owner = owner
    this.label = context
    this.#applicant = applicant
  }

  onEntry(entry: Entry<Connection>): void {
    const { metrics, pool } = this.#owner
    this.#entry = entry
    this.#connection = entry.connection
    metrics.waited(entry.borrowedAt - this.#askedAt)
    metrics.update(pool)
    this.#applicant.onLease(this)
  }

  onFailure(failure: AcquireFailure): void {
    this.#owner.metrics.update(this.#owner.pool)
    this.#applicant.onRefusal(this.#owner.acquireError(failure))
  }

  /** The connection that was lent. It can still be read after `end`. */
  get connection(): Connection {
    return this.#connection!
  }

  end({ changedSession, failure, status }: Outcome): void {
    const entry = this.#entry
    if (entry === undefined) throw new Error("A pooled connection was released twice")
    this.#entry = undefined
    const { metrics, pool } = this.#owner
    const { borrowedAt, connection } = entry
    if (failure?.classification.invalidatesPool === true) pool.invalidate()
    else if (failure !== undefined && (connection.dead || failure.classification.reason === "ConnectionLost")) {
      pool.suspect()
    }
    pool.release(
      entry,
      connection.dead || failure?.classification.discard === true
        ? "discard"
        : changedSession || (status !== undefined && !isAtRest(status))
        ? "reset"
        : "clean"
    )
    metrics.used(performance.now() - borrowedAt)
    metrics.update(pool)
  }
}

/** As every borrower must find it: no transaction is open, and statements are committed by themselves. */
const isAtRest = (status: number): boolean => !isInTransaction(status) && isAutocommit(status)
