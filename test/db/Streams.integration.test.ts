import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { MainDb } from "../../src/db/Database.ts"
import { connectionId } from "../support/db/connectionId.ts"
import { numbers } from "../support/db/numbers.ts"
import { type Options, type Stage, withDatabase } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"
import { protocols } from "../support/db/throughProxy.ts"
import { eventually } from "../support/eventually.ts"
import { timed } from "../support/timed.ts"

const MEGABYTE = 1024 * 1024

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** The bytes that this process holds on to. */
const held = Effect.sync(() => {
  collectGarbage()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

/**
 * Rows 1, 2, 3 … of about so many bytes each, made by the server as they are read. When a stream is left early, what the
 * sockets hold, some megabytes, is read to its end: that takes longer with many small rows than with few large ones.
 */
const rows = (count: number, bytes = 1) =>
  Stream.unwrap(Effect.map(MainDb, (sql) =>
    Stream.map(
      sql.unsafe<{ n: number }>(`SELECT seq AS n, REPEAT('x', ${bytes}) AS filling FROM ${numbers(count)}`).stream,
      ({ n }) => ({ n: Number(n) })
    )))

const test = (
  name: string,
  options: Options,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
) => it.live(name, () => Effect.flatMap(server, (at) => withDatabase(at, options, body)))

const one: Options = { poolSize: 1, maxOverflow: 0 }

for (const preparedStatements of protocols) {
  describe(`a stream of the ${preparedStatements ? "binary" : "text"} protocol`, () => {
    const options: Options = { ...one, preparedStatements }

    test("gives every row once, in order", options, () =>
      Effect.gen(function*() {
        const seen = yield* Stream.runFold(rows(150_000), { last: 0, wrong: 0 }, ({ last, wrong }, { n }) => ({
          last: n,
          wrong: wrong + (n === last + 1 ? 0 : 1)
        }))
        expect(seen).toEqual({ last: 150_000, wrong: 0 })
        expect(yield* MainDb.stats).toMatchObject({ opened: 1, active: 0 })
      }))

    test("holds back the server while its reader is slow", options, ({ proxy }) =>
      Effect.gen(function*() {
        // A gigabyte, of which no more may arrive than the sockets on both sides of the proxy hold.
        const seen = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const reader = yield* Effect.fork(
          rows(1_000_000, 1_000).pipe(
            Stream.tap(({ n }) =>
              n === 1 ? Effect.zipRight(Deferred.succeed(seen, undefined), Deferred.await(go)) : Effect.void
            ),
            Stream.take(100_000),
            Stream.runCount
          )
        )
        yield* Deferred.await(seen)
        yield* Effect.sleep("300 millis")
        const stalled = yield* proxy.delivered
        yield* Effect.sleep("300 millis")
        expect(yield* proxy.delivered).toBe(stalled)
        expect(stalled).toBeLessThan(40 * MEGABYTE)
        yield* Deferred.succeed(go, undefined)
        expect(yield* Fiber.join(reader)).toBe(100_000)
      }))

    test("needs no more memory for more rows", options, () =>
      Effect.gen(function*() {
        /** How much more is held while so many rows pass than before the first. */
        const growth = (count: number) =>
          Effect.gen(function*() {
            const before = yield* held
            const most = yield* Stream.runFoldEffect(rows(count, 1_000), before, (most, { n }) =>
              n % (count / 5) === 1
                ? Effect.map(held, (now) => Math.max(most, now))
                : Effect.succeed(most))
            return most - before
          })
        const few = 40_000
        const many = 4 * few
        // What is loaded and compiled at first use is no growth.
        yield* growth(few)
        const more = (yield* growth(many)) - (yield* growth(few))
        // Held in full, the rows between would make three times as much of a difference.
        expect(more).toBeLessThan(few * 1_000)
      }))

    test("ends early and promptly, and the connection is used again", options, () =>
      Effect.gen(function*() {
        const id = yield* connectionId
        for (const wanted of [1, 10, 1_000]) {
          const [taken, took] = yield* timed(Stream.runCollect(Stream.take(rows(10_000_000, 1_000), wanted)))
          expect(Chunk.size(taken)).toBe(wanted)
          expect(took).toBeLessThan(2_000)
        }
        expect(yield* connectionId).toBe(id)
      }))

    test("ends as its reader fails", options, () =>
      Effect.gen(function*() {
        const id = yield* connectionId
        const [error, took] = yield* timed(Effect.flip(Stream.runForEach(rows(10_000_000, 1_000), ({ n }) =>
          n === 5_000 ? Effect.fail("the reader") : Effect.void)))
        expect(error).toBe("the reader")
        expect(took).toBeLessThan(2_000)
        expect(yield* connectionId).toBe(id)
      }))

    test("is interrupted promptly, running or waiting for a slow reader", options, () =>
      Effect.gen(function*() {
        const id = yield* connectionId
        for (const pause of ["1 millis", "10 seconds"] as const) {
          const [exit, took] = yield* timed(
            Effect.exit(
              Effect.timeout(Stream.runForEach(rows(10_000_000, 1_000), () => Effect.sleep(pause)), "200 millis")
            )
          )
          expect(Exit.isFailure(exit)).toBe(true)
          expect(took).toBeLessThan(2_000)
          expect(yield* connectionId).toBe(id)
        }
      }))

    test(
      "gives the rows that came before a failure of the server, then the failure",
      options,
      () =>
        Effect.gen(function*() {
          const id = yield* connectionId
          let seen = 0
          const failing = Stream.unwrap(
            Effect.map(MainDb, (sql) =>
              sql.unsafe(
                `SELECT seq AS n, IF(seq = 50000, (SELECT 1 UNION SELECT 2), 1) AS x FROM ${numbers(100_000)}`
              ).stream)
          )
          const error = yield* Effect.flip(
            MainDb.use(() => Stream.runForEach(failing, () => Effect.sync(() => seen++)))
          )
          expect(error).toMatchObject({ _tag: "DatabaseError", errno: 1242 })
          expect(seen).toBe(49_999)
          expect(yield* connectionId).toBe(id)
        })
    )

    test("refuses what cannot be sent", options, () =>
      Effect.gen(function*() {
        const refused = (text: string, params: ReadonlyArray<unknown> = []) =>
          Effect.flip(MainDb.use((sql) => Stream.runDrain(sql.unsafe(text, params).stream)))
        expect(yield* refused("SELEKT 1")).toMatchObject({ reason: "Syntax" })
        expect(yield* refused("SELECT ? AS x", [undefined])).toMatchObject({ reason: "InvalidParameter" })
        expect(yield* MainDb.withTransaction(refused("SELECT ? AS x", [Number.NaN]))).toMatchObject({
          reason: "InvalidParameter"
        })
      }))
  })
}

describe("the connection of a stream", () => {
  test("is not misled by column names", one, () =>
    Effect.gen(function*() {
      const named = MainDb.use((sql) =>
        Stream.runCollect(sql.unsafe(`SELECT 0 AS serverStatus, 1 AS affectedRows FROM ${numbers(3)}`).stream)
      )
      expect(Chunk.size(yield* named)).toBe(3)
      yield* MainDb.withTransaction(Effect.zipRight(
        MainDb.use((sql) => sql`SELECT 0 AS serverStatus`),
        named
      ))
    }))

  test("is borrowed for the first row, and given back after the last", one, () =>
    Effect.gen(function*() {
      const stream = rows(10)
      expect(yield* MainDb.stats).toMatchObject({ size: 0 })
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(stream)
        expect(yield* MainDb.stats).toMatchObject({ size: 0 })
        yield* pull
        yield* Effect.option(pull)
        yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(0)))
      }))
    }))

  test("is not kept by a stream that is interrupted while it waits for it", one, () =>
    Effect.gen(function*() {
      const holder = yield* Effect.fork(MainDb.use((sql) => sql`SELECT SLEEP(0.3)`))
      yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(1)))
      const [, took] = yield* timed(Effect.exit(Effect.timeout(Stream.runDrain(rows(10)), "100 millis")))
      expect(took).toBeLessThan(800)
      expect(yield* MainDb.stats).toMatchObject({ active: 1, waiting: 0 })
      yield* Fiber.join(holder)
    }))

  test("serves many streams at once", { poolSize: 4, maxOverflow: 4 }, () =>
    Effect.gen(function*() {
      const counts = yield* Effect.all(
        Array.from({ length: 12 }, (_, i) =>
          Stream.runCount(i % 3 === 0 ? Stream.take(rows(1_000_000), 500) : rows(20_000))),
        { concurrency: "unbounded" }
      )
      expect(counts).toEqual(Array.from({ length: 12 }, (_, i) =>
        i % 3 === 0 ? 500 : 20_000))
    }))

  test(
    "a stream within a stream has a connection of its own",
    { poolSize: 2, maxOverflow: 0 },
    () =>
      Effect.gen(function*() {
        const pairs = yield* Stream.runCount(Stream.flatMap(rows(20), () => rows(100)))
        expect(pairs).toBe(2_000)
      })
  )

  for (const how of ["reset", "finish"] as const) {
    test(`lost in the middle (${how}): a typed error at once`, one, ({ proxy }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          MainDb.use(() =>
            Stream.runForEach(rows(10_000_000, 1_000), ({ n }) => n === 2_000 ? proxy[how] : Effect.void)
          )
        )
        expect(error).toMatchObject({ _tag: "DatabaseError", reason: "ConnectionLost" })
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
      }))
  }

  test("lost while its reader is slow: the reader gets the error", one, ({ proxy }) =>
    Effect.gen(function*() {
      const [error, took] = yield* timed(Effect.flip(MainDb.use(() =>
        Stream.runForEach(rows(10_000_000, 1_000), ({ n }) =>
          n === 1 ? Effect.zipRight(Effect.delay(proxy.reset, "100 millis"), Effect.sleep("100 millis")) : Effect.void)
      )))
      expect(error).toMatchObject({ reason: "ConnectionLost" })
      expect(took).toBeLessThan(1_500)
    }))
})

describe("a stream in a transaction", () => {
  test(
    "sees the rows of the transaction, and leaves the connection to the next statement",
    one,
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (n INT PRIMARY KEY)`)
        yield* MainDb.withTransaction(Effect.gen(function*() {
          const sql = yield* MainDb
          yield* sql.unsafe(`INSERT INTO t SELECT seq FROM ${numbers(2_000)}`)
          expect(yield* Stream.runCount(sql`SELECT n FROM t`.stream)).toBe(2_000)
          const [some, took] = yield* timed(
            Stream.runCollect(Stream.take(sql.unsafe(`SELECT n FROM t, ${numbers(10_000)}`).stream, 10))
          )
          expect(Chunk.size(some)).toBe(10)
          expect(took).toBeLessThan(2_000)
          yield* sql`INSERT INTO t VALUES (3000)`
        }))
        expect(yield* admin(`SELECT COUNT(*) AS count FROM ${database}.t`)).toEqual([{ count: 2_001 }])
      })
  )

  test(
    "is interrupted with the transaction, promptly, and everything is rolled back",
    one,
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (n INT PRIMARY KEY)`)
        const id = yield* connectionId
        const work = MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`)
          yield* Stream.runForEach(rows(10_000_000, 1_000), () => Effect.sleep("10 millis"))
        }))
        const [, took] = yield* timed(Effect.exit(Effect.timeout(work, "200 millis")))
        expect(took).toBeLessThan(2_000)
        expect(yield* admin(`SELECT COUNT(*) AS count FROM ${database}.t`)).toEqual([{ count: 0 }])
        expect(yield* connectionId).toBe(id)
      })
  )

  test(
    "makes other statements of the transaction wait, up to their deadline",
    { ...one, poolTimeout: "200 millis" },
    () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(MainDb.withTransaction(
          Stream.runForEach(rows(10_000_000, 1_000), () => connectionId)
        ))
        expect(error).toMatchObject({ reason: "PoolTimeout" })
      })
  )

  test("is closed at the end of the transaction if its reader has stopped", one, () =>
    Effect.gen(function*() {
      const id = yield* connectionId
      const fiber = yield* MainDb.withTransaction(Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkDaemon(Effect.exit(Stream.runForEach(rows(10_000_000, 1_000), () =>
          Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))))
        yield* Deferred.await(started)
        return yield* Effect.fail(fiber)
      })).pipe(Effect.flip)
      expect(yield* connectionId).toBe(id)
      yield* Fiber.interrupt(fiber as Fiber.Fiber<unknown, unknown>)
    }))
})
