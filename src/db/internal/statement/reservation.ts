/** `sql.reserve`: one connection for the life of a scope. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DatabaseError } from "../../../Errors.ts"
import type { DataSource } from "../dataSource.ts"
import { makeError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Applicant, Lease, Lender, Outcome } from "../lease.ts"
import { unfailed } from "../lease.ts"
import { Level } from "../transaction/level.ts"
import { lenderOf } from "../transaction/transaction.ts"
import { Lock } from "../waiting/lock.ts"
import type { Runner } from "./statement.ts"
import { connection } from "./statement.ts"

/** The connection of the open transaction, or one of the pool, which is reset when it is given back. */
export const reserve = (
  dataSource: DataSource,
  runner?: Runner
): Effect.Effect<SqlConnection.Connection, SqlError, Scope.Scope> =>
  Effect.withFiberRuntime<SqlConnection.Connection, SqlError, Scope.Scope>((fiber) => {
    const lender = lenderOf(dataSource, fiber.currentContext)
    if (lender instanceof DatabaseError) return Effect.fail(toSqlError(lender))
    if (lender instanceof Level) return Effect.succeed(connection(dataSource, lender, runner))
    return Effect.uninterruptibleMask((restore) => {
      let reservation: Reservation | undefined
      const release = Effect.suspend(() => reservation?.release() ?? Effect.void)
      const acquire = Effect.async<Reservation, SqlError>((resume) => {
        const takeBack = dataSource.lend(fiber.currentContext, {
          onLease: (lease) => {
            reservation = new Reservation(dataSource, lease)
            resume(Effect.succeed(reservation))
          },
          onRefusal: (error) => resume(Effect.fail(toSqlError(error)))
        })
        return Effect.sync(takeBack)
      })
      // If an interruption falls between the pool's answer and ours, the connection must still go back.
      return Effect.onError(restore(acquire), () => release).pipe(
        Effect.tap(() => Effect.addFinalizer(() => release)),
        Effect.map((reservation) => connection(dataSource, reservation, runner))
      )
    })
  })

class Reservation implements Lender {
  readonly #dataSource: DataSource
  readonly #lease: Lease
  readonly #lock = new Lock()
  /** The outcome with the gravest consequences. The session is reset in any case. */
  #worst: Outcome = unfailed(true)

  constructor(dataSource: DataSource, lease: Lease) {
    this.#dataSource = dataSource
    this.#lease = lease
  }

  lend(_context: Context.Context<never>, applicant: Applicant): () => void {
    const { connection } = this.#lease
    return this.#lock.acquire(
      this.#dataSource.settings.poolTimeout,
      () => applicant.onLease({ connection, inTransaction: false, end: (outcome) => this.#end(outcome) }),
      (why) =>
        applicant.onRefusal(
          why === "closed" ? this.#closedError() : this.#dataSource.busyError("the reserved connection")
        )
    )
  }

  /** Refuses what waits, ends what runs, then gives the connection back to the pool. */
  release(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      // First those that wait: one would begin as soon as the running one has stopped.
      this.#lock.close(() => {})
      this.#lease.connection.stop(() => {
        this.#lock.close(() => {
          this.#lease.end(this.#worst)
          resume(Effect.void)
        })
      })
    })
  }

  #end({ failure }: Outcome): void {
    if (failure?.classification.discard === true && this.#worst.failure?.classification.invalidatesPool !== true) {
      this.#worst = { ...this.#worst, failure }
    }
    this.#lock.release()
  }

  #closedError(): DatabaseError {
    return makeError(this.#dataSource.name, "TransactionClosed", "the reserved connection has been given back", {
      hint: "use it only within the scope of its reservation"
    })
  }
}
