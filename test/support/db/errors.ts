/** What an effect of a database failed with. */
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { expect } from "vitest"
import { DatabaseError } from "../../../src/Errors.ts"

/** The one failure of an exit, which must be a DatabaseError. */
export const databaseError = (exit: Exit.Exit<unknown, unknown>): DatabaseError => {
  const failures = Exit.isFailure(exit) ? [...Cause.failures(exit.cause)] : []
  expect(failures).toHaveLength(1)
  expect(failures[0]).toBeInstanceOf(DatabaseError)
  return failures[0] as DatabaseError
}

/** "Success", the reason of the DatabaseError ("SqlError …" where it is the cause of one), or another failure itself. */
export const reasonOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<unknown, never, R> =>
  Effect.map(
    Effect.exit(effect),
    (exit) =>
      Exit.isSuccess(exit) ? "Success" : [...Cause.failures(exit.cause)].map((error) =>
        error instanceof DatabaseError
          ? error.reason
          : error instanceof SqlError && error.cause instanceof DatabaseError
          ? `SqlError ${error.cause.reason}`
          : error
      )[0] ?? "defect or interruption"
  )

/**
 * The loss of a connection, as a statement of its transaction reports it: the statement may find the connection lost, or
 * the transaction that was lost with it.
 */
export const lossOf = (error: DatabaseError): unknown => error.reason === "TransactionAborted" ? error.cause : error
