/** An administrator's view of a server, past the code under test. */
import * as Effect from "effect/Effect"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import type { TestMysql } from "../globalSetup.ts"

export type Row = Readonly<Record<string, any>>

/** Runs one statement on a connection of its own, past the code under test and past the proxy. */
export const adminOn =
  ({ host, password, port, user }: TestMysql) => (sql: string): Effect.Effect<ReadonlyArray<Row>> =>
    Effect.acquireUseRelease(
      Effect.promise(() => createConnection({ host, port, user, password, connectTimeout: 2_000 })),
      (connection) => Effect.promise(() => connection.query<Array<RowDataPacket>>(sql)),
      (connection) => Effect.promise(() => connection.end())
    ).pipe(Effect.map(([rows]) => Array.isArray(rows) ? rows : []))
