/**
 * MySQL databases as tags. Each is a `SqlClient` with a pool of its own. A statement runs on its own database only,
 * however transactions are nested.
 *
 * ```ts
 * const program = MainDb.withTransaction(
 *   MainDb.use((sql) => sql`INSERT INTO files (name) VALUES (${name})`)
 * )
 * ```
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Statement } from "@effect/sql/Statement"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { ConfigurationError, type DatabaseError } from "../Errors.ts"
import { inContext } from "./internal/borrowed/fiberState.ts"
import { isWriteHeader } from "./internal/borrowed/mysql2Connection.ts"
import type { Owner } from "./internal/borrowed/transactionSlot.ts"
import * as Client from "./internal/client.ts"
import { mapSqlErrors, toSqlError } from "./internal/errors/sqlError.ts"
import * as FromSqlClient from "./internal/fromSqlClient.ts"
import type { Migrated, MigrateOptions } from "./internal/migrate.ts"
import * as Migrate from "./internal/migrate.ts"
import type { DiscardReason, Stats } from "./internal/pool/model.ts"
import { NO_STATS } from "./internal/pool/model.ts"
import type { Credentials, DatabaseConfig, IsolationLevel, Settings } from "./internal/settings/settings.ts"
import * as SettingsOf from "./internal/settings/settings.ts"
import type { SqlClientOptions } from "./internal/toSqlClient.ts"
import * as ToSqlClient from "./internal/toSqlClient.ts"
import type { AfterCommitOptions } from "./internal/transaction/afterCommit.ts"
import type { TransactionOptions } from "./internal/transaction/options.ts"
import * as Transaction from "./internal/transaction/transaction.ts"
import * as TransactionContext from "./internal/transaction/transactionContext.ts"
import { insertIdError } from "./internal/values/result.ts"

export type {
  AfterCommitOptions,
  Credentials,
  DatabaseConfig,
  DiscardReason,
  IsolationLevel,
  Migrated,
  MigrateOptions,
  SqlClientOptions,
  Stats,
  TransactionOptions
}

/** What a statement that returns no rows has done. */
export interface WriteResult {
  /** Rows matched by the statement, changed or not (the protocol's CLIENT_FOUND_ROWS, as SQLAlchemy has it). */
  readonly affectedRows: number
  /**
   * The AUTO_INCREMENT value of the first row inserted, or 0 if there is none. A number; with the URL option `bigint` as
   * `string` or `bigint`, of that type; with `auto`, a string beyond 2^53.
   */
  readonly insertId: number | string | bigint
}

/** The tag of one database, and everything that can be done with that database without naming it again. */
export interface DatabaseTag<Self, Name extends string> extends Context.TagClass<Self, Name, SqlClient.SqlClient> {
  /** The name of the database in errors, logs, spans and metrics. */
  readonly databaseName: Name

  /** What the names of its settings begin with: `MAIN_DB` for `MAIN_DB_URL`, `MAIN_DB_POOL_SIZE` and so on. */
  readonly prefix: string

  /**
   * The database from the settings of the environment, `{PREFIX}_URL` above all. With `{PREFIX}_STARTUP=verify`, the
   * default, one connection is opened while the layer is built; with `lazy`, none before the first use. Closing the layer
   * waits up to 5 seconds for borrowed connections, then cuts them.
   */
  readonly layer: Layer.Layer<Self, ConfigurationError | DatabaseError>

  /** The database from settings of the caller's choice. */
  readonly layerConfig: (
    config: Config.Config.Wrap<DatabaseConfig>
  ) => Layer.Layer<Self, ConfigurationError | DatabaseError>

  /** Provides the database if `{PREFIX}_URL` is set, and nothing otherwise: see {@link require}. */
  readonly layerOptional: Layer.Layer<never, ConfigurationError | DatabaseError>

  /**
   * A client of any driver as this database, isolated from the other databases like our own. Pool, errors and
   * cancellation are those of that client. `stats` are zero. `withTransaction` refuses every option but `timeout`.
   */
  readonly fromSqlClient: Layer.Layer<Self, never, SqlClient.SqlClient>

  /**
   * This database as the client that libraries for `@effect/sql` ask for: Migrator, Model, SqlPersistedQueue, cluster,
   * kysely, drizzle and others, unchanged. It uses the pool of this database and takes part in its open transactions.
   *
   * It keeps upstream's conventions: DDL may run in *its* `withTransaction`, except inside `MainDb.withTransaction`; a
   * BIGINT is a number, or its digits beyond 2^53; a template may hold several statements. DDL commits what ran before it,
   * so a failure after it is not `retryable`. A `SqlError` of it has the DatabaseError as its cause.
   */
  readonly toSqlClient: Layer.Layer<SqlClient.SqlClient | MysqlClient.MysqlClient, never, Self>

  /** The same client, with names transformed. Each layer is a client of its own over the same pool. */
  readonly toSqlClientWith: (
    options: SqlClientOptions
  ) => Layer.Layer<SqlClient.SqlClient | MysqlClient.MysqlClient, never, Self>

  /** The client, or a ConfigurationError if no layer has provided this database. */
  readonly require: Effect.Effect<SqlClient.SqlClient, ConfigurationError>

  /** Works with the client. Its SqlErrors become DatabaseErrors; other failures stay as they are. */
  readonly use: <A, E, R>(
    work: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R | Self>

  /**
   * Runs an effect in a transaction of this database: success commits; failure, defect and interruption roll back. Inside
   * an open transaction of the same database it is a savepoint. Transactions of other databases are not touched.
   *
   * It borrows a connection and begins at the first statement; without a statement it needs none.
   *
   * Fails with `CommitOutcomeUnknown` if the answer to COMMIT was lost, and is not retried. After a failure for which
   * the server has rolled everything back (such as a deadlock), every further statement in the transaction fails with
   * `TransactionAborted`, and so does the transaction itself, even if the body swallowed the failure.
   */
  readonly withTransaction: {
    (options?: TransactionOptions): <A, E, R>(
      effect: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R | Self>
    <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: TransactionOptions
    ): Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R | Self>
  }

  /**
   * Runs an effect when the outermost transaction of this database has been committed, before `withTransaction` returns;
   * at once if none is open. In a nested transaction it is dropped with its savepoint. The effects run one after another,
   * in the order of registration, outside of that transaction, and an interruption does not stop them, so each needs a
   * deadline of its own. A defect in one is logged, and the result stays a success.
   *
   * After `CommitOutcomeUnknown` nothing runs, except with the option `whenUnknown: "run"`, for what is harmless after a
   * rollback. A process that dies between the commit and the effect does not run it.
   */
  readonly afterCommit: <A, R>(
    effect: Effect.Effect<A, never, R>,
    options?: AfterCommitOptions
  ) => Effect.Effect<void, never, R | Self>

  /**
   * Runs an effect outside of the open transaction of this database, for what must survive a rollback: its statements
   * take a connection of their own from the pool, and do not see what the transaction has not committed. They can wait
   * for rows that the transaction has locked; then both end at the lock wait timeout. Without an open transaction it
   * changes nothing. The SqlErrors of the effect become DatabaseErrors.
   */
  readonly outside: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R | Self>

  /**
   * Runs the migrations that are not recorded yet, in the order of their ids, and returns those it has run. It takes the
   * loaders of `@effect/sql`'s Migrator (`fromRecord`, `fromGlob`, `fromFileSystem` …), and records what it has run in the
   * same table.
   *
   * A migration runs in a transaction of its own and is recorded in it, at its end. DDL commits what ran before it, so a
   * migration that fails after DDL is half done; the error says what stays. One process at a time migrates, by GET_LOCK on
   * one connection; if that is lost, another process goes on. A pool of one connection is enough.
   *
   * Fails with a MigrationError: `failed` (with the DatabaseError as its cause), `locked` after `lockTimeout`,
   * `import-error`, `duplicates`, and `bad-state` if what is recorded does not fit the migrations. A DatabaseError is about
   * the database rather than a migration. Refused in a transaction of the database, and with `fromSqlClient`.
   */
  readonly migrate: <R = never>(
    loader: Migrator.Loader<R>,
    options?: MigrateOptions
  ) => Effect.Effect<ReadonlyArray<Migrated>, DatabaseError | Migrator.MigrationError, R | Self>

  /** The current numbers of the pool. */
  readonly stats: Effect.Effect<Stats, never, Self>
}

/** The tag of any database: `MainDb`, or one made by {@link Tag}. */
// oxlint-disable-next-line typescript/no-explicit-any -- the identifier of a tag is invariant
export interface AnyDatabaseTag extends Context.Tag<any, SqlClient.SqlClient> {
  readonly databaseName: string
}

/**
 * Makes the tag of a database; `prefix` begins the names of its settings. Call it once for each database: every tag has
 * layers, and so a pool, of its own.
 *
 * ```ts
 * class LabDb extends Database.Tag("LabDb", { prefix: "LAB_DB" })<LabDb>() {}
 * ```
 */
export const Tag = <const Name extends string>(
  name: Name,
  options: { readonly prefix: string }
) =>
<Self>(): DatabaseTag<Self, Name> => {
  const { prefix } = options
  const tag = Context.Tag(`@betterai/infrastructure/${name}`)<Self, SqlClient.SqlClient>()

  const layerOf = (
    settings: Effect.Effect<Settings, ConfigurationError>
  ): Layer.Layer<Self, ConfigurationError | DatabaseError> =>
    Layer.scoped(tag, Effect.flatMap(settings, Client.open)).pipe(Layer.provide(Reactivity.layer))

  const withTransaction: DatabaseTag<Self, Name>["withTransaction"] = dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(effect: Effect.Effect<A, E, R>, options?: TransactionOptions) =>
      mapSqlErrors(name, Effect.flatMap(tag, (sql) => transact(name, sql, effect, options)))
  )

  const toSqlClientWith: DatabaseTag<Self, Name>["toSqlClientWith"] = (options) =>
    Layer.effectContext(Effect.map(tag, (sql) => {
      const client = ToSqlClient.make(sql, options)
      return Context.make(SqlClient.SqlClient, client as SqlClient.SqlClient).pipe(
        Context.add(MysqlClient.MysqlClient, client)
      )
    }))

  const statics: Omit<DatabaseTag<Self, Name>, keyof Context.TagClass<Self, Name, SqlClient.SqlClient>> = {
    databaseName: name,
    prefix,
    layer: layerOf(SettingsOf.fromEnv(name, prefix)),
    layerConfig: (config) => layerOf(SettingsOf.fromConfig(name, prefix, config)),
    layerOptional: Layer.unwrapEffect(
      Effect.map(
        SettingsOf.fromEnvOptional(name, prefix),
        Option.match({ onNone: () => Layer.empty, onSome: (settings) => layerOf(Effect.succeed(settings)) })
      )
    ) as Layer.Layer<never, ConfigurationError | DatabaseError>,
    fromSqlClient: Layer.effect(tag, Effect.map(SqlClient.SqlClient, (client) => FromSqlClient.make(name, client))),
    toSqlClient: toSqlClientWith({}),
    toSqlClientWith,
    require: Effect.flatMap(
      Effect.serviceOption(tag),
      Option.match({
        onNone: () =>
          Effect.fail(
            new ConfigurationError({
              service: name,
              reason: "NotConfigured",
              problems: [{
                setting: `${prefix}_URL`,
                detail: "is not set, and this work needs that database",
                hint: "set it in the environment, or provide a layer of that database"
              }]
            })
          ),
        onSome: Effect.succeed
      })
    ),
    use: (work) => mapSqlErrors(name, Effect.flatMap(tag, work)),
    withTransaction,
    afterCommit: (effect, options = {}) =>
      Effect.flatMap(tag, (sql) =>
        Effect.contextWithEffect((context) => {
          const open = transactionOf(sql, context as Context.Context<never>)
          return open === undefined ? Effect.asVoid(effect) : open.afterCommit.add(name, effect, options)
        })),
    outside: (effect) =>
      mapSqlErrors(
        name,
        Effect.flatMap(tag, (sql) => inContext(effect, (context) => TransactionContext.without(context, ownerOf(sql))))
      ),
    migrate: (loader, options) => Effect.flatMap(tag, (sql) => Migrate.migrate(name, sql, loader, options)),
    stats: Effect.map(tag, (sql) => Client.dataSourceOf(sql)?.stats ?? NO_STATS)
  }
  return Object.assign(tag, statics) as unknown as DatabaseTag<Self, Name>
}

const ownerOf = (sql: SqlClient.SqlClient): Owner =>
  Client.dataSourceOf(sql) ?? FromSqlClient.ownerOf(sql) ?? { name: "", target: "" }

const transactionOf = (
  sql: SqlClient.SqlClient,
  context: Context.Context<never>
): TransactionContext.Transaction | undefined => {
  const owner = ownerOf(sql)
  return TransactionContext.find(context, owner) ?? TransactionContext.findOther(context, owner)
}

const transact = <A, E, R>(
  name: string,
  sql: SqlClient.SqlClient,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions | undefined
): Effect.Effect<A, E | SqlError | DatabaseError, R> => {
  const dataSource = Client.dataSourceOf(sql)
  return dataSource === undefined
    ? FromSqlClient.transact(name, sql, effect, options)
    : Transaction.withTransaction(dataSource, effect, options)
}

/**
 * Runs an INSERT, UPDATE or DELETE and returns its counts. Fails with `InvalidData` for an insertId beyond 2^53, unless the
 * URL option `bigint` says how to give it; the rows are inserted then.
 *
 * ```ts
 * const { insertId } = yield* MainDb.use((sql) => Database.write(sql`INSERT INTO files ${sql.insert(file)}`))
 * ```
 */
export const write = <A>(statement: Statement<A>): Effect.Effect<WriteResult, SqlError> =>
  Effect.flatMap(statement.raw, (result) => {
    if (!isWriteHeader(result)) return Effect.succeed({ affectedRows: 0, insertId: 0 })
    const error = insertIdError(result)
    return error === undefined
      ? Effect.succeed({ affectedRows: result.affectedRows, insertId: result.insertId })
      : Effect.fail(toSqlError(error))
  })

/** The main database. Settings: `MAIN_DB_URL`, `MAIN_DB_POOL_SIZE` … */
export class MainDb extends Tag("MainDb", { prefix: "MAIN_DB" })<MainDb>() {}

/** The database of Garmin data. Settings: `GARMIN_DB_URL`, `GARMIN_DB_POOL_SIZE` … */
export class GarminDb extends Tag("GarminDb", { prefix: "GARMIN_DB" })<GarminDb>() {}

/** The database of blood values. Settings: `BLOOD_DB_URL`, `BLOOD_DB_POOL_SIZE` … */
export class BloodDb extends Tag("BloodDb", { prefix: "BLOOD_DB" })<BloodDb>() {}

/** The UFC database. Settings: `UFC_DB_URL`, `UFC_DB_POOL_SIZE` … */
export class UfcDb extends Tag("UfcDb", { prefix: "UFC_DB" })<UfcDb>() {}
