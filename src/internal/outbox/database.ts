/** One database, bound to the service that the layer was built with. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { DatabaseTag } from "../../db/Database.ts"
import { DatabaseError } from "../../Errors.ts"

export interface Database {
  readonly name: string
  readonly use: <A, E, R>(
    work: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R>
  readonly withTransaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R>
  readonly outside: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R>
  /** Whether a transaction is open here. If so, the effect runs after its commit, and also where that is unknown. */
  readonly afterCommit: (effect: Effect.Effect<void>) => Effect.Effect<boolean>
}

export const bind = <Self, Name extends string>(tag: DatabaseTag<Self, Name>): Effect.Effect<Database, never, Self> =>
  Effect.map(tag, (sql): Database => {
    const provided = <A, E, R>(effect: Effect.Effect<A, E, R | Self>): Effect.Effect<A, E, Exclude<R, Self>> =>
      Effect.provideService(effect, tag, sql)
    return {
      name: tag.databaseName,
      use: (work) => provided(tag.use(work)) as never,
      withTransaction: (effect) => provided(tag.withTransaction(effect)) as never,
      outside: (effect) => provided(tag.outside(effect)) as never,
      afterCommit: (effect) =>
        Effect.suspend(() => {
          let registered = false
          let isOpen = true
          // Without a transaction it runs at once.
          const late = Effect.suspend(() => {
            if (registered) return effect
            isOpen = false
            return Effect.void
          })
          return Effect.map(provided(tag.afterCommit(late, { whenUnknown: "run" })), () => {
            registered = true
            return isOpen
          })
        })
    }
  })

/**
 * The same with a deadline for each `use`, in milliseconds. A connection that has gone silent would hold up its user for
 * as long as TCP waits, a quarter of an hour, while the leases are renewed on another.
 */
export const bounded = (database: Database, millis: number): Database => ({
  ...database,
  use: (work) =>
    Effect.timeoutFail(database.use(work), {
      duration: millis,
      onTimeout: () =>
        new DatabaseError({
          database: database.name,
          reason: "StatementTimeout",
          retryable: true,
          detail: `a statement of a relay was not answered within ${Duration.format(Duration.millis(millis))}`,
          hint: "look for a pool that is exhausted, a row that is locked, or a connection that has gone silent"
        })
    })
})
