/** Which connection a statement runs on, as the server numbers them. */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"

/** The connection of the current fiber: that of its transaction, where one is open. */
export const connectionIdOf = (sql: SqlClient): Effect.Effect<number, SqlError> =>
  // A number or its digits: clients differ.
  Effect.map(sql<{ id: number | string }>`SELECT CONNECTION_ID() AS id`, ([row]) => Number(row!.id))

export const connectionId: Effect.Effect<number, DatabaseError, MainDb> = MainDb.use(connectionIdOf)
