/** One open transaction: its connection, its known state on the server, and the statements that it sends itself. */
import type { DatabaseError } from "../../../Errors.ts"
import { inTransaction } from "../borrowed/mysql2Connection.ts"
import type { Connection } from "../connection/connection.ts"
import type { DataSource } from "../dataSource.ts"
import { BEGIN, ROLLBACK } from "../deadlines.ts"
import { makeError, toDatabaseError } from "../errors/classify.ts"
import type { Lease, Outcome } from "../lease.ts"
import type { TransactionOptions } from "./options.ts"

/** What all levels of one transaction share. See `level.ts` for who may use its connection next. */
export class OpenTransaction {
  readonly dataSource: DataSource
  readonly lease: Lease
  readonly options: TransactionOptions
  /** Why the transaction is over on the server, or of unknown state: nothing may run in it any more. */
  aborted: DatabaseError | undefined
  /** The server may have rolled everything back (1205 with innodb_rollback_on_timeout): ask it before going on. */
  unsure = false
  changedSession = false
  /** The failure after which the whole transaction may be tried again, if there was one. */
  retryable: DatabaseError | undefined
  #neverBegan = false
  #savepoints = 0

  constructor(dataSource: DataSource, lease: Lease, options: TransactionOptions) {
    this.dataSource = dataSource
    this.lease = lease
    this.options = options
  }

  get connection(): Connection {
    return this.lease.connection
  }

  nextSavepoint(): string {
    return `betterai_${++this.#savepoints}`
  }

  /** Records the outcome of a statement. */
  note({ changedSession, failure, inTransaction: open }: Outcome): void {
    this.changedSession ||= changedSession
    if (failure !== undefined) {
      const { classification, error } = failure
      if (error.retryable) this.retryable = error
      if (classification.transaction === "gone") this.aborted ??= error
      else if (classification.transaction === "unsure") this.unsure = true
    } else if (open === false && !this.connection.dead) {
      this.aborted ??= makeError(
        this.dataSource.name,
        "ImplicitCommit",
        "a statement ended the transaction on the server, so what ran before it may have been committed",
        { hint: "find that statement and run it outside of the transaction" }
      )
    } else if (this.aborted === undefined) {
      // The body recovered from its failure and went on.
      this.retryable = undefined
    }
    this.noteDeath()
  }

  /** The server rolls back when the connection dies. COMMIT was not sent, so the whole transaction may be tried again. */
  noteDeath(): void {
    if (!this.connection.dead || this.aborted !== undefined) return
    this.aborted = makeError(this.dataSource.name, "ConnectionLost", "the connection was lost before COMMIT was sent", {
      hint: "run the whole transaction again",
      retryable: true
    })
    this.retryable ??= this.aborted
  }

  /** Calls back once it is known whether the transaction is still open. */
  whenSure(then: () => void): void {
    this.noteDeath()
    if (!this.unsure || this.aborted !== undefined) return then()
    // A statement without rows and without effect: its OK packet carries the status flags.
    this.send("DO 0", ROLLBACK, (error, result) => {
      this.unsure = false
      if (error !== null || inTransaction(result) !== true) {
        this.aborted ??= this.retryable ?? makeError(this.dataSource.name, "ConnectionLost", "the connection was lost")
      }
      then()
    })
  }

  /** The failure of everything that is tried in the transaction after it was `aborted`. */
  refusal(): DatabaseError {
    const { aborted, dataSource } = this
    if (this.#neverBegan) return aborted!
    return makeError(
      dataSource.name,
      "TransactionAborted",
      `the transaction is over (${aborted!.reason}), and nothing more can run in it`,
      {
        hint: aborted!.retryable
          ? "let it fail, and run the whole transaction again"
          : "let it fail, and look at the error that ended it",
        retryable: aborted!.retryable,
        cause: aborted
      }
    )
  }

  /** Sends BEGIN and what must come before it. A failure is reported by the first statement, or else by the end. */
  begin(done: () => void): void {
    const next = ([sql, ...rest]: ReadonlyArray<string>): void => {
      if (sql === undefined) return done()
      this.send(sql, BEGIN, (error) => {
        if (error === null) return next(rest)
        this.#neverBegan = true
        this.aborted = toDatabaseError(this.dataSource.name, error, sql)
        if (this.aborted.retryable) this.retryable = this.aborted
        this.connection.destroy()
        done()
      })
    }
    next(opening(this.options))
  }

  /** Sends one statement of our own. `failure` is null on success. After `deadline` milliseconds the connection is cut. */
  send(sql: string, deadline: number, done: (failure: unknown, result: unknown) => void): void {
    const timer = setTimeout(() => this.connection.destroy(), deadline)
    this.connection.run({ sql, values: [], rowsAsArray: false, prepared: false }, (error, result) => {
      clearTimeout(timer)
      done(error, result)
    })
  }
}

/** SET TRANSACTION without SESSION holds for the next transaction only, so nothing has to be restored. */
const opening = ({ isolation, readOnly }: TransactionOptions): ReadonlyArray<string> => {
  const start = readOnly === true ? "START TRANSACTION READ ONLY" : "BEGIN"
  return isolation === undefined ? [start] : [`SET TRANSACTION ISOLATION LEVEL ${isolation}`, start]
}
