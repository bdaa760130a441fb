/** Databases of the server that globalSetup started, and an administrator's view of it past the code under test. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import { randomBytes } from "node:crypto"
import { inject } from "vitest"
import type { TestMysql } from "../globalSetup.ts"

/** Where this worker's server is, and the user with all privileges. */
export const server: Effect.Effect<TestMysql> = Effect.sync(() => {
  const servers = inject("mysql")
  return servers[Number(process.env["VITEST_POOL_ID"] ?? 1) % servers.length]!
})

/** Runs one statement on a connection of its own: the rows, or for a statement without rows an empty list. */
export const admin = <Row extends object = Record<string, unknown>>(
  sql: string,
  options?: { readonly database?: string }
): Effect.Effect<ReadonlyArray<Row>> =>
  Effect.flatMap(server, ({ host, password, port, user }) =>
    Effect.acquireUseRelease(
      Effect.promise(() => createConnection({ host, port, user, password, ...options })),
      (connection) => Effect.promise(() => connection.query<Array<RowDataPacket>>(sql)),
      (connection) => Effect.promise(() => connection.end())
    )).pipe(Effect.map(([rows]) => Array.isArray(rows) ? rows as unknown as ReadonlyArray<Row> : []))

/** The `mysql://` URL of a database on that server, as that user. */
export const urlOf = (database: string): Effect.Effect<string> =>
  Effect.map(server, ({ host, password, port, user }) => `mysql://${user}:${password}@${host}:${port}/${database}`)

/** Makes an empty database with a name of its own, dropped at the end of the scope; its `mysql://` URL. */
export const freshDatabase = (prefix: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const name = `${prefix}_${randomBytes(6).toString("hex")}`
    yield* Effect.acquireRelease(
      admin(`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`),
      () => admin(`DROP DATABASE IF EXISTS \`${name}\``)
    )
    return yield* urlOf(name)
  })
