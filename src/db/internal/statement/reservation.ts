/** `sql.reserve`: one connection for the life of a scope. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DatabaseError } from "../../../Errors.ts"
import type { DataSource } from "../dataSource.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Lease, Lender } from "../lease.ts"
import { unfailed } from "../lease.ts"
import { levelOf } from "../transaction/transaction.ts"
import { Lock } from "../waiting/lock.ts"
import { connection } from "./statement.ts"

/** The connection of the open transaction, or one of the pool, which is reset when it is given back. */
export const reserve = (dataSource: DataSource): Effect.Effect<SqlConnection.Connection, SqlError, Scope.Scope> =>
  Effect.withFiberRuntime<SqlConnection.Connection, SqlError, Scope.Scope>((fiber) => {
    const level = levelOf(dataSource, fiber.currentContext)
    if (level !== undefined) return Effect.succeed(connection(dataSource, level))
    return Effect.uninterruptibleMask((restore) => {
      let reservation: Reservation | undefined
      const release = Effect.suspend(() => reservation?.release() ?? Effect.void)
      const acquire = Effect.async<Reservation, SqlError>((resume) => {
        const takeBack = dataSource.lend(fiber.currentContext, (lease) => {
          reservation = new Reservation(dataSource, lease)
          resume(Effect.succeed(reservation))
        }, (error) => resume(Effect.fail(toSqlError(error))))
        return Effect.sync(takeBack)
      })
      // If an interruption falls between the pool's answer and ours, the connection must still go back.
      return Effect.onError(restore(acquire), () => release).pipe(
        Effect.tap(() => Effect.addFinalizer(() => release)),
        Effect.map((reservation) => connection(dataSource, reservation))
      )
    })
  })

class Reservation implements Lender {
  readonly #dataSource: DataSource
  readonly #lease: Lease
  readonly #lock = new Lock()

  constructor(dataSource: DataSource, lease: Lease) {
    this.#dataSource = dataSource
    this.#lease = lease
  }

  lend(
    _context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ): () => void {
    const { connection } = this.#lease
    return this.#lock.acquire(
      this.#dataSource.settings.poolTimeout,
      () => onLease({ connection, end: () => this.#lock.release() }),
      () => onFailure(this.#dataSource.busyError("the reserved connection"))
    )
  }

  /** Ends what still runs on the connection, then gives it back to the pool. */
  release(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      this.#lease.connection.stop(() => {
        this.#lock.close(() => {
          this.#lease.end(unfailed(true))
          resume(Effect.void)
        })
      })
    })
  }
}
