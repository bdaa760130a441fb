/**
 * Messages that take effect once, although they are delivered more often: the id of a message is written in the
 * transaction of its work.
 *
 * ```ts
 * const pay = Inbox.once(MainDb, { consumer: "payments", id: message.messageId })(
 *   MainDb.use((sql) => sql`UPDATE accounts SET balance = balance - ${amount} WHERE id = ${account}`)
 * )
 * ```
 */
import type * as Migrator from "@effect/sql/Migrator"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Dedupe, Received } from "./aws/Queue.ts"
import type { DatabaseTag } from "./db/Database.ts"
import type { ConfigurationError, DatabaseError } from "./Errors.ts"
import * as CleanUp from "./internal/inbox/cleanUp.ts"
import * as Once from "./internal/inbox/once.ts"
import * as Schema from "./internal/inbox/schema.ts"
import * as Tables from "./internal/tables.ts"

/** How an id is written, and how long that may take. */
export interface WriteOptions {
  /**
   * Who handles the message: each consumer has ids of its own. 1-64 ASCII letters, digits and punctuation marks, no
   * spaces.
   */
  readonly consumer: string
  /**
   * How long the writing of the id may take: a duplicate waits there until the first delivery has ended. Then it fails
   * with `LockWaitTimeout`, retryable. Default 10 seconds. The server's `innodb_lock_wait_timeout`, 50 seconds, is the
   * other limit.
   */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * How often the whole is repeated after a failure for which the server has rolled everything back. Default 3, at least
   * 1: when a first delivery rolls back while two duplicates wait, the server chooses one of these two as the victim of a
   * deadlock. Inside an open transaction the `retries` of the outermost one count.
   */
  readonly retries?: number | undefined
}

export interface OnceOptions extends WriteOptions {
  /** Of the message. 1-128 ASCII letters, digits and punctuation marks, no spaces; write a hash of what is longer. */
  readonly id: string
}

export interface DedupeOptions extends WriteOptions {
  /** The id of a message. Default: its attribute `outbox-id`, which Outbox sets, or else its `messageId`. */
  readonly id?: ((message: Received<unknown>) => string) | undefined
}

export interface CleanUpOptions {
  /**
   * The age of the ids that are deleted. Default 15 days: SQS keeps a message for 14 days at most. Add the retention of a
   * dead-letter queue from which messages may come back.
   */
  readonly olderThan?: Duration.DurationInput | undefined
  /** The most ids that one statement deletes, 1-10,000. Default 1,000. */
  readonly stepSize?: number | undefined
}

/**
 * Runs an effect in a transaction of that database that takes effect once for that id. The result is none if it has taken
 * effect before; then the effect is not run.
 *
 * - The id is written first, in the same transaction. A duplicate that comes meanwhile waits there. If the first
 *   delivery commits, the duplicate is none; if it rolls back, the duplicate runs.
 * - What fails, dies or is interrupted leaves no id behind, and may be delivered again. If the effect recovers from a
 *   failure, that is a success; but not from one for which the server has rolled back (`TransactionAborted`).
 * - After `CommitOutcomeUnknown` a new delivery finds out: it is none, or it runs.
 * - A deadlock repeats the effect (see `retries`), so it must do nothing that cannot be repeated.
 * - Only statements on this database are covered. Other databases, `MainDb.outside`, requests to services: these happen
 *   again with every attempt.
 *
 * Inside an open transaction of the same database it is a savepoint, and id and work are committed with the outermost one;
 * none can then mean that it was done earlier in that same transaction. A deadlock rolls back all of it.
 *
 * Fails with `InvalidParameter` for a consumer or id that the table cannot hold, and if the database was provided by
 * `fromSqlClient`, which has no retries.
 */
export const once = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>,
  options: OnceOptions
) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Option.Option<A>, Exclude<E, SqlError> | DatabaseError, R | Self> =>
  Once.once(database, options, effect)

/**
 * The same for the option `dedupe` of `Queue.consume`.
 *
 * ```ts
 * queue.consume(handler, { dedupe: Inbox.dedupe(MainDb, { consumer: "payments" }) })
 * ```
 */
export const dedupe = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>,
  { id, ...options }: DedupeOptions
): Dedupe<DatabaseError, Self> => ({
  once: <A, E, R>(messageId: string, effect: Effect.Effect<A, E, R>) =>
    Once.once(database, { ...options, id: messageId }, effect) as Effect.Effect<
      Option.Option<A>,
      E | DatabaseError,
      R | Self
    >,
  ...(id === undefined ? {} : { id })
})

/**
 * Deletes old ids in small steps, each a transaction of its own, and tells how many were deleted. Run it once a day, in any
 * number of processes at once. What was deleted before an interruption stays deleted.
 */
export const cleanUp = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>,
  options?: CleanUpOptions
): Effect.Effect<number, DatabaseError, Self> => CleanUp.cleanUp(database, options)

/** Fails if the table is missing or does not fit: to be run at the start of a process that uses it. */
export const check = <Self, Name extends string>(
  database: DatabaseTag<Self, Name>
): Effect.Effect<void, ConfigurationError | DatabaseError, Self> =>
  database.use((sql) =>
    Tables.check(
      `Inbox of ${database.databaseName}`,
      sql,
      [Schema.inbox],
      "run sql/inbox.sql of this package, or Inbox.migration in a migration"
    )
  )

/** Creates the table, for a record of migrations: `Migrator.fromRecord({ "7_inbox": Inbox.migration })`. */
export const migration: Effect.Effect<void, SqlError, SqlClient.SqlClient> = Tables.migration([Schema.inbox.ddl])

/** The same as a loader of its own: `MainDb.migrate(Inbox.migrations, { table: "inbox_migrations" })`. */
export const migrations: Migrator.Loader = Effect.succeed([[1, "inbox", Effect.succeed(migration)]])

/** The same as a text, which is in the package as `sql/inbox.sql`. */
export const sql: string = Tables.script(Schema.comment, [Schema.inbox.ddl])
