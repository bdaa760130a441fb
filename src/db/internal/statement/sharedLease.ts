/** One lease for several statements: no statement of anybody else comes between them. */
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { toSqlError } from "../errors/sqlError.ts"
import type { Lease, Lender, Outcome } from "../lease.ts"
import { unfailed } from "../lease.ts"
import { cancellable } from "../waiting/cancellable.ts"

/** Lends the one connection to one statement after the other. What became of all of them is the outcome of the lease. */
export class SharedLease implements Lender {
  readonly #lease: Lease
  #outcome: Outcome = unfailed(false)

  constructor(lease: Lease) {
    this.#lease = lease
  }

  lend(_context: Context.Context<never>, onLease: (lease: Lease) => void): () => void {
    onLease({
      connection: this.#lease.connection,
      inTransaction: this.#lease.inTransaction,
      end: ({ changedSession, failure, mayCommit, status }) => {
        this.#outcome = {
          failure: this.#outcome.failure ?? failure,
          status: status ?? this.#outcome.status,
          changedSession: this.#outcome.changedSession || changedSession,
          mayCommit: this.#outcome.mayCommit || mayCommit
        }
      }
    })
    return () => {}
  }

  /** What a statement said of the open transaction holds no longer. */
  transactionChanged(): void {
    this.#outcome = { ...this.#outcome, status: undefined }
  }

  end(): void {
    this.#lease.end(this.#outcome)
  }
}

/** Borrows from the lender for as long as `use` takes. */
export const withLease = <A>(
  lender: Lender,
  context: Context.Context<never>,
  use: (shared: SharedLease) => Effect.Effect<A, SqlError>
): Effect.Effect<A, SqlError> =>
  Effect.uninterruptibleMask((restore) => {
    let lease: Lease | undefined
    let takeBack: (() => void) | undefined
    const borrow = cancellable<Lease, SqlError>(
      restore,
      (resume) => {
        takeBack = lender.lend(context, (granted) => {
          lease = granted
          resume(Effect.succeed(granted))
        }, (error) => resume(Effect.fail(toSqlError(error))))
      },
      () => Effect.sync(() => lease === undefined ? takeBack?.() : lease.end(unfailed(false)))
    )
    return Effect.flatMap(borrow, (granted) => {
      const shared = new SharedLease(granted)
      return Effect.ensuring(restore(use(shared)), Effect.sync(() => shared.end()))
    })
  })
