/**
 * MySQL databases as tags: each is a `SqlClient` of its own, with a pool of its own, and none ever runs a statement of
 * another, whatever is nested in whatever.
 *
 * ```ts
 * const program = MainDb.withTransaction(
 *   MainDb.use((sql) => sql`INSERT INTO files (name) VALUES (${name})`)
 * )
 * ```
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Statement } from "@effect/sql/Statement"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { ConfigurationError, type DatabaseError } from "../Errors.ts"
import * as Client from "./internal/client.ts"
import { isOk } from "./internal/connection/connection.ts"
import * as Engine from "./internal/dataSource.ts"
import * as Foreign from "./internal/fromSqlClient.ts"
import type { TransactionOptions } from "./internal/transaction/levels.ts"
import type { Stats } from "./internal/pool/model.ts"
import type { DatabaseConfig, IsolationLevel, Settings } from "./internal/settings/settings.ts"
import * as SettingsOf from "./internal/settings/settings.ts"
import { mapSqlErrors } from "./internal/errors/sqlError.ts"
import * as Transaction from "./internal/transaction/transaction.ts"

export type { DatabaseConfig, IsolationLevel, Stats, TransactionOptions }

/** The tag of one database, and everything that can be done with it without naming it again. */
export interface DatabaseTag<Self, Name extends string> extends Context.TagClass<Self, Name, SqlClient.SqlClient> {
  /**
   * The database of the environment's settings, `{PREFIX}_URL` first of all. With `{PREFIX}_STARTUP=verify`, the default,
   * one connection is opened while the layer is built; with `lazy` none before the first use. Closing the layer waits
   * up to 5 seconds for borrowed connections, then cuts them.
   */
  readonly layer: Layer.Layer<Self, ConfigurationError | DatabaseError>

  /** The same from settings of the caller's choice. */
  readonly layerConfig: (
    config: Config.Config.Wrap<DatabaseConfig>
  ) => Layer.Layer<Self, ConfigurationError | DatabaseError>

  /** Provides the database where `{PREFIX}_URL` is set, and nothing where it is not: see {@link require}. */
  readonly layerOptional: Layer.Layer<never, ConfigurationError | DatabaseError>

  /**
   * A client of any driver as this database, isolated from the others all the same. Pool, errors and cancellation are
   * those of that client; `stats` are zero, and of the options of `withTransaction` only `timeout` works.
   */
  readonly fromSqlClient: Layer.Layer<Self, never, SqlClient.SqlClient>

  /** The client, or a ConfigurationError where no layer has provided this database. */
  readonly require: Effect.Effect<SqlClient.SqlClient, ConfigurationError>

  /** Works with the client; its SqlErrors become DatabaseErrors, other failures stay as they are. */
  readonly use: <A, E, R>(
    work: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DatabaseError, R | Self>

  /**
   * Runs an effect in a transaction of this database: success commits; failure, defect and interruption roll back. Inside
   * an open transaction of the same database it is a savepoint. Transactions of other databases are not touched.
   *
   * Fails with `CommitOutcomeUnknown` where the answer to COMMIT was lost: that is never retried. After a failure of which
   * the server has rolled everything back (a deadlock, say), every further statement in it fails with
   * `TransactionAborted`, and so does the transaction, even if the body swallowed the failure.
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

  /** The numbers of the pool at this moment. */
  readonly stats: Effect.Effect<Stats, never, Self>
}

/** A tag as {@link Tag} makes it: usable as it is, or as the base of a class that names itself. */
export interface NewDatabaseTag<Name extends string> extends DatabaseTag<Database<Name>, Name> {
  /** `class MyDb extends Database.Tag("MyDb", { prefix: "MY_DB" })<MyDb>() {}` */
  <Self>(): DatabaseTag<Self, Name>
}

/**
 * Makes the tag of a database. `prefix` begins the names of its settings: `Database.Tag("MainDb", { prefix: "MAIN_DB" })`
 * reads `MAIN_DB_URL`, `MAIN_DB_POOL_SIZE` and so on.
 */
export const Tag = <const Name extends string>(
  name: Name,
  { prefix }: { readonly prefix: string }
): NewDatabaseTag<Name> => {
  type Self = Database<Name>
  // A function that gives itself back: usable as a tag as it is, and as the base of a class with a Self of its own.
  const tag = function() {
    return tag
  } as unknown as NewDatabaseTag<Name>
  const generic = Context.GenericTag<Self, SqlClient.SqlClient>(`@betterai/infrastructure/${name}`)
  Object.setPrototypeOf(tag, Object.getPrototypeOf(generic))
  const make = (
    settings: Effect.Effect<Settings, ConfigurationError>
  ): Layer.Layer<Self, ConfigurationError | DatabaseError> =>
    Layer.scoped(tag, Effect.flatMap(settings, open)).pipe(Layer.provide(Reactivity.layer))

  const withTransaction: DatabaseTag<Self, Name>["withTransaction"] = dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(effect: Effect.Effect<A, E, R>, options?: TransactionOptions) =>
      mapSqlErrors(name, Effect.flatMap(tag, (sql) => transact(name, sql, effect, options)))
  )

  const statics: Pick<
    DatabaseTag<Self, Name>,
    "layer" | "layerConfig" | "layerOptional" | "fromSqlClient" | "require" | "use" | "withTransaction" | "stats"
  > = {
    layer: make(SettingsOf.fromEnv(name, prefix)),
    layerConfig: (config) => make(SettingsOf.fromConfig(name, prefix, config)),
    layerOptional: Layer.unwrapEffect(
      Effect.map(
        SettingsOf.fromEnvOptional(name, prefix),
        Option.match({ onNone: () => Layer.empty, onSome: (settings) => make(Effect.succeed(settings)) })
      )
    ) as Layer.Layer<never, ConfigurationError | DatabaseError>,
    fromSqlClient: Layer.effect(tag, Effect.map(SqlClient.SqlClient, Foreign.make)),
    require: Effect.flatMap(
      Effect.serviceOption(tag),
      Option.match({
        onNone: () =>
          Effect.fail(
            new ConfigurationError({
              service: name,
              reason: "NotConfigured",
              problems: [{ setting: `${prefix}_URL`, detail: "is not set, and this work needs that database" }]
            })
          ),
        onSome: Effect.succeed
      })
    ),
    use: (work) => mapSqlErrors(name, Effect.flatMap(tag, work)),
    withTransaction,
    stats: Effect.map(tag, (sql) => engines.get(sql)?.stats ?? NO_STATS)
  }
  return Object.assign(tag, { key: generic.key }, statics)
}

/** The identifier of a database whose tag was used as it is, without a class of its own. */
export interface Database<Name extends string> {
  readonly _: unique symbol
  readonly name: Name
}

/** What a statement that returns no rows has done. */
export interface WriteResult {
  /** Rows matched by the statement, changed or not (the protocol's CLIENT_FOUND_ROWS, as SQLAlchemy has it). */
  readonly affectedRows: number
  /** The AUTO_INCREMENT value of the first row inserted, 0 where there was none. A string above 2^53. */
  readonly insertId: number | string
}

/**
 * Runs an INSERT, UPDATE or DELETE and tells what it did.
 *
 * ```ts
 * const { insertId } = yield* MainDb.use((sql) => Database.write(sql`INSERT INTO files ${sql.insert(file)}`))
 * ```
 */
export const write = <A>(statement: Statement<A>): Effect.Effect<WriteResult, SqlError> =>
  Effect.map(
    statement.raw,
    (result) =>
      isOk(result) ? { affectedRows: result.affectedRows, insertId: result.insertId } : { affectedRows: 0, insertId: 0 }
  )

/** The engines behind our own clients. A foreign client has none. */
const engines = new WeakMap<object, Engine.Engine>()

const open = (
  settings: Settings
): Effect.Effect<SqlClient.SqlClient, DatabaseError, Scope.Scope | Reactivity.Reactivity> =>
  Effect.flatMap(
    Engine.make(settings),
    (engine) => Effect.tap(Client.make(engine), (client) => Effect.sync(() => engines.set(client, engine)))
  )

const transact = <A, E, R>(
  name: string,
  sql: SqlClient.SqlClient,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions | undefined
): Effect.Effect<A, E | SqlError | DatabaseError, R> => {
  const engine = engines.get(sql)
  return engine === undefined
    ? Foreign.transact(name, sql, effect, options)
    : Transaction.withTransaction(engine, effect, options)
}

const NO_STATS: Stats = {
  idle: 0,
  active: 0,
  dialling: 0,
  waiting: 0,
  size: 0,
  overflow: 0,
  max: 0,
  opened: 0,
  dialFailures: 0,
  timeouts: 0,
  recycled: 0,
  discarded: { broken: 0, pingFailed: 0, resetFailed: 0, overflow: 0, invalidated: 0 }
}

/** The main database. Settings: `MAIN_DB_URL`, `MAIN_DB_POOL_SIZE` … */
export class MainDb extends Tag("MainDb", { prefix: "MAIN_DB" })<MainDb>() {}

/** The database of Garmin data. Settings: `GARMIN_DB_URL`, `GARMIN_DB_POOL_SIZE` … */
export class GarminDb extends Tag("GarminDb", { prefix: "GARMIN_DB" })<GarminDb>() {}

/** The database of blood values. Settings: `BLOOD_DB_URL`, `BLOOD_DB_POOL_SIZE` … */
export class BloodDb extends Tag("BloodDb", { prefix: "BLOOD_DB" })<BloodDb>() {}

/** The UFC database. Settings: `UFC_DB_URL`, `UFC_DB_POOL_SIZE` … */
export class UfcDb extends Tag("UfcDb", { prefix: "UFC_DB" })<UfcDb>() {}
