/** Whatever a session holds: it never reaches the next user of the connection. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { isolationVariable } from "../../support/db/dialect.ts"
import { faultWithTable as fault, ids, insert, onPrivateServer } from "../../support/db/faults.ts"
import { layerOf, type Options } from "../../support/db/stage.ts"

describe("20 session state never reaches the next user", () => {
  const one: Options = { poolSize: 1, maxOverflow: 0 }

  /** What a borrower leaves behind, and how the next one would see it. */
  const traces: ReadonlyArray<readonly [what: string, dirty: ReadonlyArray<string>, look: string, clean: unknown]> = [
    ["a variable", ["SET @v = 1"], "SELECT @v AS x", null],
    ["a variable set by a SELECT", ["SELECT @v := 1"], "SELECT @v AS x", null],
    ["sql_mode", ["SET sql_mode = ''"], "SELECT @@sql_mode = @@GLOBAL.sql_mode AS x", 1],
    [
      "the isolation level",
      ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
      `SELECT ${isolationVariable} AS x`,
      "READ-COMMITTED"
    ],
    [
      "the isolation level of the next transaction",
      ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
      `SELECT ${isolationVariable} AS x`,
      "READ-COMMITTED"
    ],
    ["the time zone", ["SET time_zone = '+05:00'"], "SELECT @@time_zone AS x", "+00:00"],
    ["autocommit", ["SET autocommit = 0"], "SELECT @@autocommit AS x", 1],
    ["the character set", ["SET NAMES latin1"], "SELECT @@character_set_client AS x", "utf8mb4"],
    ["a lock", ["SELECT GET_LOCK('hygiene', 0)"], "SELECT IS_FREE_LOCK('hygiene') AS x", 1],
    ["a temporary table", ["CREATE TEMPORARY TABLE temporary AS SELECT 1"], "SELECT 0 AS x", 0],
    ["LOCK TABLES", ["LOCK TABLES t READ"], "SELECT 0 AS x", 0],
    ["the default database", ["USE mysql"], "SELECT DATABASE() <> 'mysql' AS x", 1],
    ["the last insert id", ["SELECT LAST_INSERT_ID(5)"], "SELECT LAST_INSERT_ID() AS x", 0],
    ["an open transaction", ["BEGIN"], "SELECT 0 AS x", 0],
    ["a chained transaction", ["BEGIN", "COMMIT AND CHAIN"], "SELECT 0 AS x", 0]
  ]

  const look = (text: string) =>
    MainDb.use((sql) => sql.unsafe<{ x: unknown }>(text)).pipe(Effect.map(([row]) => row!.x))

  fault("20 rows written in a transaction that was left open", one, (stage) =>
    Effect.gen(function*() {
      const id = yield* connectionId
      yield* MainDb.use((sql) =>
        Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
          Effect.zipRight(
            connection.executeRaw("BEGIN", []),
            connection.executeRaw("INSERT INTO t (id) VALUES (1)", [])
          )))
      )
      expect(
        yield* MainDb.use((sql) => sql`SELECT id FROM t`)
      ).toEqual([])
      expect(yield* ids(stage)).toEqual([])
      expect(yield* connectionId).toBe(id)
    }))

  for (const [what, dirty, seen, clean] of traces) {
    fault(`20 ${what}`, one, (stage) =>
      Effect.gen(function*() {
        // Always the same connection: a new one would be clean anyway.
        const id = yield* connectionId
        const check = Effect.fnUntraced(function*(how: string) {
          expect(`${how}: ${yield* look(seen)}`).toBe(`${how}: ${clean}`)
          // The table is neither locked nor out of sight in another default database, and no transaction is open.
          yield* insert(1)
          expect(yield* ids(stage)).toEqual([1])
          yield* MainDb.use((sql) => sql`DELETE FROM t`)
          if (what === "a temporary table") {
            expect(yield* Effect.flip(look("SELECT 1 AS x FROM temporary"))).toMatchObject({ reason: "UnknownObject" })
          }
          expect(yield* connectionId).toBe(id)
        })
        yield* MainDb.use((sql) =>
          Effect.scoped(
            Effect.flatMap(
              sql.reserve,
              (connection) => Effect.forEach(dirty, (text) => connection.executeRaw(text, []))
            )
          )
        )
        yield* check("after reserve")
        for (const text of dirty) yield* MainDb.use((sql) => sql.unsafe(text))
        yield* check("after plain statements")
        for (const text of dirty) yield* MainDb.use((sql) => sql.unsafe(text).unprepared)
        yield* check("after unprepared statements")
        if (!dirty.some((text) => /^(BEGIN|COMMIT|LOCK|SET autocommit|SET TRANSACTION)/.test(text))) {
          yield* MainDb.withTransaction(MainDb.use((sql) => Effect.forEach(dirty, (text) => sql.unsafe(text))))
          yield* check("after a transaction")
        }
      }))
  }
})

onPrivateServer("a server with other defaults than ours", ({ faultOnStage }) => {
  faultOnStage(
    "20 a session is the same when it is new and when it was reset: our settings, and the server's sql_mode",
    (_, stage) =>
      Effect.gen(function*() {
        const set = (charset: string, zone: string) =>
          Effect.forEach(
            [
              ...["client", "connection", "results"].map((which) => `character_set_${which} = ${charset}`),
              `time_zone = '${zone}'`
            ],
            (assignment) => stage.admin(`SET GLOBAL ${assignment}`)
          )
        yield* Effect.acquireRelease(set("latin1", "+05:00"), () => set("utf8mb4", "SYSTEM"))
        const look = MainDb.use((sql) =>
          sql`SELECT ${"🧪"} AS emoji, @@time_zone AS zone, ${sql.literal(isolationVariable)} AS isolation,
            DATABASE() AS name, IF(@@sql_mode = @@GLOBAL.sql_mode, 'of the server', @@sql_mode) AS mode`
        )
        yield* Effect.provide(
          Effect.gen(function*() {
            const fresh = yield* look
            expect(fresh).toEqual([
              { emoji: "🧪", zone: "+00:00", isolation: "READ-COMMITTED", name: stage.database, mode: "of the server" }
            ])
            yield* MainDb.use((sql) => sql`SET @v = 1`)
            expect(yield* look).toEqual(fresh)
            expect((yield* MainDb.stats).opened).toBe(1)
          }),
          layerOf(stage.url)
        )
      })
  )
})
