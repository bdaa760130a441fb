/** @effect/sql-kysely, and kysely itself over a reserved connection. */
import * as MysqlKysely from "@effect/sql-kysely/Mysql"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Generated,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  type QueryResult,
  sql as raw
} from "kysely"
import { onBoth } from "./subjects.ts"

interface Database {
  readonly people: { readonly id: Generated<number>; readonly name: string; readonly born: number | null }
}

const names = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    Effect.map(sql<{ name: string }>`SELECT name FROM people ORDER BY id`, (rows) => rows.map(({ name }) => name))
)

onBoth("@effect/sql-kysely", (it) => {
  it.effect("builds a schema, also in its withTransaction, and works in it", () =>
    Effect.gen(function*() {
      const db = yield* MysqlKysely.make<Database>()
      yield* db.withTransaction(Effect.gen(function*() {
        yield* db.schema.createTable("people")
          .addColumn("id", "bigint", (column) => column.autoIncrement().primaryKey())
          .addColumn("name", "varchar(80)", (column) => column.notNull().unique())
        yield* db.schema.alterTable("people").addColumn("born", "integer")
        yield* db.schema.createIndex("people_born").on("people").column("born")
        yield* db.insertInto("people").values({ name: "Ada", born: 1815 })
      }))
      yield* db.insertInto("people").values([{ name: "Grace", born: 1906 }, { name: "'; --", born: null }])
      yield* db.updateTable("people").set({ born: 1 }).where("name", "=", "'; --")
      yield* db.deleteFrom("people").where("born", "<", 10)
      expect(yield* db.selectFrom("people").select(["id", "name", "born"]).orderBy("id")).toEqual([
        { id: 1, name: "Ada", born: 1815 },
        { id: 2, name: "Grace", born: 1906 }
      ])
      const failed = db.withTransaction(Effect.gen(function*() {
        yield* db.insertInto("people").values({ name: "Alan", born: 1912 })
        yield* db.withTransaction(db.insertInto("people").values({ name: "Edsger", born: 1930 }))
        yield* db.insertInto("people").values({ name: "Ada", born: 1815 })
      }))
      const error = yield* Effect.flip(failed)
      expect(error).toMatchObject({ _tag: "SqlError", cause: { errno: 1062 } })
      expect(yield* names).toEqual(["Ada", "Grace"])
      yield* db.schema.dropTable("people")
    }))
})

/** Kysely's own driver, on one connection of the client. */
const overConnection = (connection: Connection, runtime: Runtime.Runtime<never>): Kysely<Database> => {
  const runPromise = Runtime.runPromise(runtime)
  const driverConnection: DatabaseConnection = {
    executeQuery: async <R>({ parameters, sql }: CompiledQuery): Promise<QueryResult<R>> => {
      const result: any = await runPromise(connection.executeRaw(sql, parameters))
      return Array.isArray(result)
        ? { rows: result }
        : { rows: [], insertId: BigInt(result.insertId), numAffectedRows: BigInt(result.affectedRows) }
    },
    streamQuery: () => {
      throw new Error("not used here")
    }
  }
  // MySQL does not prepare BEGIN.
  const query = (text: string) => async () => void await runPromise(connection.executeUnprepared(text, [], undefined))
  return new Kysely<Database>({
    dialect: {
      createAdapter: () => new MysqlAdapter(),
      createIntrospector: (db) => new MysqlIntrospector(db),
      createQueryCompiler: () => new MysqlQueryCompiler(),
      createDriver: () => ({
        init: async () => {},
        acquireConnection: async () => driverConnection,
        beginTransaction: query("BEGIN"),
        commitTransaction: query("COMMIT"),
        rollbackTransaction: query("ROLLBACK"),
        releaseConnection: async () => {},
        destroy: async () => {}
      })
    }
  })
}

onBoth("kysely over sql.reserve", (it) => {
  it.scoped("has its own transactions on the reserved connection", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE people (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL UNIQUE, born INT)`
      const db = overConnection(yield* sql.reserve, yield* Effect.runtime<never>())
      yield* Effect.promise(() =>
        db.transaction().execute(async (trx) => {
          const inserted = await trx.insertInto("people").values({ name: "Ada", born: 1815 }).executeTakeFirstOrThrow()
          expect(inserted.insertId).toBe(1n)
          expect(await trx.selectFrom("people").selectAll().execute()).toEqual([{ id: 1, name: "Ada", born: 1815 }])
        })
      )
      const undone = Effect.tryPromise({
        try: () =>
          db.transaction().execute(async (trx) => {
            await trx.insertInto("people").values({ name: "Grace", born: 1906 }).execute()
            await raw`INSERT INTO people (name) VALUES (${"Ada"})`.execute(trx)
          }),
        catch: (error) => error
      })
      expect(String(yield* Effect.flip(undone))).not.toBe("")
      expect(yield* names).toEqual(["Ada"])
    }))
})
