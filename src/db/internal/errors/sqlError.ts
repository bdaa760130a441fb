/** Converts between our errors and those of @effect/sql: a SqlError of ours has the DatabaseError as its cause. */
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { DatabaseError } from "../../../Errors.ts"
import { toDatabaseError } from "./classify.ts"

export const toSqlError = (error: DatabaseError): SqlError => new SqlError({ message: error.message, cause: error })

/**
 * The DatabaseError that a SqlError of ours carries, whichever database it came from; a SqlError of another client is
 * classified, as one of `database`.
 */
export const fromSqlError = (database: string, error: SqlError): DatabaseError =>
  error.cause instanceof DatabaseError ? error.cause : toDatabaseError(database, error.cause ?? error)

/** Turns every SqlError of an effect into a DatabaseError and leaves all other failures as they are. */
export const mapSqlErrors = <A, E, R>(
  database: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R> =>
  Effect.mapError(
    effect,
    (error) => error instanceof SqlError ? fromSqlError(database, error) : error as Exclude<E, SqlError>
  )
