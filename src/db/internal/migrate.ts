/**
 * Migrations, with the loaders and the table of `@effect/sql`'s Migrator, for servers on which DDL commits: each is
 * recorded after it has succeeded, in a transaction of its own, under a lock that dies with its connection.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { DatabaseError } from "../../Errors.ts"
import * as Client from "./client.ts"
import type { DataSource } from "./dataSource.ts"
import { MIGRATION_LOCK_POLL } from "./deadlines.ts"
import { makeError } from "./errors/classify.ts"
import { fromSqlError, mapSqlErrors, toSqlError } from "./errors/sqlError.ts"
import { committedIn } from "./statement/ddl.ts"
import * as ToSqlClient from "./toSqlClient.ts"
import { levelOf, withTransaction } from "./transaction/transaction.ts"

export interface MigrateOptions {
  /** The table in which applied migrations are recorded. Default `effect_sql_migrations`, as upstream's Migrator has it. */
  readonly table?: string | undefined
  /** How long to wait while another process migrates. Then it fails with the reason `locked`. Default 1 minute. */
  readonly lockTimeout?: Duration.DurationInput | undefined
}

/** A migration that was applied. */
export type Migrated = readonly [id: number, name: string]

type Run = Effect.Effect<unknown, unknown, SqlClient.SqlClient>

export const migrate = <R>(
  database: string,
  sql: SqlClient.SqlClient,
  loader: Migrator.Loader<R>,
  { lockTimeout = "1 minute", table = "effect_sql_migrations" }: MigrateOptions = {}
): Effect.Effect<ReadonlyArray<Migrated>, DatabaseError | Migrator.MigrationError, R> =>
  Effect.gen(function*() {
    const dataSource = yield* ownDataSource(database, sql)
    // A change of a large table takes longer than any statement of a request.
    const client = ToSqlClient.make(sql, {}, true)
    const all = yield* Effect.flatMap(loader, checked)
    const loaded = new Map<number, Run>()
    const migrated: Array<Migrated> = []

    /** The first migration that is not recorded, once all that are not have been loaded. */
    const next = Effect.gen(function*() {
      const missing = yield* missingOf(yield* recorded(client, table), all)
      for (const migration of missing) {
        if (!loaded.has(migration[0])) loaded.set(migration[0], yield* load(client, migration))
      }
      return missing[0]
    })

    yield* ensureTable(client, table)
    while (true) {
      const done = yield* oneMigration(dataSource, client, table, lockTimeout, next, loaded)
      if (done === undefined) return migrated
      migrated.push(done)
      yield* Effect.logDebug("Migration applied").pipe(
        Effect.annotateLogs({ database, migration_id: String(done[0]), migration_name: done[1] })
      )
    }
  }).pipe((work) => mapSqlErrors(database, work))

/** Where migrations can be run: a database of our own, outside of its transactions. */
const ownDataSource = (database: string, sql: SqlClient.SqlClient): Effect.Effect<DataSource, DatabaseError> =>
  Effect.contextWithEffect((context: Context.Context<never>) => {
    const dataSource = Client.dataSourceOf(sql)
    if (dataSource === undefined) {
      return Effect.fail(makeError(
        database,
        "InvalidParameter",
        "migrate needs a client of ours, and this database was provided by fromSqlClient",
        { hint: "run the Migrator of @effect/sql on that client" }
      ))
    }
    return levelOf(dataSource, context) === undefined ? Effect.succeed(dataSource) : Effect.fail(makeError(
      database,
      "ImplicitCommit",
      "migrate was called in an open transaction, which migrations would commit",
      { hint: "call it outside of the transaction" }
    ))
  })

const migrationError = (
  reason: Migrator.MigrationError["reason"],
  message: string,
  cause?: unknown
): Migrator.MigrationError =>
  new Migrator.MigrationError({ reason, message, ...(cause === undefined ? {} : { cause }) } as never)

const labelOf = ([id, name]: readonly [id: number, name: string, ...rest: ReadonlyArray<unknown>]): string =>
  `${id}_${name}`

/** The greatest id that the table can hold. */
const MAX_ID = 4_294_967_295

/** In the order of their ids, each of which must be there once. */
const checked = (
  migrations: ReadonlyArray<Migrator.ResolvedMigration>
): Effect.Effect<ReadonlyArray<Migrator.ResolvedMigration>, Migrator.MigrationError> => {
  const sorted = [...migrations].sort(([a], [b]) => a - b)
  const wrong = sorted.find(([id]) => !Number.isInteger(id) || id < 1 || id > MAX_ID)
  if (wrong !== undefined) {
    return Effect.fail(
      migrationError("bad-state", `The id of migration "${labelOf(wrong)}" must be from 1 to ${MAX_ID}`)
    )
  }
  const twice = sorted.findIndex(([id], index) => sorted[index + 1]?.[0] === id)
  return twice < 0 ? Effect.succeed(sorted) : Effect.fail(migrationError(
    "duplicates",
    `Migrations "${labelOf(sorted[twice]!)}" and "${labelOf(sorted[twice + 1]!)}" have the same id`
  ))
}

interface Recorded {
  readonly migration_id: number
  readonly name: string
}

const recorded = (
  client: SqlClient.SqlClient,
  table: string
): Effect.Effect<ReadonlyArray<Recorded>, SqlError> =>
  client<Recorded>`SELECT migration_id, name FROM ${client(table)} ORDER BY migration_id`

/** The migrations that are not recorded. What is recorded must fit them, or a wrong one might be run, or none. */
const missingOf = (
  recorded: ReadonlyArray<Recorded>,
  all: ReadonlyArray<Migrator.ResolvedMigration>
): Effect.Effect<ReadonlyArray<Migrator.ResolvedMigration>, Migrator.MigrationError> => {
  const names = new Map(recorded.map(({ migration_id, name }) => [migration_id, name]))
  const renamed = all.find(([id, name]) => names.has(id) && names.get(id) !== name)
  if (renamed !== undefined) {
    const [id] = renamed
    return Effect.fail(migrationError(
      "bad-state",
      `Migration "${labelOf(renamed)}" is recorded under another name, "${id}_${
        names.get(id)
      }": give the new one an id of its own`
    ))
  }
  const latest = recorded.at(-1)?.migration_id ?? 0
  const missing = all.filter(([id]) => !names.has(id))
  const late = missing.find(([id]) => id < latest)
  return late === undefined ? Effect.succeed(missing) : Effect.fail(migrationError(
    "bad-state",
    `Migration "${labelOf(late)}" is not recorded, but "${latest}_${
      names.get(latest)
    }" is: give it an id above that, or`
      + " record it if it has been carried out"
  ))
}

/** The effect of a migration, or of the default export of its module. */
const load = (
  client: MysqlClient.MysqlClient,
  migration: Migrator.ResolvedMigration
): Effect.Effect<Run, Migrator.MigrationError> => {
  const [, , import_] = migration
  const provided = Effect.provide(import_ as Effect.Effect<unknown, unknown, SqlClient.SqlClient>, both(client))
  return Effect.matchCauseEffect(provided, {
    onFailure: (cause) =>
      Cause.isInterruptedOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.fail(
        migrationError("import-error", `Migration "${labelOf(migration)}" could not be loaded`, Cause.squash(cause))
      ),
    onSuccess: (found) => {
      const exported = defaultOf(found)
      return Effect.isEffect(exported) ? Effect.succeed(exported as Run) : Effect.fail(
        migrationError("import-error", `The default export of migration "${labelOf(migration)}" is not an Effect`)
      )
    }
  })
}

/** CommonJS modules have their default export in another one. */
const defaultOf = (module: any): unknown =>
  Effect.isEffect(module) ? module : module?.default?.default ?? module?.default

const both = (client: MysqlClient.MysqlClient): Context.Context<SqlClient.SqlClient | MysqlClient.MysqlClient> =>
  Context.make(SqlClient.SqlClient, client as SqlClient.SqlClient).pipe(Context.add(MysqlClient.MysqlClient, client))

/**
 * Runs the next migration and records it, in one transaction: if it holds no DDL, it is done as a whole or not at all. The
 * lock is on the same connection. A process that dies, or loses its connection, leaves neither.
 */
const oneMigration = (
  dataSource: DataSource,
  client: MysqlClient.MysqlClient,
  table: string,
  lockTimeout: Duration.DurationInput,
  next: Effect.Effect<Migrator.ResolvedMigration | undefined, SqlError | Migrator.MigrationError>,
  loaded: ReadonlyMap<number, Run>
): Effect.Effect<Migrated | undefined, SqlError | Migrator.MigrationError> =>
  Effect.suspend(() => {
    let running: Migrator.ResolvedMigration | undefined
    let stays: string | undefined
    const body = Effect.gen(function*() {
      yield* lock(dataSource, client, table, lockTimeout)
      running = yield* next
      if (running === undefined) return undefined
      const [id, name] = running
      yield* Effect.provide(loaded.get(id)!, both(client)) as Effect.Effect<unknown, SqlError>
      yield* client`INSERT INTO ${client(table)} ${client.insert({ migration_id: id, name })}`
      return [id, name] as const
    })
    const noted = Effect.onExit(body, () =>
      Effect.contextWith((context: Context.Context<never>) => {
        const transaction = levelOf(dataSource, context)?.transaction
        stays = transaction === undefined ? undefined : committedIn(transaction)
      }))
    return Effect.catchAllCause(
      withTransaction(dataSource, noted, {}, true),
      (cause) =>
        running === undefined || Cause.isInterruptedOnly(cause)
          ? Effect.failCause(cause)
          : Effect.fail(failed(dataSource, running, Cause.squash(cause), stays))
    )
  })

/** The failure of a migration, and what is left of it. */
const failed = (
  { name }: DataSource,
  migration: Migrator.ResolvedMigration,
  error: unknown,
  stays: string | undefined
): SqlError | Migrator.MigrationError => {
  const cause = error instanceof SqlError ? fromSqlError(name, error) : error
  // The next call finds out whether it was recorded.
  if (cause instanceof DatabaseError && cause.reason === "CommitOutcomeUnknown") return toSqlError(cause)
  return migrationError(
    "failed",
    `Migration "${labelOf(migration)}" failed and is not recorded as applied. `
      + (stays === undefined
        ? "It has been rolled back"
        : `On this server DDL commits, so ${stays} stays, and the rest has been rolled back: undo or complete it by hand`
          + " before the migration runs again"),
    cause
  )
}

/** Waits for the lock of the migrations of this table. It lasts as long as the session, which is reset afterwards. */
const lock = (
  { name, settings }: DataSource,
  client: SqlClient.SqlClient,
  table: string,
  lockTimeout: Duration.DurationInput
): Effect.Effect<void, SqlError | Migrator.MigrationError> =>
  Effect.gen(function*() {
    // At most 64 characters, for all databases of the server.
    const key = `migrations_${createHash("sha256").update(`${settings.database}\0${table}`).digest("hex").slice(0, 40)}`
    const now = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
    const deadline = (yield* now) + Duration.toMillis(lockTimeout)
    while (true) {
      const late = (yield* now) >= deadline
      // In short waits, so that no limit for statements ends them.
      const seconds = late ? 0 : MIGRATION_LOCK_POLL / 1_000
      const [row] = yield* client<{ locked: number | null }>`SELECT GET_LOCK(${key}, ${seconds}) AS locked`
      if (row?.locked === 1) return
      if (late) {
        return yield* migrationError(
          "locked",
          `Another process has been migrating ${name} for more than ${Duration.format(lockTimeout)}`
        )
      }
    }
  })

/** As upstream has it. An account that may not create tables can still find that there is nothing to do. */
const ensureTable = (client: SqlClient.SqlClient, table: string): Effect.Effect<unknown, SqlError> =>
  Effect.catchIf(
    recorded(client, table),
    (error) => fromSqlError("", error).errno === 1146,
    () =>
      client`CREATE TABLE IF NOT EXISTS ${client(table)} (
  migration_id INTEGER UNSIGNED NOT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  name VARCHAR(255) NOT NULL,
  PRIMARY KEY (migration_id)
)`
  )
