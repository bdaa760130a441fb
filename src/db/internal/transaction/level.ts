/** One level of a transaction: the transaction itself, or a savepoint in it. */
import type * as Context from "effect/Context"
import type { DatabaseError } from "../../../Errors.ts"
import { ROLLBACK } from "../deadlines.ts"
import type { Applicant, Lease, Lender, LentConnection, Outcome } from "../lease.ts"
import { Lock } from "../waiting/lock.ts"
import { schedule } from "../waiting/schedule.ts"
import { AfterCommit } from "./afterCommit.ts"
import type { OpenTransaction } from "./openTransaction.ts"

/**
 * Statements of a level borrow the transaction's connection from it. Each level has a lock: a statement holds it while it
 * runs, and a nested transaction holds it as long as it lives. So only one statement at a time is on the wire, and no
 * statement of an outer level gets into a savepoint.
 *
 * Nothing is sent before the first statement: it borrows the connection and begins, and sets the savepoints of all
 * levels that it is in. A level without a statement leaves no trace on the server.
 */
export class Level implements Lender {
  readonly transaction: OpenTransaction
  readonly lock = new Lock()
  /** What is to run after the commit, if this level is kept. */
  readonly afterCommit = new AfterCommit()
  /** DDL, which commits implicitly, may run in this level: only by way of `toSqlClient`, see `statement/ddl.ts`. */
  readonly allowsDdl: boolean
  readonly #parent: Level | undefined
  readonly #lease: Lease
  /** The transaction has begun, and the savepoint of this level is set. */
  #open = false
  #savepoint: string | undefined

  /** DDL must be allowed in all outer levels too. */
  constructor(transaction: OpenTransaction, parent: Level | undefined, allowsDdl: boolean) {
    this.transaction = transaction
    this.allowsDdl = allowsDdl && parent?.allowsDdl !== false
    this.#parent = parent
    this.#lease = new LevelLease(this)
  }

  /** The savepoint of a nested level; undefined as long as it is not set on the server. */
  get savepoint(): string | undefined {
    return this.#savepoint
  }

  /** A level of a session, the session itself or a savepoint in it. */
  get isSession(): boolean {
    return this.transaction.isSession
  }

  /** The savepoints that this level is in, the outermost first. */
  get savepoints(): ReadonlyArray<string> {
    return [...this.#parent?.savepoints ?? [], ...this.#savepoint === undefined ? [] : [this.#savepoint]]
  }

  lend(_context: Context.Context<never>, applicant: Applicant): () => void {
    const { transaction } = this
    // Nearly always so after the first statement. With the lock first: while a statement holds it, its outcome is not noted.
    if (this.#open && this.lock.acquireNow()) {
      if (transaction.isUsable) {
        applicant.onLease(this.#lease)
        return ignore
      }
      this.lock.release()
    }
    let takenBack = false
    let holdsLock = false
    const whenOpen = (failure: DatabaseError | undefined): void => {
      if (takenBack) return this.lock.release()
      if (failure === undefined && transaction.isUsable) return applicant.onLease(this.#lease)
      // From now on another one may hold it, whose request must not be taken back.
      holdsLock = false
      this.lock.release()
      applicant.onRefusal(failure ?? transaction.refusal())
    }
    const leave = this.#enter(() => {
      holdsLock = true
      if (this.#open && transaction.isUsable) applicant.onLease(this.#lease)
      else this.#whenOpen(whenOpen)
    }, (error) => applicant.onRefusal(error))
    return () => {
      takenBack = true
      if (holdsLock) transaction.stopBorrowing()
      else leave()
    }
  }

  /** Takes the lock for a nested transaction. `leave` releases it. */
  enter(onEntered: (leave: () => void) => void, onFailure: (error: DatabaseError) => void): () => void {
    const { transaction } = this
    const leave = (): void => this.lock.release()
    return this.#enter(() => {
      if (transaction.aborted === undefined) return onEntered(leave)
      leave()
      onFailure(transaction.refusal())
    }, onFailure)
  }

  /** Ends a transaction of which nothing was asked: there is nothing to commit or to roll back. False: it has to be ended. */
  endUnused(committed: boolean): boolean {
    if (this.transaction.hasAsked || this.lock.isHeld || !this.afterCommit.endEmpty(committed)) return false
    this.lock.close(() => {})
    this.transaction.refuseStatements()
    return true
  }

  /**
   * Refuses further statements of this level. A statement that still runs, in a fiber that nobody joined, is waited for
   * if the level is to be kept (`wait`), and stopped on the server if it is to be rolled back. One that still waits for
   * a connection is refused.
   */
  close(wait: boolean, done: () => void): void {
    const { transaction } = this
    const drain = (deadline: number): void => {
      let cancel = (): void => {}
      let free = false
      const finish = (): void => {
        if (free) return
        free = true
        cancel()
        done()
      }
      this.lock.close(finish)
      if (free) return
      cancel = schedule(deadline, () => {
        transaction.cut()
        finish()
      })
    }
    // First refuse the statements that wait: one would begin as soon as the running one has stopped.
    this.lock.close(() => {})
    if (!wait && this.#parent === undefined) transaction.refuseStatements()
    else transaction.stopBorrowing()
    if (wait) return drain(transaction.dataSource.settings.poolTimeout)
    const { connection } = transaction
    if (connection === undefined) return drain(ROLLBACK)
    connection.stop(() => drain(ROLLBACK))
  }

  #enter(onEntered: () => void, onFailure: (error: DatabaseError) => void): () => void {
    const { transaction } = this
    const { dataSource } = transaction
    return this.lock.acquire(
      dataSource.settings.poolTimeout,
      onEntered,
      (why) =>
        onFailure(
          why === "closed" ? transaction.closedError() : dataSource.busyError("the connection of the transaction")
        )
    )
  }

  /** Calls back when a statement may be sent, or with the reason why there is no connection for it. */
  #whenOpen(done: (failure: DatabaseError | undefined) => void): void {
    const { transaction } = this
    const parent = this.#parent
    if (this.#open) return transaction.whenSure(() => done(undefined))
    if (parent === undefined) {
      return transaction.begin((failure) => {
        this.#open = failure === undefined
        done(failure)
      })
    }
    parent.#whenOpen((failure) => {
      if (failure !== undefined || !transaction.isUsable) return done(failure)
      const savepoint = transaction.nextSavepoint()
      transaction.step(`SAVEPOINT ${savepoint}`, (failure) => {
        this.#open = failure === undefined
        if (this.#open) this.#savepoint = savepoint
        done(failure)
      })
    })
  }
}

/** Only one statement of a level runs at a time, so one lease is enough for all of them. */
class LevelLease implements Lease {
  readonly #level: Level
  readonly inTransaction = true

  constructor(level: Level) {
    this.#level = level
  }

  get connection(): LentConnection {
    return this.#level.transaction.connection!
  }

  end(outcome: Outcome): void {
    this.#level.transaction.note(outcome)
    this.#level.lock.release()
  }
}

const ignore = (): void => {}
