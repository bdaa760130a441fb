/** `toSqlClient`: a database of ours as the client of libraries for `@effect/sql`. */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as String from "effect/String"
import { GarminDb, MainDb } from "../../src/db/Database.ts"
import { connectionIdOf } from "../support/db/connectionId.ts"
import { garmin, main } from "../support/db/databases.ts"
import { reasonOf } from "../support/db/errors.ts"
import { clean, databaseErrorOf, emptyTable, mark, marks, tables } from "../support/db/marks.ts"
import { realClock } from "../support/realClock.ts"

class Other extends Context.Tag("test/Other")<Other, SqlClient.SqlClient>() {}

const everything = Layer.mergeAll(
  MainDb.toSqlClient,
  Layer.effect(Other, SqlClient.SqlClient).pipe(Layer.provide(Layer.fresh(GarminDb.toSqlClient)))
).pipe(Layer.provideMerge(Layer.mergeAll(main({ poolSize: 3, maxOverflow: 0, poolTimeout: "2 seconds" }), garmin())))

describe("toSqlClient", () => {
  layer(everything, realClock)((it) => {
    it.effect("is one client under both tags, with the settings of the database", () =>
      Effect.gen(function*() {
        const client = yield* MysqlClient.MysqlClient
        expect(yield* SqlClient.SqlClient).toBe(client)
        expect(client[MysqlClient.TypeId]).toBe(MysqlClient.TypeId)
        const [row] = yield* client<{ name: string }>`SELECT DATABASE() AS name`
        expect(client.config.database).toBe(row!.name)
        expect(client.config.port).toBeGreaterThan(0)
      }))

    it.effect("takes part in the transactions of its database, and they in its own", () =>
      Effect.gen(function*() {
        yield* clean
        const client = yield* SqlClient.SqlClient
        const sql = yield* MainDb
        yield* MainDb.withTransaction(Effect.gen(function*() {
          const inside = yield* connectionIdOf(client)
          expect(inside).toBe(yield* connectionIdOf(sql))
          yield* mark(client, "kept")
          yield* Effect.ignore(client.withTransaction(Effect.gen(function*() {
            expect(yield* connectionIdOf(client)).toBe(inside)
            yield* MainDb.use((sql) => mark(sql, "undone with the savepoint"))
            return yield* Effect.fail("undo")
          })))
          const reserved = yield* Effect.scoped(
            Effect.flatMap(client.reserve, (conn) => conn.executeValues("SELECT CONNECTION_ID()", []))
          )
          expect(Number(reserved[0]![0])).toBe(inside)
        }))
        yield* Effect.ignore(client.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => mark(sql, "undone with its transaction"))
          yield* MainDb.withTransaction(MainDb.use((sql) => mark(sql, "undone too")))
          return yield* Effect.fail("undo")
        })))
        expect(yield* marks).toEqual(["kept"])
      }))

    it.effect("never uses the transaction of another database, nor another database its own", () =>
      Effect.gen(function*() {
        yield* clean
        const client = yield* SqlClient.SqlClient
        const other = yield* Other
        const database = (sql: SqlClient.SqlClient) =>
          Effect.map(sql<{ name: string }>`SELECT DATABASE() AS name`, ([row]) => row!.name)
        const names = [yield* database(client), yield* database(other)]
        expect(new Set(names).size).toBe(2)
        yield* Effect.ignore(client.withTransaction(Effect.gen(function*() {
          yield* mark(client, "undone")
          yield* other.withTransaction(Effect.gen(function*() {
            expect([yield* database(client), yield* database(other)]).toEqual(names)
            expect(yield* connectionIdOf(client)).not.toBe(yield* connectionIdOf(other))
          }))
          return yield* Effect.fail("undo")
        })))
        yield* GarminDb.withTransaction(mark(client, "kept"))
        expect(yield* marks).toEqual(["kept"])
      }))

    it.effect("who looks into upstream's slot finds a connection that refuses, never a wrong one", () =>
      Effect.gen(function*() {
        const client = yield* SqlClient.SqlClient
        const reason = yield* client.withTransaction(
          Effect.flatMap(
            SqlClient.TransactionConnection,
            ([connection]) => reasonOf(connection.execute("SELECT 1", [], undefined))
          ) as Effect.Effect<unknown>
        )
        expect(reason).toBe("SqlError InvalidParameter")
      }))

    it.effect("gives BIGINT as upstream does, in every way of reading", () =>
      Effect.gen(function*() {
        const client = yield* SqlClient.SqlClient
        const exact =
          "CAST(9007199254740991 AS SIGNED) AS a, CAST(-5 AS SIGNED) AS b, CAST(9007199254740993 AS SIGNED) AS c"
          + ", CAST(NULL AS SIGNED) AS d, CAST(1.5 AS DECIMAL(3, 1)) AS e"
        const row = { a: 9007199254740991, b: -5, c: "9007199254740993", d: null, e: "1.5" }
        const statement = client.unsafe(`SELECT ${exact}`)
        expect(yield* statement).toEqual([row])
        expect(yield* statement.unprepared).toEqual([row])
        expect(yield* statement.raw).toEqual([row])
        expect(yield* statement.withoutTransform).toEqual([row])
        expect(yield* statement.values).toEqual([[...Object.values(row)]])
        expect([...yield* Stream.runCollect(statement.stream)]).toEqual([row])
        expect(yield* client.withTransaction(statement)).toEqual([row])
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* client.reserve
          expect(yield* connection.execute(`SELECT ${exact}`, [], undefined)).toEqual([row])
          expect(yield* connection.executeUnprepared(`SELECT ${exact}`, [], undefined)).toEqual([row])
          expect([...yield* Stream.runCollect(connection.executeStream(`SELECT ${exact}`, [], undefined))]).toEqual([
            row
          ])
        }))
        const through = yield* Statement.withTransformer(statement, (statement) => Effect.succeed(statement))
        expect(through).toEqual([row])
      }))

    it.effect("transforms names as upstream does, and not where it is asked not to", () =>
      Effect.gen(function*() {
        yield* clean
        const client = yield* SqlClient.SqlClient
        yield* client`CREATE TABLE ddl_names (id INT AUTO_INCREMENT PRIMARY KEY, first_name VARCHAR(20), born_in INT)`
        const options = { transformQueryNames: String.camelToSnake, transformResultNames: String.snakeToCamel }
        const sql = yield* Effect.provide(SqlClient.SqlClient, Layer.fresh(MainDb.toSqlClientWith(options)))
        yield* sql`INSERT INTO ${sql("ddlNames")} ${sql.insert({ firstName: "Ada", bornIn: 1815 })}`
        const ada = { id: 1, firstName: "Ada", bornIn: 1815 }
        const plain = { id: 1, first_name: "Ada", born_in: 1815 }
        const all = sql`SELECT * FROM ddl_names`
        expect(yield* all).toEqual([ada])
        expect(yield* all.unprepared).toEqual([ada])
        expect([...yield* Stream.runCollect(all.stream)]).toEqual([ada])
        expect(yield* all.withoutTransform).toEqual([plain])
        expect(yield* all.raw).toEqual([plain])
        expect(yield* sql.withoutTransforms()`SELECT * FROM ddl_names`).toEqual([plain])
        expect(yield* Statement.withTransformer(all, (statement) => Effect.succeed(statement))).toEqual([ada])
        const [, found] = yield* sql`UPDATE ddl_names SET born_in = 1816; SELECT * FROM ddl_names`.unprepared
        expect(found).toEqual([{ ...ada, bornIn: 1816 }])
      }))

    describe("DDL", () => {
      it.effect("runs in its transaction, and what follows can still be rolled back", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const error = yield* Effect.flip(client.withTransaction(Effect.gen(function*() {
            const before = yield* connectionIdOf(client)
            yield* mark(client, "committed by the DDL")
            yield* client`CREATE TABLE ddl_a (id INT)`
            yield* mark(client, "undone")
            yield* Effect.ignore(client.withTransaction(
              Effect.zipRight(mark(client, "undone with the savepoint"), Effect.fail("undo"))
            ))
            expect(yield* connectionIdOf(client)).toBe(before)
            return yield* Effect.fail("undo")
          })))
          expect(error).toBe("undo")
          expect(yield* marks).toEqual(["committed by the DDL"])
          expect(yield* tables).toEqual(["ddl_a"])
        }))

      it.effect("runs in a nested one: its savepoints are set again", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          yield* client.withTransaction(Effect.gen(function*() {
            yield* client.withTransaction(client.withTransaction(client`CREATE TABLE ddl_a (id INT)`))
            yield* mark(client, "kept")
            yield* Effect.ignore(client.withTransaction(Effect.gen(function*() {
              yield* mark(client, "committed by the DDL")
              yield* client`CREATE TABLE ddl_b (id INT)`
              yield* mark(client, "undone")
              return yield* Effect.fail("undo")
            })))
            yield* mark(client, "kept too")
          }))
          expect(yield* marks).toEqual(["kept", "committed by the DDL", "kept too"])
          expect(yield* tables).toEqual(["ddl_a", "ddl_b"])
        }))

      it.effect("that fails leaves a transaction, whether it committed or not", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          yield* client`CREATE TABLE ddl_a (id INT)`
          for (
            const ddl of [
              "CREATE TABLE ddl_a (id INT)",
              "CREATE TABEL",
              "DROP TABLE ddl_none",
              "ALTER TABLE ddl_a ADD id INT"
            ]
          ) {
            yield* emptyTable
            yield* Effect.ignore(client.withTransaction(Effect.gen(function*() {
              yield* Effect.flip(client.unsafe(ddl))
              yield* mark(client, "undone")
              return yield* Effect.fail("undo")
            })))
            expect(yield* marks, ddl).toEqual([])
          }
        }))

      it.effect("is refused in MainDb.withTransaction, around it and inside it", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const ddl = client`CREATE TABLE ddl_a (id INT)`
          const two = client`CREATE TABLE ddl_a (id INT); CREATE TABLE ddl_b (id INT)`.unprepared
          const plain = MainDb.use((sql) => sql`CREATE TABLE ddl_a (id INT)`)
          const reasons = yield* Effect.all([
            reasonOf(MainDb.withTransaction(ddl)),
            reasonOf(MainDb.withTransaction(two)),
            reasonOf(MainDb.withTransaction(client.withTransaction(ddl))),
            reasonOf(client.withTransaction(MainDb.withTransaction(ddl))),
            reasonOf(client.withTransaction(MainDb.withTransaction(client.withTransaction(ddl)))),
            reasonOf(MainDb.withTransaction(plain)),
            reasonOf(Effect.flatMap(MainDb, (sql) => sql.withTransaction(plain)))
          ])
          expect(reasons.map((reason) => `${reason}`.replace("SqlError ", ""))).toEqual(Array(7).fill("ImplicitCommit"))
          expect(yield* tables).toEqual([])
        }))

      it.effect("does not open the door to COMMIT and its like", () =>
        Effect.gen(function*() {
          const client = yield* SqlClient.SqlClient
          for (
            const text of [
              "COMMIT",
              "ROLLBACK",
              "BEGIN",
              "START TRANSACTION",
              "LOCK TABLES marks READ",
              "SET autocommit = 0"
            ]
          ) {
            const reason = yield* reasonOf(client.withTransaction(client.unsafe(text).unprepared))
            expect(reason, text).toBe("SqlError ImplicitCommit")
          }
        }))

      it.effect("makes no failure after it retryable", () =>
        Effect.gen(function*() {
          yield* clean
          const client = yield* SqlClient.SqlClient
          const failing = client`SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock'`.unprepared
          const before = yield* databaseErrorOf(client.withTransaction(failing))
          expect(before).toMatchObject({ reason: "Deadlock", retryable: true })
          const after = client.withTransaction(Effect.zipRight(client`CREATE TABLE ddl_a (id INT)`, failing))
          expect(yield* databaseErrorOf(after)).toMatchObject({
            reason: "Deadlock",
            retryable: false,
            hint: expect.stringContaining("CREATE TABLE ddl_a")
          })
        }))
    })
  })
})
