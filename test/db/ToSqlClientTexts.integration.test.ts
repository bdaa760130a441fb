/** `toSqlClient`: several statements in one template, and connections that are lost. */
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { MainDb } from "../../src/db/Database.ts"
import { main } from "../support/db/databases.ts"
import { reasonOf } from "../support/db/errors.ts"
import { clean, databaseErrorOf, emptyTable, mark, marks } from "../support/db/marks.ts"
import { type Stage, withDatabase } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"
import { eventually } from "../support/eventually.ts"
import { realClock } from "../support/realClock.ts"

const everything = Layer.provideMerge(
  MainDb.toSqlClient,
  main({ poolSize: 3, maxOverflow: 0, poolTimeout: "2 seconds" })
)

describe("toSqlClient", () => {
  layer(everything, realClock)((it) => {
    describe("several statements in one template", () => {
      it.effect("run one by one on one connection, whoever else works at the same time", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const insert = (text: string) =>
            client`INSERT INTO marks ${client.insert({ mark: text })};
              SELECT id, mark FROM ${client("marks")} WHERE id = LAST_INSERT_ID() AND mark = ${text};`.unprepared
          const texts = Array.from({ length: 40 }, (_, index) => `mark ${index}; DROP TABLE marks; -- '`)
          const check = (results: ReadonlyArray<any>, text: string) => {
            expect(results).toHaveLength(2)
            expect(results[0]).toMatchObject({ affectedRows: 1 })
            expect(results[1]).toEqual([{ id: results[0].insertId, mark: text }])
          }
          yield* Effect.forEach(texts, (text) => Effect.map(insert(text), (results) => check(results, text)), {
            concurrency: "unbounded"
          })
          yield* emptyTable
          yield* client.withTransaction(
            Effect.forEach(texts, (text) => Effect.map(insert(text), (results) => check(results, text)), {
              concurrency: "unbounded"
            })
          )
          expect(new Set(yield* marks)).toEqual(new Set(texts))
        }))

      it.effect("work by the compiled text on a reserved connection", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const [text, params] = client`INSERT INTO marks (mark) VALUES (${"a"}), (${"b"});
            SELECT mark FROM marks WHERE mark <> ${"a"}`.compile()
          yield* Effect.scoped(Effect.gen(function*() {
            const connection = yield* client.reserve
            const results: ReadonlyArray<any> = yield* connection.executeUnprepared(text, params, undefined)
            expect(results[0]).toMatchObject({ affectedRows: 2 })
            expect(results[1]).toEqual([{ mark: "b" }])
          }))
        }))

      it.effect("stop at the first that fails; what was carried out is not to be repeated", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const error = yield* databaseErrorOf(
            client`INSERT INTO marks (mark) VALUES ('first');
              SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock';
              INSERT INTO marks (mark) VALUES ('third')`.unprepared
          )
          expect(error).toMatchObject({ reason: "Deadlock", retryable: false })
          expect(error.statement).toContain("SIGNAL")
          expect(yield* marks).toEqual(["first"])
        }))

      it.effect("are those of the source: nothing that is put into a template makes one two", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const drop = "1; DROP TABLE marks"
          for (
            const attack of [
              client`SELECT ${client.literal(drop)}`.unprepared,
              client`SELECT ${client.unsafe(drop)}`.unprepared,
              client`SELECT 1; SELECT ${client.literal(drop)}`.unprepared,
              client`SELECT ${client.literal("'")}; DROP TABLE marks`.unprepared,
              client.unsafe(`SELECT ${drop}`).unprepared,
              client.unsafe(`SELECT ${drop}`),
              Effect.scoped(
                Effect.flatMap(
                  client.reserve,
                  (connection) => connection.executeUnprepared(`SELECT ${drop}`, [], undefined)
                )
              )
            ]
          ) {
            const error = yield* databaseErrorOf(attack)
            expect(error).toMatchObject({ reason: "Syntax", errno: 1064 })
          }
          const values = yield* client`SELECT ${drop} AS a; SELECT ${"'; --"} AS b`.unprepared
          expect(values).toEqual([[{ a: drop }], [{ b: "'; --" }]])
          expect(yield* marks).toEqual([])
        }))

      it.effect("are interrupted as one", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const fiber = yield* Effect.fork(
            client`INSERT INTO marks (mark) VALUES ('first'); SELECT SLEEP(10) FROM marks;
              INSERT INTO marks (mark) VALUES ('third')`.unprepared
          )
          yield* Effect.sleep("300 millis")
          const [took] = yield* Effect.timed(Fiber.interrupt(fiber))
          expect(Duration.toMillis(took)).toBeLessThan(3_000)
          expect(yield* marks).toEqual(["first"])
          expect((yield* MainDb.stats).active).toBe(0)
        }))
    })
  })
})

describe("toSqlClient, when the connection is lost", () => {
  const onDatabase = (
    name: string,
    body: (stage: Stage, client: SqlClient.SqlClient) => Effect.Effect<unknown, unknown, MainDb>
  ): void =>
    it.live(name, () =>
      Effect.flatMap(server, (at) =>
        withDatabase(at, {}, (stage) =>
          Effect.gen(function*() {
            const client = yield* Effect.provide(SqlClient.SqlClient, Layer.fresh(MainDb.toSqlClient))
            yield* emptyTable
            yield* body(stage, client)
          }))))

  onDatabase(
    "with the answer to DDL: nothing follows in the transaction, and it is not to be repeated",
    (stage, client) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap("CREATE TABLE ddl_lost", "lose")
        let later: unknown
        const error = yield* databaseErrorOf(client.withTransaction(Effect.gen(function*() {
          yield* mark(client, "committed by the DDL")
          yield* Effect.exit(client`CREATE TABLE ddl_lost (id INT)`.unprepared)
          later = yield* reasonOf(mark(client, "never"))
        })))
        expect(error).toMatchObject({ retryable: false, outcome: "unknown" })
        expect(error.hint).toContain("CREATE TABLE ddl_lost")
        expect(later).not.toBe("Success")
        expect(yield* eventually(Effect.tap(marks, (found) => expect(found).toHaveLength(1)))).toEqual([
          "committed by the DDL"
        ])
      })
  )

  onDatabase(
    "between two statements of a text: the first stays, so it is not to be repeated",
    (stage, client) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap("SELECT 'second'", "reset")
        const error = yield* databaseErrorOf(
          client`INSERT INTO marks (mark) VALUES ('first'); SELECT 'second' AS a`.unprepared
        )
        expect(error).toMatchObject({ reason: "ConnectionLost", retryable: false })
        expect(yield* marks).toEqual(["first"])
      })
  )
})
