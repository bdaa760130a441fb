/** What a database of a test is made of. */
import type { Loader, MigrationError } from "@effect/sql/Migrator"
import type * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import type * as ConfigProvider from "effect/ConfigProvider"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { ConfigurationError, DatabaseError } from "../../../Errors.ts"
import type { LocalMysql } from "../../../local/internal/mysql.ts"
import type { Session } from "./session.ts"

/** Where the tables of a database come from: see `Testing.migrations`, `Testing.sqlFile` and `Testing.copyOf`. */
export type TableSource<R = never> = Migrations<R> | SqlFile | CopyOf

export interface Migrations<R> {
  readonly _tag: "Migrations"
  readonly loader: Loader<R>
  readonly files: ReadonlyArray<string | URL>
}

export interface SqlFile {
  readonly _tag: "SqlFile"
  readonly file: string | URL
}

export interface CopyOf {
  readonly _tag: "CopyOf"
  readonly database: string | Config.Config<Redacted.Redacted>
}

/** Rows by table, in the order of their foreign keys; or an effect that inserts them, through the database's tag. */
export type Seeds<Self, E = never, R = never> =
  | Readonly<Record<string, ReadonlyArray<Readonly<Record<string, unknown>>>>>
  | Effect.Effect<unknown, E, R | Self>

/** A database for the tests: see `Testing.database`. */
export interface TestDatabase<out Self, out E = never, out R = never> {
  readonly [types]: {
    readonly self: (_: never) => Self
    readonly error: (_: never) => E
    readonly context: (_: never) => R
  }
  readonly databaseName: string
  readonly prefix: string
  /** @internal */
  readonly make: (surroundings: Surroundings) => Effect.Effect<Made, TablesError | E, R | Scope.Scope>
}

/** What a {@link TestDatabase} is of, for inference alone. */
export const types: unique symbol = Symbol.for("@betterai/infrastructure/Testing/types")

/** A database that exists. */
export interface Made {
  readonly context: Context.Context<never>
  /** The variable of its URL. */
  readonly variable: string
  readonly url: Redacted.Redacted
}

/** What is made once for all databases of a layer. */
export interface Surroundings {
  /** The one of the test. */
  readonly clock: Clock.Clock
  /** Which worker this is. */
  readonly worker: string
  readonly settings: ConfigProvider.ConfigProvider
  readonly server: Pick<LocalMysql, "url">
  readonly session: Session
}

export type TablesError = ConfigurationError | DatabaseError | MigrationError
