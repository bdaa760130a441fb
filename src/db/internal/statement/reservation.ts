/** `sql.reserve`: one connection for the life of a scope. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DatabaseError } from "../../../Errors.ts"
import type { Engine, Lease, Lender } from "../dataSource.ts"
import { Lock } from "../waiting/lock.ts"
import { toSqlError } from "../errors/sqlError.ts"
import { connection } from "./statement.ts"
import { frameOf } from "../transaction/transaction.ts"

/** The connection of the open transaction, or one of the pool, which is reset when it comes back. */
export const reserve = (engine: Engine): Effect.Effect<SqlConnection.Connection, SqlError, Scope.Scope> =>
  Effect.withFiberRuntime<SqlConnection.Connection, SqlError, Scope.Scope>((fiber) => {
    const frame = frameOf(engine, fiber.currentContext)
    if (frame !== undefined) return Effect.succeed(connection(engine, frame))
    return Effect.uninterruptibleMask((restore) => {
      let reservation: Reservation | undefined
      const release = Effect.suspend(() => reservation?.release() ?? Effect.void)
      const acquire = Effect.async<Reservation, SqlError>((resume) => {
        const takeBack = engine.lend(fiber.currentContext, (lease) => {
          reservation = new Reservation(engine, lease)
          resume(Effect.succeed(reservation))
        }, (error) => resume(Effect.fail(toSqlError(error))))
        return Effect.sync(takeBack)
      })
      // Interrupted between the pool's answer and ours, the connection goes back just the same.
      return Effect.onError(restore(acquire), () => release).pipe(
        Effect.tap(() => Effect.addFinalizer(() => release)),
        Effect.map((reservation) => connection(engine, reservation))
      )
    })
  })

class Reservation implements Lender {
  readonly #engine: Engine
  readonly #lease: Lease
  readonly #lock = new Lock()

  constructor(engine: Engine, lease: Lease) {
    this.#engine = engine
    this.#lease = lease
  }

  lend(
    _context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ): () => void {
    const { connection } = this.#lease
    return this.#lock.acquire(
      this.#engine.settings.poolTimeout,
      () => onLease({ connection, end: () => this.#lock.release() }),
      () => onFailure(this.#engine.busyError("the reserved connection"))
    )
  }

  /** Nothing of it may be running when the connection goes back to the pool. */
  release(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      this.#lease.connection.stop(() => {
        this.#lock.close(() => {
          this.#lease.end({ failure: undefined, inTransaction: undefined, changedSession: true })
          resume(Effect.void)
        })
      })
    })
  }
}
