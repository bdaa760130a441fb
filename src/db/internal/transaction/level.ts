/** One level of a transaction: the transaction itself, or a savepoint in it. */
import type * as Context from "effect/Context"
import type { DatabaseError } from "../../../Errors.ts"
import { ROLLBACK } from "../deadlines.ts"
import { makeError } from "../errors/classify.ts"
import type { Lease, Lender } from "../lease.ts"
import { Lock } from "../waiting/lock.ts"
import type { OpenTransaction } from "./openTransaction.ts"

/**
 * Statements of a level borrow the transaction's connection from it. Each level has a lock: a statement holds it while it
 * runs, and a nested transaction holds it as long as it lives. So only one statement at a time is on the wire, and no
 * statement of an outer level gets into a savepoint.
 */
export class Level implements Lender {
  readonly transaction: OpenTransaction
  readonly lock = new Lock()

  constructor(transaction: OpenTransaction) {
    this.transaction = transaction
  }

  /** Begins the transaction. The lock is held until BEGIN is answered, so the first statement waits for it. */
  open(): this {
    this.lock.acquire(0, () => this.transaction.begin(() => this.lock.release()), () => {})
    return this
  }

  lend(
    _context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ): () => void {
    return this.enter((leave) =>
      onLease({
        connection: this.transaction.connection,
        end: (outcome) => {
          this.transaction.note(outcome)
          leave()
        }
      }), onFailure)
  }

  /** Takes the lock of this level, for a statement or a nested transaction. `leave` releases it. */
  enter(onEntered: (leave: () => void) => void, onFailure: (error: DatabaseError) => void): () => void {
    const { transaction } = this
    const leave = (): void => this.lock.release()
    let takenBack = false
    const takeBack = this.lock.acquire(
      transaction.dataSource.settings.poolTimeout,
      () => {
        transaction.whenSure(() => {
          if (takenBack) return leave()
          if (transaction.aborted === undefined) return onEntered(leave)
          leave()
          onFailure(transaction.refusal())
        })
      },
      (why) =>
        onFailure(
          why === "closed" ? this.#closedError() : transaction.dataSource.busyError("the connection of the transaction")
        )
    )
    return () => {
      takenBack = true
      takeBack()
    }
  }

  /**
   * Refuses further statements of this level. A statement that still runs, in a fiber that nobody joined, is waited for
   * if the level is to be kept (`wait`), and stopped on the server if it is to be rolled back.
   */
  close(wait: boolean, done: () => void): void {
    const { connection, dataSource } = this.transaction
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
    if (wait) return drain(dataSource.settings.poolTimeout)
    // First refuse the statements that wait: one would begin as soon as the running one has stopped.
    this.lock.close(() => {})
    connection.stop(() => drain(ROLLBACK))
  }

  #closedError(): DatabaseError {
    return makeError(
      this.transaction.dataSource.name,
      "TransactionClosed",
      "the transaction has ended",
      { hint: "join fibers that were forked in a transaction before its end" }
    )
  }
}
