/** The rows that a database begins with. */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { DatabaseTag } from "../../../db/Database.ts"
import { ConfigurationError, type ConfigurationProblem, type DatabaseError } from "../../../Errors.ts"
import type { Seeds } from "./model.ts"

type Row = Readonly<Record<string, unknown>>

/** A column, as it takes part in an INSERT. */
interface Column {
  readonly table: string
  readonly name: string
  readonly isGenerated: number
  readonly mayBeNull: number
  readonly mayBeMissing: number
}

/** Runs an effect, or inserts rows; a row that does not fit its table is told by table, place and column. */
export const plant = <Self, E, R>(
  tag: DatabaseTag<Self, string>,
  seeds: Seeds<Self, E, R>
): Effect.Effect<void, ConfigurationError | DatabaseError | E, R | Self> =>
  Effect.isEffect(seeds) ? Effect.asVoid(seeds) : Effect.gen(function*() {
    // They may be written without types.
    if (!Predicate.isRecord(seeds)) {
      return yield* refused(tag, [{
        setting: "seeds",
        detail: "must be lists of rows by table, or an effect",
        hint: "write them as { customers: [{ id: 7, name: \"Ada\" }] }"
      }])
    }
    const columns = yield* tag.use((sql) =>
      sql<Column>`SELECT TABLE_NAME AS \`table\`, COLUMN_NAME AS name,
      COALESCE(GENERATION_EXPRESSION, '') <> '' AS isGenerated,
      IS_NULLABLE = 'YES' AS mayBeNull,
      (IS_NULLABLE = 'YES' OR COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%' OR EXTRA LIKE '%DEFAULT_GENERATED%') AS mayBeMissing
      FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()`
    )
    const problems = Object.entries(seeds).flatMap(([table, rows]) => problemsOf(columns, table, rows))
    if (problems.length > 0) return yield* refused(tag, problems)
    yield* tag.withTransaction(
      Effect.forEach(
        Object.entries(seeds),
        ([table, rows]) => Effect.forEach(rows, (row, index) => insert(tag, table, index, row), { discard: true }),
        { discard: true }
      )
    )
  })

const insert = <Self>(
  tag: DatabaseTag<Self, string>,
  table: string,
  index: number,
  row: Row
): Effect.Effect<unknown, ConfigurationError | DatabaseError, Self> =>
  tag.use((sql: SqlClient) =>
    Object.keys(row).length === 0
      ? sql`INSERT INTO ${sql(table)} () VALUES ()`
      : sql`INSERT INTO ${sql(table)} ${sql.insert(row)}`
  ).pipe(
    Effect.mapError((error) =>
      // Without a number of the server's, or ours, it is the connection that has failed.
      error.errno === undefined && error.reason !== "InvalidParameter"
        ? error
        : configurationError(tag, [{
          setting: `seeds of ${table}[${index}]`,
          detail: `is refused (${error.reason}): ${error.detail ?? "no details are known"}`,
          ...(error.hint === undefined ? {} : { hint: error.hint })
        }], error)
    )
  )

const problemsOf = (
  columns: ReadonlyArray<Column>,
  table: string,
  rows: unknown
): ReadonlyArray<ConfigurationProblem> => {
  const own = columns.filter((column) => column.table === table)
  if (own.length === 0) {
    const tables = [...new Set(columns.map((column) => column.table))].sort()
    return [{ setting: `seeds of ${table}`, detail: "there is no table of that name", hint: listing("tables", tables) }]
  }
  if (!Array.isArray(rows)) {
    return [{
      setting: `seeds of ${table}`,
      detail: "must be a list of rows",
      hint: `put them in brackets: { ${table}: [{ … }] }`
    }]
  }
  return rows.flatMap((row: unknown, index): ReadonlyArray<ConfigurationProblem> => {
    if (!Predicate.isRecord(row)) {
      return [{ setting: `seeds of ${table}[${index}]`, detail: "must be a row: an object of values by column" }]
    }
    const at = (name: string): string => `seeds of ${table}[${index}].${name}`
    const given = Object.entries(row).flatMap(([name, value]): ReadonlyArray<ConfigurationProblem> => {
      const column = own.find((column) => column.name === name)
      if (column === undefined) {
        return [{
          setting: at(name),
          detail: "there is no column of that name",
          hint: listing("columns", own.map((column) => column.name))
        }]
      }
      if (column.isGenerated) return [{ setting: at(name), detail: "the column is generated", hint: "leave it out" }]
      if (value === undefined) {
        return [{ setting: at(name), detail: "is undefined", hint: "leave it out, or give null" }]
      }
      return value === null && !column.mayBeNull ? [{ setting: at(name), detail: "must not be null" }] : []
    })
    const missing = own.filter(({ isGenerated, mayBeMissing, name }) => !isGenerated && !mayBeMissing && !(name in row))
    return [...given, ...missing.map(({ name }) => ({ setting: at(name), detail: "is missing and has no default" }))]
  })
}

const listing = (what: string, names: ReadonlyArray<string>): string =>
  names.length === 0
    ? `it has no ${what}`
    : `its ${what} are ${names.slice(0, MOST_LISTED).join(", ")}${names.length > MOST_LISTED ? " …" : ""}`

const MOST_LISTED = 30

const configurationError = <Self>(
  tag: DatabaseTag<Self, string>,
  problems: ReadonlyArray<ConfigurationProblem>,
  cause?: DatabaseError
): ConfigurationError =>
  new ConfigurationError({
    service: tag.databaseName,
    reason: "InvalidSettings",
    problems,
    ...(cause === undefined ? {} : { cause })
  })

const refused = <Self>(tag: DatabaseTag<Self, string>, problems: ReadonlyArray<ConfigurationProblem>) =>
  Effect.fail(configurationError(tag, problems))
