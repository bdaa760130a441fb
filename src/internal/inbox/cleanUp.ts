/** Deletes old ids in small steps: one large DELETE would hold its locks, and its undo log, for as long as it runs. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { type DatabaseTag, write } from "../../db/Database.ts"
import { DatabaseError } from "../../Errors.ts"
import { pauseAfter } from "../backoff.ts"

interface Options {
  readonly olderThan?: Duration.DurationInput | undefined
  readonly stepSize?: number | undefined
}

/** How often a step is tried that meets a deadlock with the step of another process. */
const ATTEMPTS = 10

export const cleanUp = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>,
  { olderThan = "15 days", stepSize = 1_000 }: Options = {}
): Effect.Effect<number, DatabaseError, Self> =>
  Effect.suspend(() => {
    const seconds = Math.ceil(Duration.toSeconds(olderThan))
    if (!(Number.isInteger(stepSize) && stepSize >= 1 && stepSize <= 10_000)) {
      return refuse(database.databaseName, "stepSize must be a whole number from 1 to 10,000")
    }
    // Beyond some thousand years the server's arithmetic gives NULL, and an age of 0 would delete what is new.
    if (!(seconds > 0 && seconds <= 1e9)) {
      return refuse(database.databaseName, "olderThan must be more than nothing and at most 30 years")
    }
    // In the order of the index, which is the same for all who clean up: they wait for each other rather than deadlock.
    const step = database.use((sql) =>
      write(
        sql`DELETE FROM inbox WHERE at < UTC_TIMESTAMP(6) - INTERVAL ${seconds} SECOND ORDER BY at LIMIT ${stepSize}`
      )
    )
    const steps = (before: number): Effect.Effect<number, DatabaseError, Self> =>
      Effect.flatMap(repeated(step), ({ affectedRows }) => {
        const deleted = before + affectedRows
        return affectedRows < stepSize ? Effect.succeed(deleted) : Effect.suspend(() => steps(deleted))
      })
    // In a transaction of the caller the steps would be one.
    return database.outside(steps(0))
  })

const repeated = <A, R>(
  step: Effect.Effect<A, DatabaseError, R>,
  attempt = 1
): Effect.Effect<A, DatabaseError, R> =>
  Effect.catchAll(step, (error) =>
    error.retryable && attempt < ATTEMPTS
      ? Effect.flatMap(Random.next, (random) =>
        Effect.zipRight(
          Effect.sleep(pauseAfter(attempt, { first: 20, max: 1_000 }, random)),
          repeated(step, attempt + 1)
        ))
      : Effect.fail(error))

const refuse = (database: string, detail: string): Effect.Effect<never, DatabaseError> =>
  Effect.fail(
    new DatabaseError({ database, reason: "InvalidParameter", retryable: false, detail: `Inbox.cleanUp: ${detail}` })
  )
