/** An administrator's view of a server, past the code under test and past any proxy. */
import * as Effect from "effect/Effect"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import type { TestMysql } from "../globalSetup.ts"

export type Row = Readonly<Record<string, any>>

/** Runs one statement on a connection of its own: its rows, or an empty list where it has none. */
export const adminOn = ({ host, password, port, user }: TestMysql) =>
<R extends object = Row>(
  sql: string,
  options?: { readonly database?: string }
): Effect.Effect<ReadonlyArray<R>> =>
  Effect.acquireUseRelease(
    Effect.promise(() => createConnection({ host, port, user, password, connectTimeout: 2_000, ...options })),
    (connection) => Effect.promise(() => connection.query<Array<RowDataPacket>>(sql)),
    (connection) => Effect.promise(() => connection.end())
  ).pipe(Effect.map(([rows]) => Array.isArray(rows) ? rows as unknown as ReadonlyArray<R> : []))

/** A thread of the server, and the statement that it runs. */
export interface Thread {
  readonly id: number
  readonly command: string
  readonly info: string | null
}

/** The threads that are connected to a database. */
export const threadsOn = (server: TestMysql) => (database: string): Effect.Effect<ReadonlyArray<Thread>> =>
  adminOn(server)<Thread>(
    `SELECT ID AS id, COMMAND AS command, INFO AS info FROM information_schema.processlist WHERE DB = '${database}'`
  )
