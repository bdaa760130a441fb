/** One open transaction, and its levels: the connection that they share and who may use it next. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type { DatabaseError } from "../../../Errors.ts"
import type { Connection } from "../connection/connection.ts"
import { inTransaction } from "../connection/connection.ts"
import type { Engine, Lease, Lender, Outcome } from "../dataSource.ts"
import { makeError, toDatabaseError } from "../errors/classify.ts"
import { Lock } from "../waiting/lock.ts"
import type { IsolationLevel } from "../settings/settings.ts"

/** What can be asked of one transaction. */
export interface TransactionOptions {
  /** For this transaction only. Default: the isolation level of the database's settings. */
  readonly isolation?: IsolationLevel | undefined
  /** The server refuses writes (MySQL error 1792). Default false. */
  readonly readOnly?: boolean | undefined
  /**
   * How often the whole transaction is repeated after a failure of which the server has rolled everything back (deadlock,
   * lock wait timeout, connection lost before COMMIT). Default 0. A nested transaction leaves it to the outermost one.
   */
  readonly retries?: number | undefined
  /** How long the body may take, COMMIT not included; then it is rolled back and fails with TransactionTimeout. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** ROLLBACK and savepoint statements answer at once on a healthy server; after this the connection is cut instead. */
export const ROLLBACK_DEADLINE = 2_000
const BEGIN_DEADLINE = 10_000

/** What all levels of one transaction share. */
export class Root {
  readonly engine: Engine
  readonly lease: Lease
  readonly options: TransactionOptions
  /** The transaction is over on the server, or its state is not known: nothing may run in it any more. */
  aborted: DatabaseError | undefined
  /** The server may have rolled the whole transaction back (1205 with innodb_rollback_on_timeout): ask before going on. */
  unsure = false
  changedSession = false
  /** The failure after which the whole transaction may be tried again. */
  retryable: DatabaseError | undefined
  #neverBegan = false
  #savepoints = 0

  constructor(engine: Engine, lease: Lease, options: TransactionOptions) {
    this.engine = engine
    this.lease = lease
    this.options = options
  }

  get connection(): Connection {
    return this.lease.connection
  }

  nextSavepoint(): string {
    return `betterai_${++this.#savepoints}`
  }

  note({ changedSession, failure, inTransaction: open }: Outcome): void {
    this.changedSession ||= changedSession
    if (failure !== undefined) {
      const { classification, error } = failure
      if (error.retryable) this.retryable = error
      if (classification.transaction === "gone") this.aborted ??= error
      else if (classification.transaction === "unsure") this.unsure = true
    } else if (open === false && !this.connection.dead) {
      this.aborted ??= makeError(
        this.engine.name,
        "ImplicitCommit",
        "a statement ended the transaction on the server; what ran before it may be committed"
      )
    } else if (this.aborted === undefined) {
      // The body got over the failure, and went on.
      this.retryable = undefined
    }
    this.noteDeath()
  }

  /** A connection that died took the transaction with it: COMMIT was not sent, so the whole may be tried again. */
  noteDeath(): void {
    if (!this.connection.dead || this.aborted !== undefined) return
    this.aborted = makeError(this.engine.name, "ConnectionLost", "the connection was lost before COMMIT was sent", {
      retryable: true
    })
    this.retryable ??= this.aborted
  }

  /** Calls back once it is known whether the transaction is still open. */
  whenSure(then: () => void): void {
    this.noteDeath()
    if (!this.unsure || this.aborted !== undefined) return then()
    // A statement without rows or effect: its OK packet carries the status flags.
    this.send("DO 0", ROLLBACK_DEADLINE, (error, result) => {
      this.unsure = false
      if (error !== null || inTransaction(result) !== true) {
        this.aborted ??= this.retryable ?? makeError(this.engine.name, "ConnectionLost", "the connection was lost")
      }
      then()
    })
  }

  refusal(): DatabaseError {
    const { aborted, engine } = this
    if (this.#neverBegan) return aborted!
    return makeError(
      engine.name,
      "TransactionAborted",
      `the transaction is over (${aborted!.reason}); nothing more can run in it. Let it fail, and try the whole again`,
      { retryable: aborted!.retryable, cause: aborted }
    )
  }

  /** Sends what begins the transaction. If that fails, so does its first statement, or else its end. */
  begin(done: () => void): void {
    const next = ([sql, ...rest]: ReadonlyArray<string>): void => {
      if (sql === undefined) return done()
      this.send(sql, BEGIN_DEADLINE, (error) => {
        if (error === null) return next(rest)
        this.#neverBegan = true
        this.aborted = toDatabaseError(this.engine.name, error, sql)
        if (this.aborted.retryable) this.retryable = this.aborted
        this.connection.destroy()
        done()
      })
    }
    next(opening(this.options))
  }

  /** Sends one statement of ours; `undefined` means success. After `deadline` the connection is cut. */
  send(sql: string, deadline: number, done: (failure: unknown, result: unknown) => void): void {
    const timer = setTimeout(() => this.connection.destroy(), deadline)
    this.connection.run({ sql, values: [], rowsAsArray: false, prepared: false }, (error, result) => {
      clearTimeout(timer)
      done(error, result)
    })
  }
}

/** One level: the transaction itself or a savepoint in it. Statements of that level borrow the connection from it. */
export class Frame implements Lender {
  readonly root: Root
  readonly lock = new Lock()

  constructor(root: Root) {
    this.root = root
  }

  /** Begins; statements wait for it in the lock. */
  open(): this {
    this.lock.acquire(0, () => this.root.begin(() => this.lock.release()), () => {})
    return this
  }

  lend(
    _context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ): () => void {
    return this.enter((leave) =>
      onLease({
        connection: this.root.connection,
        end: (outcome) => {
          this.root.note(outcome)
          leave()
        }
      }), onFailure)
  }

  /** Takes the lock of this level, for a statement or for a nested transaction; the function given releases it. */
  enter(onEntered: (leave: () => void) => void, onFailure: (error: DatabaseError) => void): () => void {
    const { root } = this
    const leave = (): void => this.lock.release()
    let takenBack = false
    const takeBack = this.lock.acquire(
      root.engine.settings.poolTimeout,
      () => {
        root.whenSure(() => {
          if (takenBack) return leave()
          if (root.aborted === undefined) return onEntered(leave)
          leave()
          onFailure(root.refusal())
        })
      },
      (why) =>
        onFailure(why === "closed" ? this.#closedError() : root.engine.busyError("the connection of the transaction"))
    )
    return () => {
      takenBack = true
      takeBack()
    }
  }

  /**
   * No statement of this level begins any more. What still runs, in fibers that nobody joined, is waited for when the
   * transaction is to be kept (`wait`), and stopped on the server when it is not.
   */
  close(wait: boolean, done: () => void): void {
    const { connection, engine } = this.root
    const drain = (deadline: number): void => {
      let timer: NodeJS.Timeout | undefined
      let free = false
      const finish = (): void => {
        if (free) return
        free = true
        clearTimeout(timer)
        done()
      }
      this.lock.close(finish)
      if (free) return
      timer = setTimeout(() => {
        connection.destroy()
        finish()
      }, deadline)
    }
    if (wait) return drain(engine.settings.poolTimeout)
    // Or else those that wait would begin as soon as the running one has stopped.
    this.lock.close(() => {})
    connection.stop(() => drain(ROLLBACK_DEADLINE))
  }

  #closedError(): DatabaseError {
    return makeError(
      this.root.engine.name,
      "TransactionClosed",
      "the transaction has ended; a fiber that was forked in it must be joined before its end"
    )
  }
}

/** SET TRANSACTION without SESSION holds for the next transaction alone: there is nothing to restore. */
const opening = ({ isolation, readOnly }: TransactionOptions): ReadonlyArray<string> => {
  const start = readOnly === true ? "START TRANSACTION READ ONLY" : "BEGIN"
  return isolation === undefined ? [start] : [`SET TRANSACTION ISOLATION LEVEL ${isolation}`, start]
}
