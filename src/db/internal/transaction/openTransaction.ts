/** One transaction: its connection, its known state on the server, and the statements that it sends itself. */
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import type { DatabaseError } from "../../../Errors.ts"
import { isInTransaction, serverStatus } from "../borrowed/mysql2Connection.ts"
import type { DataSource } from "../dataSource.ts"
import { BEGIN, ROLLBACK } from "../deadlines.ts"
import { classify, endsConnection, makeError, OUTCOME_UNKNOWN, toDatabaseError } from "../errors/classify.ts"
import type { Lease, LentConnection, Outcome } from "../lease.ts"
import { schedule } from "../waiting/schedule.ts"
import type { TransactionOptions } from "./options.ts"

/** The options of a session that nobody has set. */
export const NO_OPTIONS: TransactionOptions = {}

/** What all levels of one transaction share. See `level.ts` for who may use its connection next. */
export class OpenTransaction {
  readonly dataSource: DataSource
  /** It spans a request: the first transaction nested in it may set its options. */
  readonly isSession: boolean
  /** Why the transaction is over on the server, or of unknown state: nothing may run in it any more. */
  aborted: DatabaseError | undefined
  /** It is over, and what still runs in its context runs on connections of the pool. */
  isDetached = false
  readonly #context: Context.Context<never>
  #options: TransactionOptions
  #lease: Lease | undefined
  #stopBorrowing: (() => void) | undefined
  /** A connection was asked for: the options stay what they are. */
  #asked = false
  /** No statement may begin any more. */
  #ended = false
  /** The server may have ended the transaction (1205 with innodb_rollback_on_timeout, CALL): ask it before going on. */
  #unsure = false
  /** A procedure may have committed: until the server has been asked, nothing can be said of what ran before. */
  #mayHaveCommitted = false
  #changedSession = false
  #neverBegan = false
  #savepoints = 0
  /** The last failure after which the whole transaction may be tried again, and whether a statement succeeded since. */
  #retryable: DatabaseError | undefined
  #recovered = false
  /** The failure with the gravest consequences for the connection and the pool. */
  #worst: Outcome["failure"]

  /** `context` names the borrower, should it leak the connection. */
  constructor(
    dataSource: DataSource,
    options: TransactionOptions,
    context: Context.Context<never>,
    isSession = false
  ) {
    this.dataSource = dataSource
    this.#options = options
    this.#context = context
    this.isSession = isSession
  }

  get options(): TransactionOptions {
    return this.#options
  }

  /** Takes these options for its own if it is a session's, has none yet and has not asked for a connection. */
  adopt(options: TransactionOptions): void {
    if (!this.isSession || this.#asked || this.#options !== NO_OPTIONS) return
    this.#options = options
  }

  /** Undefined before the first statement. It can still be read after the end. */
  get connection(): LentConnection | undefined {
    return this.#lease?.connection
  }

  /** Whether a connection was asked for. */
  get hasAsked(): boolean {
    return this.#asked
  }

  /** Whether a statement may be sent without asking the server first. */
  get isUsable(): boolean {
    this.#noteDeath()
    return this.aborted === undefined && !this.#unsure && !this.#ended
  }

  nextSavepoint(): string {
    return `betterai_${++this.#savepoints}`
  }

  /**
   * Borrows a connection and begins on it. Without a connection, the transaction is as it was. A refused BEGIN is in
   * `aborted`.
   */
  begin(done: (failure: DatabaseError | undefined) => void): void {
    if (this.#ended || this.aborted !== undefined) return done(this.refusal())
    this.#asked = true
    const answer = (failure: DatabaseError | undefined): void => {
      this.#stopBorrowing = undefined
      done(failure)
    }
    let answered = false
    const takeBack = this.dataSource.lend(this.#context, {
      onLease: (lease) => {
        answered = true
        this.#lease = lease
        this.#stopBorrowing = undefined
        this.#sendAll(opening(this.options), () => done(undefined))
      },
      onRefusal: (failure) => {
        answered = true
        answer(failure)
      }
    })
    if (answered) return
    this.#stopBorrowing = () => {
      takeBack()
      answer(this.closedError())
    }
  }

  /** Takes back the request for a connection, if there is one: whoever waits for it is refused. */
  stopBorrowing(): void {
    this.#stopBorrowing?.()
  }

  /** From now on every statement is refused, with `closedError` unless the transaction was aborted. */
  refuseStatements(): void {
    this.#ended = true
    this.stopBorrowing()
  }

  /** Records the outcome of a statement. */
  note({ changedSession, failure, mayCommit, status }: Outcome): void {
    this.#changedSession ||= changedSession
    if (mayCommit && status === undefined) {
      // The driver does not hand out the flags of a result with rows, and an error has none.
      this.#unsure = true
      this.#mayHaveCommitted = true
    }
    if (failure !== undefined) {
      const { classification, error } = failure
      if (error.retryable) {
        this.#retryable = error
        this.#recovered = false
      }
      if (classification.discard && this.#worst?.classification.invalidatesPool !== true) this.#worst = failure
      if (classification.transaction === "gone" || error.outcome === "unknown") this.aborted ??= error
      else if (classification.transaction === "unsure") this.#unsure = true
    } else if (status === undefined || isInTransaction(status)) {
      this.#recovered = true
    } else {
      this.aborted ??= this.#endedByStatement()
    }
    this.#noteDeath()
  }

  /** Calls back once it is known whether the transaction is still open. */
  whenSure(then: () => void): void {
    this.#noteDeath()
    if (!this.#unsure || this.aborted !== undefined) return then()
    // A statement without rows and without effect: its OK packet carries the status flags.
    this.send("DO 0", ROLLBACK, (error, result) => {
      const status = serverStatus(result)
      if (error !== null) {
        this.#noteDeath()
        this.aborted ??= toDatabaseError(this.dataSource.name, error)
      } else if (status === undefined || !isInTransaction(status)) {
        this.aborted ??= (this.#mayHaveCommitted ? undefined : this.#retryable) ?? this.#endedByStatement()
      }
      this.#unsure = false
      this.#mayHaveCommitted = false
      then()
    })
  }

  /** The failure of everything that is tried in the transaction after it was `aborted` or has ended. */
  refusal(): DatabaseError {
    const { aborted, dataSource } = this
    if (aborted === undefined) return this.closedError()
    if (this.#neverBegan) return aborted
    return makeError(
      dataSource.name,
      "TransactionAborted",
      `the transaction is over (${aborted.reason}), and nothing more can run in it`,
      {
        hint: aborted.retryable
          ? "let it fail, and run the whole transaction again"
          : "let it fail, and look at the error that ended it",
        retryable: aborted.retryable,
        cause: aborted,
        ...(aborted.outcome === undefined ? {} : { outcome: aborted.outcome })
      }
    )
  }

  closedError(): DatabaseError {
    return makeError(
      this.dataSource.name,
      "TransactionClosed",
      "the transaction has ended",
      { hint: "join fibers that were forked in a transaction before its end" }
    )
  }

  /** Whether the whole transaction, which was rolled back and whose body failed with this cause, may be run again. */
  mayRepeat(cause: Cause.Cause<unknown>): boolean {
    if (this.aborted !== undefined) return this.aborted.retryable
    const failure = this.#retryable
    if (failure === undefined) return false
    // The body may have recovered from that failure, and have failed for a reason of its own.
    return !this.#recovered
      || Chunk.some(
        Cause.failures(cause),
        (error) => error === failure || (error instanceof SqlError && error.cause === failure)
      )
  }

  /** Sends a savepoint statement. If it fails, the state of the transaction is unknown, and nothing more may run in it. */
  step(sql: string, done: (failure: DatabaseError | undefined) => void): void {
    this.whenSure(() => {
      if (this.aborted !== undefined) return done(this.refusal())
      this.send(sql, ROLLBACK, (error) => {
        if (error === null) return done(undefined)
        const failure = toDatabaseError(this.dataSource.name, error, sql)
        this.aborted ??= failure
        done(failure)
      })
    })
  }

  /** Sends one statement of our own. `failure` is null on success. After `deadline` milliseconds the connection is cut. */
  send(sql: string, deadline: number, done: (failure: unknown, result: unknown) => void): void {
    const connection = this.connection!
    const cancel = schedule(deadline, () => connection.destroy())
    connection.run({ sql, values: [], rowsAsArray: false, prepared: false }, (error, result) => {
      cancel()
      if (error !== null && endsConnection(error)) connection.destroy()
      done(error, result)
    })
  }

  /** Cuts the connection: the server rolls back what was not committed. */
  cut(): void {
    this.connection?.destroy()
  }

  /** Gives the connection back. `status`: the server's flags after COMMIT or ROLLBACK. */
  end(status: number | undefined, failure: Outcome["failure"] = this.#worst): void {
    this.refuseStatements()
    this.#lease?.end({ failure, status, changedSession: this.#changedSession, mayCommit: false })
  }

  /** The server rolls back when the connection dies. COMMIT was not sent, so the whole transaction may be tried again. */
  #noteDeath(): void {
    if (this.connection?.dead !== true || this.aborted !== undefined) return
    this.aborted = this.#mayHaveCommitted
      ? makeError(
        this.dataSource.name,
        "ConnectionLost",
        "the connection was lost after a procedure that may have committed",
        { hint: OUTCOME_UNKNOWN, outcome: "unknown" }
      )
      : makeError(this.dataSource.name, "ConnectionLost", "the connection was lost before COMMIT was sent", {
        hint: "run the whole transaction again",
        retryable: true
      })
    this.#worst ??= { error: this.aborted, classification: classify(this.aborted) }
  }

  #endedByStatement(): DatabaseError {
    return makeError(
      this.dataSource.name,
      "ImplicitCommit",
      "a statement ended the transaction on the server, so what ran before it may have been committed",
      { hint: "find that statement and run it outside of the transaction", outcome: "unknown" }
    )
  }

  #sendAll([sql, ...rest]: ReadonlyArray<string>, done: () => void): void {
    if (sql === undefined) return done()
    this.send(sql, BEGIN, (error, result) => {
      const status = serverStatus(result)
      const began = rest.length > 0 || (status !== undefined && isInTransaction(status))
      if (error === null && began) return this.#sendAll(rest, done)
      this.#neverBegan = true
      this.aborted = error === null
        ? makeError(this.dataSource.name, "Unknown", "the server accepted BEGIN, and has no transaction open", {
          hint: "look for a proxy that does not pass transactions on"
        })
        : toDatabaseError(this.dataSource.name, error, sql)
      this.#worst = { error: this.aborted, classification: classify(error) }
      this.cut()
      done()
    })
  }
}

/** SET TRANSACTION without SESSION holds for the next transaction only, so nothing has to be restored. */
export const opening = ({ isolation, readOnly }: TransactionOptions): ReadonlyArray<string> => {
  const start = readOnly === true ? "START TRANSACTION READ ONLY" : "BEGIN"
  return isolation === undefined ? [start] : [`SET TRANSACTION ISOLATION LEVEL ${isolation}`, start]
}
