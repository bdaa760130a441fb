/** @effect/sql-drizzle, and what becomes of drizzle's errors. */
import * as MysqlDrizzle from "@effect/sql-drizzle/Mysql"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect, layer } from "@effect/vitest"
import { eq, sql as raw } from "drizzle-orm"
import { bigint, int, json, mysqlTable, varchar } from "drizzle-orm/mysql-core"
import { drizzle, type MySqlRemoteDatabase } from "drizzle-orm/mysql-proxy"
import type { QueryPromise } from "drizzle-orm/query-promise"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { inspect } from "node:util"
import { MainDb } from "../../src/db/Database.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { main } from "../support/db/databases.ts"
import { realClock } from "../support/realClock.ts"
import { onBoth } from "./subjects.ts"

const people = mysqlTable("people", {
  id: bigint({ mode: "number" }).autoincrement().primaryKey(),
  name: varchar({ length: 80 }).notNull().unique(),
  born: int(),
  extra: json()
})

const table = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS people (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL UNIQUE,
      born INT, extra JSON)`,
    sql`TRUNCATE people`
  ))

/**
 * The database of @effect/sql-drizzle. Its types are those of a CommonJS module, to which drizzle's own types of an ES
 * module do not fit, so here they are said again.
 */
const makeDb = Effect.map(MysqlDrizzle.make(), (db) => db as unknown as MySqlRemoteDatabase)
const run = <A>(query: QueryPromise<A> | { readonly execute: () => Promise<A> }) =>
  query as unknown as Effect.Effect<A, SqlError>

const SECRET = "Mrk7x9Q"

onBoth("@effect/sql-drizzle", (it) => {
  it.effect("queries, also in withTransaction", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      const db = yield* makeDb
      const [header] = yield* run(db.insert(people).values([{ name: "Ada", born: 1815 }, { name: "'; --", born: 1 }]))
      expect(header).toMatchObject({ affectedRows: 2, insertId: 1 })
      yield* run(db.update(people).set({ born: 1906, name: "Grace" }).where(eq(people.name, "'; --")))
      expect(
        yield* run(db.select({ id: people.id, name: people.name, born: people.born }).from(people).orderBy(people.id))
      )
        .toEqual([{ id: 1, name: "Ada", born: 1815 }, { id: 2, name: "Grace", born: 1906 }])
      yield* Effect.ignore(sql.withTransaction(Effect.gen(function*() {
        yield* run(db.delete(people))
        expect(yield* run(db.select({ id: people.id }).from(people))).toEqual([])
        return yield* Effect.fail("undo")
      })))
      expect(yield* run(db.select({ n: raw<number>`count(*)` }).from(people))).toEqual([{ n: 2 }])
    }))

  it.effect("fails with a SqlError that leads to the error of the server", () =>
    Effect.gen(function*() {
      yield* table
      const db = yield* makeDb
      yield* run(db.insert(people).values({ name: SECRET }))
      const error = yield* Effect.flip(run(db.insert(people).values({ name: SECRET })))
      expect(error).toMatchObject({ _tag: "SqlError", cause: { cause: { errno: 1062 } } })
    }))
})

describe("an error of drizzle", () => {
  layer(Layer.provideMerge(MainDb.toSqlClient, main()), realClock)((it) => {
    it.effect("MainDb.use and withTransaction fail with the DatabaseError inside, which shows no parameter", () =>
      Effect.gen(function*() {
        yield* table
        const db = yield* makeDb
        yield* run(db.insert(people).values({ name: SECRET }))
        const insert = run(db.insert(people).values({ name: SECRET, born: 1815 }))
        const failures = yield* Effect.all([
          Effect.flip(MainDb.use(() => insert)),
          Effect.flip(MainDb.withTransaction(insert)),
          Effect.flip(MainDb.withTransaction(MainDb.withTransaction(MainDb.use(() => insert))))
        ])
        for (const error of failures) {
          expect(error).toBeInstanceOf(DatabaseError)
          expect(error).toMatchObject({ reason: "UniqueViolation", errno: 1062, constraint: "name" })
          const texts = [
            inspect(error, { depth: Infinity, showHidden: true }),
            JSON.stringify(error),
            String(error),
            Cause.pretty(Cause.fail(error), { renderErrorCause: true })
          ]
          expect(texts.join("\n")).not.toContain(SECRET)
        }
      }))
  })
})

onBoth("drizzle over sql.reserve", (it) => {
  it.scoped("works on the reserved connection", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      const connection = yield* sql.reserve
      const runPromise = Runtime.runPromise(yield* Effect.runtime<never>())
      const db = drizzle(async (text, params, method) =>
        method === "execute"
          ? { rows: [await runPromise(connection.executeRaw(text, params))] }
          : { rows: [...await runPromise(connection.executeValues(text, params))] }
      )
      yield* Effect.promise(() => db.insert(people).values({ name: "Ada", born: 1815 }))
      expect(yield* Effect.promise(() => db.select({ id: people.id, name: people.name }).from(people)))
        .toEqual([{ id: 1, name: "Ada" }])
    }))
})
