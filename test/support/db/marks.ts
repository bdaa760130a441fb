/** A table of marks, to see what was kept and what was undone, and tables that DDL makes. */
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { expect } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { DatabaseError } from "../../../src/Errors.ts"

/** An empty table of marks, made if it is not there. */
export const emptyTable = Effect.flatMap(MainDb, (sql) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS marks (id INT AUTO_INCREMENT PRIMARY KEY, mark VARCHAR(60) UNIQUE)`,
    sql`DELETE FROM marks`
  ))
export const mark = (sql: SqlClient, text: string) => sql`INSERT INTO marks ${sql.insert({ mark: text })}`
export const marks = Effect.map(
  MainDb.use((sql) => sql<{ mark: string }>`SELECT mark FROM marks ORDER BY id`),
  (rows) => rows.map((row) => row.mark)
)
export const tables = Effect.map(
  MainDb.use((sql) =>
    sql<{ name: string }>`SELECT TABLE_NAME AS name FROM information_schema.tables
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'ddl%' ORDER BY 1`
  ),
  (rows) => rows.map(({ name }) => name)
)
export const dropTables = Effect.flatMap(
  tables,
  (names) => Effect.forEach(names, (name) => MainDb.use((sql) => sql`DROP TABLE ${sql(name)}`))
)
export const clean = Effect.zipRight(emptyTable, dropTables)

export const databaseErrorOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    const cause = error instanceof SqlError ? error.cause : error
    expect(cause).toBeInstanceOf(DatabaseError)
    return cause as DatabaseError
  })
