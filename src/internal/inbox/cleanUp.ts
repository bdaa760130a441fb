/** Deletes old ids in small steps: one large DELETE would hold its locks, and its undo log, for as long as it runs. */
import * as Arr from "effect/Array"
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
    // Without locks. A DELETE by age would wait for ids that are being written, and they for it.
    const old = database.use((sql) =>
      sql<Id>`SELECT consumer, id FROM inbox WHERE at < UTC_TIMESTAMP(6) - INTERVAL ${seconds} SECOND
        ORDER BY at LIMIT ${stepSize}`
    )
    // In this form both servers take the index.
    const remove = (consumer: string, ids: ReadonlyArray<string>) =>
      database.use((sql) =>
        write(
          sql`DELETE inbox FROM inbox FORCE INDEX (PRIMARY) WHERE consumer = ${consumer} AND id IN ${sql.in(ids)}
            AND at < UTC_TIMESTAMP(6) - INTERVAL ${seconds} SECOND`
        )
      )
    const steps = Effect.gen(function*() {
      let deleted = 0
      while (true) {
        const found = yield* repeated(old)
        for (const [consumer, ids] of byConsumer(found)) {
          // In the same order for all who clean up, who so wait for each other rather than deadlock.
          for (const part of Arr.chunksOf(ids.sort(), PART)) {
            deleted += (yield* repeated(remove(consumer, filled(part)))).affectedRows
          }
        }
        if (found.length < stepSize) return deleted
      }
    })
    // In a transaction of the caller the steps would be one.
    return database.outside(steps)
  })

/** Ids in a statement. */
const PART = 100

/** Always as many, the last one again: so there is one text of the statement, which is prepared once. */
const filled = (ids: ReadonlyArray<string>): ReadonlyArray<string> =>
  Array.from({ length: PART }, (_, index) => ids[Math.min(index, ids.length - 1)]!)

interface Id {
  readonly consumer: string
  readonly id: string
}

const byConsumer = (found: ReadonlyArray<Id>): ReadonlyMap<string, Array<string>> => {
  const ids = new Map<string, Array<string>>()
  for (const { consumer, id } of found) {
    const known = ids.get(consumer)
    if (known === undefined) ids.set(consumer, [id])
    else known.push(id)
  }
  return ids
}

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
