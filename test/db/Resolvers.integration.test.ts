import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as SqlSchema from "@effect/sql/SqlSchema"
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { GarminDb, MainDb } from "../../src/db/Database.ts"
import * as Repository from "../../src/db/Repository.ts"
import { connectionId } from "../support/db/connectionId.ts"
import { allFour, main, nameOf } from "../support/db/databases.ts"
import { nothingRuns } from "../support/db/nothingRuns.ts"
import { threadsOf } from "../support/db/testServer.ts"
import { realClock } from "../support/realClock.ts"

const Row = Schema.Struct({ id: Schema.Number, owner: Schema.Number, thread: Schema.Number, db: Schema.String })

/**
 * The four kinds of resolvers on one database; `batches` lists what each of their executions got. Effect runs the requests
 * of resolvers with the same tag together, whatever is in them: the tag must name the database, too.
 */
const makeResolvers = (sql: SqlClient.SqlClient, database: string) =>
  Effect.gen(function*() {
    const batches: Array<ReadonlyArray<number>> = []
    const rows = (column: string) => (ids: ReadonlyArray<number>) => {
      batches.push(ids)
      return sql<{ id: number; owner: number }>`
        SELECT id, owner, CONNECTION_ID() AS thread, DATABASE() AS db FROM items WHERE ${
        sql.in(column, ids)
      } ORDER BY id`
    }
    const byId = yield* SqlResolver.findById(`byId of ${database}`, {
      Id: Schema.Number,
      Result: Row,
      ResultId: ({ id }) => id,
      execute: rows("id")
    })
    const ordered = yield* SqlResolver.ordered(`ordered of ${database}`, {
      Request: Schema.Number,
      Result: Row,
      execute: rows("id")
    })
    const ofOwner = yield* SqlResolver.grouped(`ofOwner of ${database}`, {
      Request: Schema.Number,
      RequestGroupKey: (owner) => owner,
      Result: Row,
      ResultGroupKey: ({ owner }) => owner,
      execute: rows("owner")
    })
    const insert = yield* SqlResolver.void(`insert of ${database}`, {
      Request: Schema.Number,
      execute: (ids) => {
        batches.push(ids)
        return sql`INSERT INTO items ${sql.insert(ids.map((id) => ({ id, owner: id % 2 })))}`
      }
    })
    return { byId, ordered, ofOwner, insert, batches }
  })

const setUp = (sql: SqlClient.SqlClient) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS items (id INT PRIMARY KEY, owner INT NOT NULL)`,
    sql`DELETE FROM items`
  )

const start = Effect.gen(function*() {
  const sql = yield* MainDb
  yield* setUp(sql)
  return { sql, ...(yield* makeResolvers(sql, "main")) }
})

const ids = MainDb.use((sql) => sql<{ id: number }>`SELECT id FROM items ORDER BY id`).pipe(
  Effect.map((rows) => rows.map(({ id }) => id))
)

const together = { batching: true, concurrency: "unbounded" } as const

describe("SqlResolver", () => {
  layer(allFour(), realClock)((it) => {
    it.effect("batches outside of transactions", () =>
      Effect.gen(function*() {
        const { batches, byId, insert, ofOwner, ordered } = yield* start
        yield* Effect.forEach([1, 2, 3, 4], insert.execute, together)
        const found = yield* Effect.forEach([1, 9, 3], byId.execute, together)
        expect(found.map(Option.map(({ id }) => id))).toEqual([Option.some(1), Option.none(), Option.some(3)])
        expect((yield* Effect.forEach([2, 3], ordered.execute, together)).map(({ id }) => id)).toEqual([2, 3])
        const groups = yield* Effect.forEach([0, 1, 7], ofOwner.execute, together)
        expect(groups.map((group) => group.map(({ id }) => id))).toEqual([[2, 4], [1, 3], []])
        expect(batches).toEqual([[1, 2, 3, 4], [1, 9, 3], [2, 3], [0, 1, 7]])
      }))

    it.effect("batches inside a transaction, on its connection, and is committed or rolled back with it", () =>
      Effect.gen(function*() {
        const { batches, byId, insert, ofOwner, ordered } = yield* start
        const work = Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3], insert.execute, together)
          const id = yield* connectionId
          const found = yield* Effect.forEach([1, 2, 4], byId.execute, together)
          expect(found.map(Option.map((row) => row.thread))).toEqual([Option.some(id), Option.some(id), Option.none()])
          expect((yield* Effect.forEach([1, 2], ordered.execute, together)).map((row) => row.thread)).toEqual([id, id])
          expect((yield* ofOwner.execute(1)).map((row) => row.thread)).toEqual([id, id])
        })
        yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(work, Effect.fail("undo"))))
        expect(yield* ids).toEqual([])
        yield* MainDb.withTransaction(Effect.ignore(MainDb.withTransaction(Effect.zipRight(work, Effect.fail("undo")))))
        expect(yield* ids).toEqual([])
        yield* MainDb.withTransaction(work)
        expect(yield* ids).toEqual([1, 2, 3])
        expect(batches).toHaveLength(12)
      }))

    it.effect("two transactions in one batching region: each request runs in its own", () =>
      Effect.gen(function*() {
        const { byId, insert } = yield* start
        const exits = yield* Effect.forEach([1, 2, 3], (id) =>
          Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
            const mine = yield* connectionId
            yield* insert.execute(id)
            const seen = yield* Effect.forEach([1, 2, 3], byId.execute, { batching: true })
            const rows = seen.flatMap((row) => Option.toArray(row))
            expect(rows.map((row) => row.id)).toContain(id)
            expect(new Set(rows.map((row) => row.thread))).toEqual(new Set([mine]))
            // Rows that the others have committed by now may be seen, rows that are rolled back never.
            expect(rows.some((row) => row.id === 2)).toBe(id === 2)
            if (id === 2) yield* Effect.fail("undo")
          }))), together)
        expect(exits.map(Exit.isSuccess)).toEqual([true, false, true])
        expect(yield* ids).toEqual([1, 3])
      }))

    it.effect("transactions whose first step is a request: each still runs in its own", () =>
      Effect.gen(function*() {
        const { insert } = yield* start
        yield* Effect.forEach([1, 2, 3, 4], (id) =>
          Effect.ignore(MainDb.withTransaction(
            Effect.zipRight(insert.execute(id), id % 2 === 0 ? Effect.fail("undo") : Effect.void)
          )), together)
        expect(yield* ids).toEqual([1, 3])
      }))

    it.effect("inside a transaction of another database runs outside of it; inside transactions of both, each in its own", () =>
      Effect.gen(function*() {
        const onMain = yield* start
        const garmin = yield* GarminDb
        yield* setUp(garmin)
        const onGarmin = yield* makeResolvers(garmin, "garmin")
        const names = [yield* nameOf(MainDb), yield* nameOf(GarminDb)]
        yield* Effect.ignore(GarminDb.withTransaction(Effect.gen(function*() {
          yield* Effect.all([onMain.insert.execute(1), onGarmin.insert.execute(1)], together)
          yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* Effect.all([onMain.insert.execute(2), onGarmin.insert.execute(2)], together)
            const [m, g] = yield* Effect.all([onMain.byId.execute(2), onGarmin.byId.execute(2)], together)
            expect([Option.getOrThrow(m).db, Option.getOrThrow(g).db]).toEqual(names)
            yield* Effect.fail("undo")
          })))
          expect(Option.isSome(yield* onGarmin.byId.execute(2))).toBe(true)
          yield* Effect.fail("undo")
        })))
        expect(yield* ids).toEqual([1])
        expect(yield* garmin`SELECT id FROM items`).toEqual([])
      }))

    it.effect("a failing batch fails its requests with the statement's error, and the transaction stays usable", () =>
      Effect.gen(function*() {
        const { insert } = yield* start
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* insert.execute(1)
          const exits = yield* Effect.forEach([1, 2], (id) => Effect.flip(insert.execute(id)), together)
          expect(exits.map((error) => error._tag)).toEqual(["SqlError", "SqlError"])
          yield* insert.execute(3)
        }))
        expect(yield* ids).toEqual([1, 3])
      }))

    it.effect("with request caching: a transaction reads nothing that was cached outside, and leaves nothing behind", () =>
      Effect.gen(function*() {
        const { byId, insert, sql } = yield* start
        const find = (id: number) => Effect.map(byId.execute(id), Option.map(({ owner }) => owner))
        yield* insert.execute(1)
        yield* Effect.gen(function*() {
          expect(yield* find(1)).toEqual(Option.some(1))
          yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* sql`UPDATE items SET owner = 7 WHERE id = 1`
            yield* insert.execute(5)
            expect(yield* find(1)).toEqual(Option.some(7))
            expect(yield* find(5)).toEqual(Option.some(1))
            yield* Effect.fail("undo")
          })))
          expect(yield* find(1)).toEqual(Option.some(1))
          expect(yield* find(5)).toEqual(Option.none())
          // Caching may also be switched on inside. By default one cache serves the whole process.
          yield* MainDb.withTransaction(Effect.withRequestCaching(
            Effect.zipRight(
              sql`UPDATE items SET owner = 8 WHERE id = 1`,
              Effect.map(find(1), (owner) => {
                expect(owner).toEqual(Option.some(8))
              })
            ),
            true
          ))
        }).pipe(Effect.withRequestCaching(true))
      }))
  })
})

describe("SqlSchema over one of the databases", () => {
  layer(allFour(), realClock)((it) => {
    it.effect("works in its transaction", () =>
      Effect.gen(function*() {
        const { sql } = yield* start
        const add = SqlSchema.void({
          Request: Schema.Struct({ id: Schema.Number, owner: Schema.Number }),
          execute: (item) => sql`INSERT INTO items ${sql.insert(item)}`
        })
        const find = SqlSchema.findOne({
          Request: Schema.Number,
          Result: Row,
          execute: (id) => sql`SELECT *, CONNECTION_ID() AS thread, DATABASE() AS db FROM items WHERE id = ${id}`
        })
        yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
          yield* add({ id: 1, owner: 2 })
          expect(Option.getOrThrow(yield* find(1)).thread).toBe(yield* connectionId)
          yield* Effect.fail("undo")
        })))
        expect(yield* find(1)).toEqual(Option.none())
        expect((yield* Effect.flip(add({ id: "1" as never, owner: 2 })))._tag).toBe("ParseError")
      }))

    it.effect("generic code takes the database as SqlClient", () =>
      Effect.gen(function*() {
        yield* start
        const generic = Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql.withTransaction(sql`INSERT INTO items VALUES (1, 1)`))
        yield* MainDb.use((sql) =>
          Effect.provideService(generic, SqlClient.SqlClient, sql)
        )
        expect(yield* ids).toEqual([1])
      }))
  })
})

describe("Repository.dataLoader", () => {
  layer(main({ poolSize: 4 }), realClock)((it) => {
    it.scoped("collects the requests of many fibers, outside of transactions", () =>
      Effect.gen(function*() {
        const { batches, byId, insert } = yield* start
        yield* Effect.forEach([1, 2, 3], insert.execute, together)
        const find = yield* Repository.dataLoader(byId, { window: "20 millis" })
        batches.length = 0
        const fibers = yield* Effect.forEach([1, 2, 3, 9, 1], (id) => Effect.fork(find(id)))
        const found = yield* Effect.forEach(fibers, Fiber.join)
        expect(found.map(Option.map(({ id }) => id))).toEqual(
          [Option.some(1), Option.some(2), Option.some(3), Option.none(), Option.some(1)]
        )
        expect(batches).toHaveLength(1)
        expect(yield* find(2)).toEqual(Option.map(found[1]!, (row) => ({ ...row, thread: expect.any(Number) })))
        expect(batches).toHaveLength(2)
      }))

    it.scoped("sends a batch as soon as it is full", () =>
      Effect.gen(function*() {
        const { batches, byId } = yield* start
        const find = yield* Repository.dataLoader(byId, { window: "10 minutes", maxBatchSize: 2 })
        yield* Effect.forEach([1, 2, 3, 4, 5, 6], find, { concurrency: "unbounded" })
        expect(batches.map(({ length }) => length)).toEqual([2, 2, 2])
      }))

    it.scoped("reads and writes in the open transaction: sees its rows, and leaves none after a rollback", () =>
      Effect.gen(function*() {
        const { byId, insert } = yield* start
        const find = yield* Repository.dataLoader(byId, { window: "20 millis" })
        const add = yield* Repository.dataLoader(insert, { window: "20 millis" })
        const work = Effect.gen(function*() {
          yield* add(1)
          yield* Effect.all([add(2), add(3)], together)
          const rows = yield* Effect.forEach([1, 2, 1], find, together)
          const mine = yield* connectionId
          expect(rows.map(Option.map((row) => [row.id, row.thread]))).toEqual(
            [1, 2, 1].map((id) => Option.some([id, mine]))
          )
        })
        yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(work, Effect.fail("undo"))))
        expect(yield* ids).toEqual([])
        expect(yield* find(1)).toEqual(Option.none())
        yield* MainDb.withTransaction(Effect.ignore(MainDb.withTransaction(Effect.zipRight(work, Effect.fail("undo")))))
        expect(yield* ids).toEqual([])
        yield* MainDb.withTransaction(work)
        expect(yield* ids).toEqual([1, 2, 3])
      }))

    it.scoped("loaders of two databases whose resolvers have the same tag do not mix", () =>
      Effect.gen(function*() {
        const { sql } = yield* start
        const saw: Array<string> = []
        const make = (name: string) =>
          Effect.flatMap(
            SqlResolver.void("same", {
              Request: Schema.Number,
              execute: (ids) => Effect.zipRight(Effect.sync(() => saw.push(`${name} ${ids}`)), sql`SELECT 1`)
            }),
            (resolver) => Repository.dataLoader(resolver, { window: "5 millis" })
          )
        const [a, b] = yield* Effect.all([make("a"), make("b")])
        const both = Effect.all([a(1), b(2), a(3)], together)
        yield* both
        yield* MainDb.withTransaction(both)
        expect(saw.sort()).toEqual(["a 1,3", "a 1,3", "b 2", "b 2"])
      }))

    it.scoped("a loader made inside a transaction is not bound to it", () =>
      Effect.gen(function*() {
        const { byId, insert } = yield* start
        const { add, find } = yield* MainDb.withTransaction(Effect.all({
          find: Repository.dataLoader(byId, { window: "5 millis" }),
          add: Repository.dataLoader(insert, { window: "5 millis" })
        }))
        yield* add(1)
        expect(Option.isSome(yield* find(1))).toBe(true)
      }))

    it.scoped("identical writes are all carried out, and a failure reaches everyone who waits", () =>
      Effect.gen(function*() {
        const { batches, insert } = yield* start
        const add = yield* Repository.dataLoader(insert, { window: "20 millis" })
        const errors = yield* Effect.forEach([1, 1, 2], (id) => Effect.flip(add(id)), { concurrency: "unbounded" })
        expect(batches).toEqual([[1, 1, 2]])
        expect(errors.map((error) => error._tag)).toEqual(["SqlError", "SqlError", "SqlError"])
        expect((yield* Effect.flip(add("x" as never)))._tag).toBe("ParseError")
        expect(yield* ids).toEqual([])
      }))

    it.scoped("an interrupted request leaves the batch; a batch without waiters is stopped on the server", () =>
      Effect.gen(function*() {
        const { batches, byId, sql } = yield* start
        const find = yield* Repository.dataLoader(byId, { window: "50 millis" })
        const leaver = yield* Effect.fork(find(1))
        const stayer = yield* Effect.fork(find(2))
        yield* Effect.sleep("5 millis")
        yield* Fiber.interrupt(leaver)
        expect(yield* Fiber.join(stayer)).toEqual(Option.none())
        expect(batches).toEqual([[2]])
        const began = yield* Deferred.make<void>()
        const slow = yield* SqlResolver.void("slow", {
          Request: Schema.Number,
          execute: () => Effect.zipRight(Deferred.succeed(began, undefined), sql`SELECT SLEEP(3)`)
        })
        const wait = yield* Repository.dataLoader(slow, { window: 0 })
        const fiber = yield* Effect.fork(wait(1))
        yield* Deferred.await(began)
        yield* Effect.sleep("50 millis")
        const before = performance.now()
        yield* Fiber.interrupt(fiber)
        expect(performance.now() - before).toBeLessThan(1_100)
        yield* nothingRuns(threadsOf(yield* nameOf(MainDb)), "SLEEP")
      }))

    it.effect("when its scope closes, nobody is left waiting", () =>
      Effect.gen(function*() {
        const { byId } = yield* start
        const scope = yield* Scope.make()
        const find = yield* Scope.extend(Repository.dataLoader(byId, { window: "10 minutes" }), scope)
        const waiting = yield* Effect.fork(find(1))
        yield* Effect.sleep("5 millis")
        yield* Scope.close(scope, Exit.void)
        expect(Exit.isInterrupted(yield* Fiber.await(waiting))).toBe(true)
        expect(Exit.isInterrupted(yield* Effect.exit(find(1)))).toBe(true)
      }))
  })
})
