/** One lease for several statements: no statement of anybody else comes between them. */
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { cancellable } from "../../../internal/cancellable.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Applicant, Lease, Lender, Outcome } from "../lease.ts"
import { unfailed } from "../lease.ts"

/** Lends the one connection to one statement after the other. What became of all of them is the outcome of the lease. */
class SharedLease implements Lender {
  readonly #lease: Lease
  #outcome: Outcome = unfailed(false)
  /** The same for DDL: what it does is not undone with the transaction, and the end of that is no surprise. */
  readonly ddl: Lender = { lend: (_context, applicant) => this.#lend(true, applicant) }

  constructor(lease: Lease) {
    this.#lease = lease
  }

  lend(_context: Context.Context<never>, applicant: Applicant): () => void {
    return this.#lend(false, applicant)
  }

  #lend(ddl: boolean, applicant: Applicant): () => void {
    const { connection, inTransaction } = this.#lease
    applicant.onLease({
      connection,
      inTransaction: inTransaction && !ddl,
      end: ({ changedSession, failure, mayCommit, status }) => {
        const before = this.#outcome
        this.#outcome = {
          failure: before.failure ?? failure,
          status: ddl ? before.status : status ?? before.status,
          changedSession: before.changedSession || changedSession,
          mayCommit: before.mayCommit || (mayCommit && !ddl)
        }
      }
    })
    return () => {}
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
    const borrow = cancellable<Lease, SqlError>(restore, {
      start: (resume) => {
        takeBack = lender.lend(context, {
          onLease: (granted) => {
            lease = granted
            resume(Effect.succeed(granted))
          },
          onRefusal: (error) => resume(Effect.fail(toSqlError(error)))
        })
      },
      cancel: () => Effect.sync(() => lease === undefined ? takeBack?.() : lease.end(unfailed(false)))
    })
    return Effect.flatMap(borrow, (granted) => {
      const shared = new SharedLease(granted)
      return Effect.ensuring(restore(use(shared)), Effect.sync(() => shared.end()))
    })
  })
