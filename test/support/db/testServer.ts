/** The server that globalSetup started for this worker: its databases, and an administrator's view of it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { expect, inject } from "vitest"
import { eventually } from "../eventually.ts"
import type { TestMysql } from "../globalSetup.ts"
import { adminOn, type Thread, threadsOn } from "./admin.ts"

/** Where this worker's server is, and the user with all privileges. */
export const server: Effect.Effect<TestMysql> = Effect.sync(() => {
  const servers = inject("mysql")
  return servers[Number(process.env["VITEST_POOL_ID"] ?? 1) % servers.length]!
})

/** Runs one statement on a connection of its own: the rows, or for a statement without rows an empty list. */
export const admin = <Row extends object = Record<string, unknown>>(
  sql: string,
  options?: { readonly database?: string }
): Effect.Effect<ReadonlyArray<Row>> => Effect.flatMap(server, (at) => adminOn(at)<Row>(sql, options))

/** The threads that are connected to a database. */
export const threadsOf = (database: string): Effect.Effect<ReadonlyArray<Thread>> =>
  Effect.flatMap(server, (at) => threadsOn(at)(database))

/** Waits until the server runs a statement with that text on that database. */
export const running = (database: string, text: string): Effect.Effect<void> =>
  eventually(
    Effect.map(threadsOf(database), (threads) => {
      expect(threads.map(({ info }) => info)).toContainEqual(expect.stringContaining(text))
    }),
    "15 seconds"
  )

/** The `mysql://` URL of a database on that server, as that user. */
export const urlOf = (database: string): Effect.Effect<string> =>
  Effect.map(
    server,
    ({ entry: { host, port }, password, user }) => `mysql://${user}:${password}@${host}:${port}/${database}`
  )

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
