/** Tables of this package in a database of the user: their DDL, as text and as a migration, and whether they fit. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { ConfigurationError, type ConfigurationProblem } from "../Errors.ts"

export interface Table {
  readonly name: string
  /** `CREATE TABLE IF NOT EXISTS`. */
  readonly ddl: string
  readonly columns: Readonly<Record<string, Column>>
  readonly primaryKey: ReadonlyArray<string>
}

/** What a column must be. More columns than these may be there, if they have defaults. */
export interface Column {
  readonly types: ReadonlyArray<string>
  /** Characters that it must hold: a server without STRICT mode cuts off what is longer. */
  readonly length?: number
  /** Whether the server gives the value. Without STRICT mode it is 0 otherwise. */
  readonly isGenerated?: boolean
}

/** A text of ASCII characters that are compared one by one. */
export const ascii = (length: number): Column => ({ types: ["varchar", "char"], length })
export const integer: Column = { types: ["tinyint", "smallint", "mediumint", "int", "bigint"] }
export const autoIncrement: Column = { ...integer, isGenerated: true }
export const bytes: Column = { types: ["mediumblob", "longblob"] }
export const dateTime: Column = { types: ["datetime"] }

/** Runs the statements. DDL commits, so each must do no harm when it is run again. */
export const migration = (
  statements: ReadonlyArray<string>
): Effect.Effect<void, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  )

/** The statements as a file. */
export const script = (comment: string, statements: ReadonlyArray<string>): string =>
  `${comment.split("\n").map((line) => `-- ${line}`).join("\n")}\n\n${statements.join(";\n\n")};\n`

/** Fails with everything that is missing in the database or does not fit. */
export const check = (
  service: string,
  sql: SqlClient.SqlClient,
  tables: ReadonlyArray<Table>,
  hint: string
): Effect.Effect<void, ConfigurationError | SqlError> =>
  Effect.gen(function*() {
    const names = tables.map(({ name }) => name)
    const engines = yield* sql<{ name: string; engine: string | null }>`
      SELECT TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES
      WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ${sql.in(names)}`
    const columns = yield* sql<FoundColumn>`
      SELECT TABLE_NAME AS tbl, COLUMN_NAME AS name, DATA_TYPE AS type, CHARACTER_MAXIMUM_LENGTH AS length,
        COLLATION_NAME AS collation_name, EXTRA AS extra
      FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ${sql.in(names)}`
    const keys = yield* sql<{ tbl: string; name: string }>`
      SELECT TABLE_NAME AS tbl, COLUMN_NAME AS name FROM information_schema.STATISTICS
      WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'PRIMARY' AND TABLE_NAME IN ${sql.in(names)}
      ORDER BY TABLE_NAME, SEQ_IN_INDEX`
    const problems = tables.flatMap((table): ReadonlyArray<ConfigurationProblem> => {
      const setting = `table ${table.name}`
      const own = <A extends { readonly tbl: string }>(rows: ReadonlyArray<A>): ReadonlyArray<A> =>
        rows.filter(({ tbl }) => isSame(tbl, table.name))
      const engine = engines.find(({ name }) => isSame(name, table.name))
      if (engine === undefined) return [{ setting, detail: "is missing in the database", hint }]
      const found = own(columns)
      const key = own(keys).map(({ name }) => name.toLowerCase())
      const details = [
        ...(engine.engine?.toLowerCase() === "innodb" ? [] : ["must have the engine InnoDB, which has transactions"]),
        ...(key.join() === table.primaryKey.join()
          ? []
          : [`must have the primary key (${table.primaryKey.join(", ")})`]),
        ...Object.entries(table.columns).flatMap(([name, column]) =>
          columnProblem(name, column, found.find((one) => isSame(one.name, name))) ?? []
        )
      ]
      return details.map((detail) => ({ setting, detail, hint }))
    })
    if (problems.length > 0) {
      return yield* new ConfigurationError({
        service,
        reason: problems.every(({ detail }) => detail === "is missing in the database")
          ? "NotConfigured"
          : "InvalidSettings",
        problems
      })
    }
  })

interface FoundColumn {
  readonly tbl: string
  readonly name: string
  readonly type: string
  readonly length: number | string | bigint | null
  readonly collation_name: string | null
  readonly extra: string | null
}

/** Names of tables and columns are the same in any case on some systems. */
const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

const columnProblem = (name: string, wanted: Column, found: FoundColumn | undefined): string | undefined => {
  if (found === undefined) return `has no column ${name}`
  if (!wanted.types.includes(found.type.toLowerCase())) return `has a column ${name} of the type ${found.type}`
  if (wanted.isGenerated === true && found.extra?.toLowerCase().includes("auto_increment") !== true) {
    return `has a column ${name} without AUTO_INCREMENT`
  }
  if (wanted.length === undefined) return undefined
  if (Number(found.length) < wanted.length) return `has a column ${name} of less than ${wanted.length} characters`
  return found.collation_name?.endsWith("_bin") === true
    ? undefined
    : `has a column ${name} that does not tell all texts apart (its collation must be a binary one)`
}
