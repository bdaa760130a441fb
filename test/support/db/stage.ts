/** A fresh database behind a fault proxy, the layer of the code under test on it, and what must be true after a test. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { expect } from "vitest"
import { type DatabaseConfig, MainDb } from "../../../src/db/Database.ts"
import type { ConfigurationError, DatabaseError } from "../../../src/Errors.ts"
import { eventually } from "../eventually.ts"
import type { TestMysql } from "../globalSetup.ts"
import { adminOn, type Row, type Thread, threadsOn } from "./admin.ts"
import * as FaultProxy from "./faultProxy.ts"
import { prepares } from "./throughProxy.ts"

export type Options = Omit<DatabaseConfig, "url">

/** Deadlines short enough for tests. */
const fast: Options = {
  poolSize: 4,
  maxOverflow: 2,
  poolTimeout: 2_000,
  connectTimeout: 400,
  startup: "lazy",
  preparedStatements: prepares
}

/** After a restart, and for a new account, MySQL wants the password itself: over TCP without TLS the URL must allow it. */
const allowed = (url: string): string => `${url}${url.includes("?") ? "&" : "?"}allow-public-key-retrieval=true`

export const layerOf = (url: string, options: Options = {}): Layer.Layer<MainDb, ConfigurationError | DatabaseError> =>
  MainDb.layerConfig(Config.succeed({ url: Redacted.make(allowed(url)), ...fast, ...options }))

export interface Stage {
  readonly proxy: FaultProxy.FaultProxy
  /** The name of the database, which no other test uses. */
  readonly database: string
  /** Its URL through the proxy, and past it. */
  readonly url: string
  readonly direct: string
  readonly admin: (sql: string) => Effect.Effect<ReadonlyArray<Row>>
  /** Threads of the server that are connected to the database. */
  readonly threads: Effect.Effect<ReadonlyArray<Thread>>
}

/** A fresh database behind a proxy. */
export const stageOn = (server: TestMysql): Effect.Effect<Stage, never, Scope.Scope> =>
  Effect.gen(function*() {
    const admin = adminOn(server)
    const database = `t_${randomBytes(6).toString("hex")}`
    yield* Effect.acquireRelease(
      admin(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`),
      () => admin(`DROP DATABASE IF EXISTS ${database}`)
    )
    const proxy = yield* FaultProxy.make(server.entry)
    const { entry: { host, port }, password, user } = server
    const direct = `mysql://${user}:${password}@${host}:${port}/${database}`
    return {
      proxy,
      database,
      direct,
      url: proxy.through(direct),
      admin,
      threads: threadsOn(server)(database)
    }
  })

/** The pool's numbers add up, no connection is in use or waited for, and the next statement works. */
export const healthy: Effect.Effect<void, DatabaseError, MainDb> = Effect.gen(function*() {
  const counts = Effect.map(MainDb.stats, (stats) => {
    expect(stats.size).toBe(stats.idle + stats.active + stats.dialling)
    expect(stats).toMatchObject({ active: 0, waiting: 0 })
  })
  yield* eventually(counts)
  expect(yield* MainDb.use((sql) => sql`SELECT 'works' AS state`)).toEqual([{ state: "works" }])
  yield* counts
})

const resources = () => {
  const all = process.getActiveResourcesInfo()
  const count = (name: string): number => all.filter((each) => each === name).length
  return { timers: count("Timeout"), sockets: count("TCPSocketWrap"), dials: count("TCPConnectWrap") }
}

/**
 * Runs a test on a stage of its own. When it is over, the server must have no thread left for the database, the proxy no
 * connection, and this process no more timers and sockets than before.
 */
export const onStage = <A, E>(
  server: TestMysql,
  body: (stage: Stage) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<void, E> =>
  Effect.scoped(Effect.gen(function*() {
    const stage = yield* stageOn(server)
    const before = resources()
    yield* Effect.scoped(body(stage))
    yield* eventually(Effect.gen(function*() {
      const left = yield* stage.threads
      // A proxy may keep idle connections for its next client.
      expect(server.entry.pools === true ? left.filter(({ command }) => command !== "Sleep") : left).toEqual([])
      expect(yield* stage.proxy.open).toBe(0)
      const after = resources()
      expect(after.timers).toBeLessThanOrEqual(before.timers)
      expect(after.sockets).toBeLessThanOrEqual(before.sockets)
      expect(after.dials).toBe(0)
    }))
  }))

/** The same with the database of the stage, which must be healthy at the end of the test. `query`: options of its URL. */
export const withDatabase = <A, E>(
  server: TestMysql,
  options: Options,
  body: (stage: Stage) => Effect.Effect<A, E, MainDb | Scope.Scope>,
  query = ""
): Effect.Effect<void, E | DatabaseError | ConfigurationError> =>
  onStage(
    server,
    (stage) => Effect.provide(Effect.zipRight(body(stage), healthy), layerOf(`${stage.url}?${query}`, options))
  )
