/** A transaction that takes effect once for an id. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { DatabaseTag } from "../../db/Database.ts"
import { DatabaseError } from "../../Errors.ts"
import { maxConsumer, maxId } from "./schema.ts"

interface Options {
  readonly consumer: string
  readonly id: string
  readonly timeout?: Duration.DurationInput | undefined
  readonly retries?: number | undefined
}

/** The failure that rolls back what a duplicate has done: nothing. */
const DUPLICATE = { _tag: "Duplicate" } as const

export const once = <Self, Name extends string, A, E, R>(
  database: DatabaseTag<Self, Name>,
  { consumer, id, retries = 3, timeout = "10 seconds" }: Options,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Option.Option<A>, Exclude<E, SqlError> | DatabaseError, R | Self> =>
  Effect.suspend(() => {
    const name = database.databaseName
    const problem = problemOf("consumer", consumer, maxConsumer) ?? problemOf("id", id, maxId)
    if (problem !== undefined) return Effect.fail(refusal(name, problem))
    if (!(retries >= 1)) return Effect.fail(refusal(name, "retries must be at least 1"))

    // The attempts share one deadline, and the work of the effect does not count.
    let left = Duration.toMillis(timeout)
    const written = Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      yield* write(database, consumer, id).pipe(
        Effect.timeoutFail({ duration: left, onTimeout: () => tooLong(name, timeout) }),
        Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => {
          left = Math.max(0, left - (now - start))
        }))
      )
    })
    return Effect.catchAll(
      database.withTransaction(Effect.zipRight(written, Effect.asSome(effect)), { retries }),
      (error): Effect.Effect<Option.Option<A>, Exclude<E, SqlError> | DatabaseError> =>
        error === DUPLICATE
          ? Effect.succeedNone
          : Effect.fail(error as Exclude<E, SqlError> | DatabaseError)
    )
  })

/**
 * Only a row with this consumer and id means that the message has taken effect. IGNORE would also hide what is wrong with
 * the values, and the error names the key in the language of the server. The row that was in the way is locked: it stays.
 */
const write = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>,
  consumer: string,
  id: string
): Effect.Effect<unknown, DatabaseError | typeof DUPLICATE, Self> =>
  Effect.catchAll(
    database.use((sql) => sql`INSERT INTO inbox (consumer, id, at) VALUES (${consumer}, ${id}, UTC_TIMESTAMP(6))`),
    (error) =>
      error.errno === 1062
        ? Effect.flatMap(
          database.use((sql) =>
            sql`SELECT id FROM inbox WHERE consumer = ${consumer} AND id = ${id} LOCK IN SHARE MODE`
          ),
          (rows) => Effect.fail(rows.length > 0 ? DUPLICATE : error)
        )
        : Effect.fail(error.reason === "UnknownObject" ? withHint(error) : error)
  )

/** An id of another length or with other characters could be stored as the id of another message. */
const problemOf = (field: string, value: unknown, max: number): string | undefined =>
  typeof value === "string" && value.length <= max && /^[\x21-\x7e]+$/.test(value)
    ? undefined
    : `${field} must be 1-${max} ASCII letters, digits and punctuation marks, without spaces`

const refusal = (database: string, detail: string): DatabaseError =>
  new DatabaseError({
    database,
    reason: "InvalidParameter",
    retryable: false,
    detail: `Inbox: ${detail}`,
    hint: "give each message a short id of its own, a hash for example"
  })

const tooLong = (database: string, timeout: Duration.DurationInput): DatabaseError =>
  new DatabaseError({
    database,
    reason: "LockWaitTimeout",
    retryable: true,
    detail: `Inbox: the id of a message could not be written within ${Duration.format(timeout)}`,
    hint: "another delivery of the same message may still be at work; let this one come again"
  })

const withHint = (error: DatabaseError): DatabaseError =>
  new DatabaseError({
    database: error.database,
    reason: error.reason,
    retryable: error.retryable,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    hint: "create the table of Inbox: sql/inbox.sql of this package, or Inbox.migration",
    ...(error.errno === undefined ? {} : { errno: error.errno }),
    ...(error.sqlState === undefined ? {} : { sqlState: error.sqlState }),
    ...(error.statement === undefined ? {} : { statement: error.statement }),
    cause: error
  })
