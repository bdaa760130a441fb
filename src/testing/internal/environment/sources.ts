/** How the databases of a test are written down. */
import type * as Migrator from "@effect/sql/Migrator"
import type * as Config from "effect/Config"
import { absurd } from "effect/Function"
import type * as Redacted from "effect/Redacted"
import type { DatabaseTag } from "../../../db/Database.ts"
import { make } from "./databases.ts"
import {
  type CopyOf,
  type Migrations,
  type Seeds,
  type SqlFile,
  type TableSource,
  type TestDatabase,
  types
} from "./model.ts"

export interface MigrationsOptions {
  /**
   * The files that the migrations consist of, or the folders that they are in, with what they import. With them the
   * migrations run once for their content: the database that results is kept on the server, and every worker of this and
   * later runs copies it. Without them each layer runs them. Paths begin in the working folder.
   */
  readonly files?: string | URL | ReadonlyArray<string | URL> | undefined
}

/**
 * Tables by the migrations that `MainDb.migrate` takes, with the rows that they insert.
 *
 * ```ts
 * Testing.migrations(Migrator.fromGlob(import.meta.glob("../migrations/*.ts")), { files: "src/migrations" })
 * ```
 */
export const migrations = <R = never>(
  loader: Migrator.Loader<R>,
  { files = [] }: MigrationsOptions = {}
): Migrations<R> => ({
  _tag: "Migrations",
  loader,
  files: typeof files === "string" || files instanceof URL ? [files] : files
})

/**
 * Tables by the statements of an SQL file, such as one of `mysqldump --no-data --triggers`, with the rows that it inserts.
 * `DELIMITER` is understood, as no other command of the client is; a statement that leaves the database (`USE`,
 * `CREATE DATABASE`) is refused. The path begins in the working folder.
 */
export const sqlFile = (file: string | URL): SqlFile => ({ _tag: "SqlFile", file })

/**
 * The tables of an existing database, with their foreign keys, routines, views and triggers, and without rows: one of the
 * server that the tests run on, by its name, or any, by a Config of its URL. Nothing is written there. What names that
 * database in its own text is refused, since a copy of it would work there.
 */
export const copyOf = (database: string | Config.Config<Redacted.Redacted>): CopyOf => ({ _tag: "CopyOf", database })

export interface DatabaseOptions<Self, E, R> {
  /** Where the tables come from, one after another. Default: none, an empty database. */
  readonly tables?: TableSource<R> | ReadonlyArray<TableSource<R>> | undefined
  /**
   * The rows that it begins with, after those of the tables: rows by table, in the order of the foreign keys, or an effect
   * that uses the database. Rows that do not fit are a ConfigurationError that names table, place and column.
   */
  readonly seeds?: Seeds<Self, E, R> | ReadonlyArray<Seeds<Self, E, R>> | undefined
}

/** A database for `Testing.layerWith` and `Testing.databases`, made anew for each layer. */
export const database = <Self, E = never, R = never>(
  tag: DatabaseTag<Self, string>,
  { seeds = [], tables = [] }: DatabaseOptions<Self, E, R> = {}
): TestDatabase<Self, NoInfer<E>, Exclude<NoInfer<R>, Self>> => ({
  [types]: { self: absurd, error: absurd, context: absurd },
  databaseName: tag.databaseName,
  prefix: tag.prefix,
  make: make(tag, isList(tables) ? tables : [tables], isList(seeds) ? seeds : [seeds])
})

const isList = <A>(value: A | ReadonlyArray<A>): value is ReadonlyArray<A> => Array.isArray(value)
