import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { GarminDb, MainDb } from "../src/db/Database.ts"
import * as Inbox from "../src/Inbox.ts"
import { garmin } from "./support/db/databases.ts"
import type { Options, Stage } from "./support/db/stage.ts"
import { withDatabase } from "./support/db/stage.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"

const test = (
  name: string,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb>,
  options: Options = {}
): void =>
  it.live(name, () =>
    Effect.flatMap(server, (at) =>
      withDatabase(at, options, (stage) =>
        Effect.gen(function*() {
          yield* MainDb.migrate(Inbox.migrations)
          yield* MainDb.use((sql) => sql`CREATE TABLE work (n INT PRIMARY KEY)`)
          yield* body(stage)
        }))))

const work = (n: number) => MainDb.use((sql) => sql`INSERT INTO work VALUES (${n})`)
const once = (id: string, options: Partial<Inbox.OnceOptions> = {}) =>
  Inbox.once(MainDb, { consumer: "c", id, ...options })

const worked = Effect.map(
  MainDb.use((sql) => sql<{ n: number }>`SELECT n FROM work ORDER BY n`),
  (rows) => rows.map(({ n }) => n)
)
const ids = Effect.map(
  MainDb.use((sql) => sql<{ id: string }>`SELECT id FROM inbox ORDER BY id`),
  (rows) => rows.map(({ id }) => id)
)

/** Waits until so many duplicates wait for their turn. */
const waiting = (stage: Stage, count: number) =>
  eventually(
    Effect.map(stage.threads, (threads) => {
      expect(threads.filter(({ info }) => info?.startsWith("INSERT INTO inbox")).length).toBe(count)
    }),
    "10 seconds"
  )

describe("Inbox.once", () => {
  test("runs once for an id of a consumer; a duplicate is none", () =>
    Effect.gen(function*() {
      expect(yield* once("a")(Effect.as(work(1), "done"))).toEqual(Option.some("done"))
      expect(yield* once("a")(Effect.as(work(2), "done"))).toEqual(Option.none())
      expect(yield* once("a", { consumer: "other" })(work(3))).toEqual(Option.some([]))
      expect(yield* once("A")(work(4))).toEqual(Option.some([]))
      expect(yield* worked).toEqual([1, 3, 4])
    }))

  test("what fails or is interrupted leaves no id, and runs again", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(once("a")(Effect.zipRight(work(1), Effect.fail("no"))))).toBe("no")
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        once("a")(Effect.zipRight(work(1), Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)))
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      expect(yield* worked).toEqual([])
      expect(yield* ids).toEqual([])
      expect(Option.isSome(yield* once("a")(work(1)))).toBe(true)
    }))

  test("a duplicate key of the effect's own tables is the effect's failure, not a duplicate message", () =>
    Effect.gen(function*() {
      yield* work(1)
      const error = yield* Effect.flip(once("a")(work(1)))
      expect(error).toMatchObject({ reason: "UniqueViolation", errno: 1062 })
      expect(yield* ids).toEqual([])
      // The effect may recover from it: then the message has taken effect.
      expect(Option.isSome(yield* once("a")(Effect.ignore(work(1))))).toBe(true)
      expect(yield* ids).toEqual(["a"])
    }))

  test("a duplicate is one in any language of the server", () =>
    MainDb.withTransaction(Effect.gen(function*() {
      yield* MainDb.use((sql) => sql`SET SESSION lc_messages = 'de_DE'`)
      expect(Option.isSome(yield* once("a")(Effect.void))).toBe(true)
      expect(yield* once("a")(Effect.void)).toEqual(Option.none())
    })))

  test("a duplicate in another unique key of the table is no duplicate message", () =>
    Effect.gen(function*() {
      yield* MainDb.use((sql) => sql`ALTER TABLE inbox ADD UNIQUE KEY only_id (id)`)
      yield* once("a")(Effect.void)
      const error = yield* Effect.flip(once("a", { consumer: "other" })(work(1)))
      expect(error).toMatchObject({ reason: "UniqueViolation" })
    }))

  test(
    "two duplicates wait for the first, which rolls back: one runs, 20 times out of 20",
    (stage) =>
      Effect.forEach(Array.from({ length: 20 }, (_, n) => n), (n) =>
        Effect.gen(function*() {
          const hold = yield* Deferred.make<void>()
          const begun = yield* Deferred.make<void>()
          const first = yield* Effect.fork(Effect.either(
            once(`id-${n}`)(
              Effect.zipRight(
                Deferred.succeed(begun, undefined),
                Effect.zipRight(Deferred.await(hold), Effect.fail("rolled back"))
              )
            )
          ))
          yield* Deferred.await(begun)
          const two = yield* Effect.fork(
            Effect.all([once(`id-${n}`)(work(n)), once(`id-${n}`)(work(n))], { concurrency: 2 })
          )
          yield* waiting(stage, 2)
          yield* Deferred.succeed(hold, undefined)
          expect(yield* Fiber.join(first)).toEqual(Either.left("rolled back"))
          const results = yield* Fiber.join(two)
          expect(results.filter(Option.isSome)).toHaveLength(1)
          expect((yield* worked).length).toBe(n + 1)
        }), { discard: true })
  )

  test("ten deliveries at once: one runs", () =>
    Effect.gen(function*() {
      const results = yield* Effect.all(Array.from({ length: 10 }, (_, n) => once("a")(work(n))), { concurrency: 10 })
      expect(results.filter(Option.isSome)).toHaveLength(1)
      expect(yield* worked).toHaveLength(1)
    }), { poolSize: 10 })

  test("a duplicate waits no longer than its timeout, and can come again", (stage) =>
    Effect.gen(function*() {
      const hold = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const first = yield* Effect.fork(
        once("a")(Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(hold)))
      )
      yield* Deferred.await(begun)
      const error = yield* Effect.flip(once("a", { timeout: "300 millis" })(work(1)))
      expect(error).toMatchObject({ _tag: "DatabaseError", reason: "LockWaitTimeout", retryable: true })
      expect(error.message).not.toContain("\"a\"")
      yield* waiting(stage, 0)
      yield* Deferred.succeed(hold, undefined)
      expect(Option.isSome(yield* Fiber.join(first))).toBe(true)
      expect(yield* once("a")(work(1))).toEqual(Option.none())
    }))

  test("all attempts of a duplicate wait no longer than its timeout together", (stage) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const first = yield* Effect.fork(once("a")(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)))
      yield* Deferred.await(begun)
      const second = yield* Effect.fork(Effect.timed(Effect.flip(once("a", { timeout: "4 seconds" })(work(1)))))
      yield* waiting(stage, 1)
      yield* Effect.sleep("3 seconds")
      const [waits] = (yield* stage.threads).filter(({ info }) => info?.startsWith("INSERT INTO inbox"))
      yield* stage.admin(`KILL ${waits!.id}`)
      const [time, error] = yield* Fiber.join(second)
      expect(error).toMatchObject({ reason: "LockWaitTimeout" })
      // The second attempt has one second, rather than four.
      expect(Duration.toSeconds(time)).toBeLessThan(6)
      yield* Fiber.interrupt(first)
    }))

  test("the effect itself may take longer than the timeout", () =>
    Effect.gen(function*() {
      const slow = once("a", { timeout: "500 millis" })(Effect.zipRight(Effect.sleep("700 millis"), work(1)))
      expect(Option.isSome(yield* slow)).toBe(true)
    }))

  test("COMMIT's answer is lost: unknown, and the next delivery sees that it took effect", (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap("COMMIT", "lose")
      expect(yield* Effect.flip(once("a")(work(1)))).toMatchObject({ reason: "CommitOutcomeUnknown" })
      expect(yield* once("a")(work(1))).toEqual(Option.none())
      expect(yield* worked).toEqual([1])
    }))

  test("COMMIT never arrives: unknown, and the next delivery runs", (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap("COMMIT", "reset")
      expect(yield* Effect.flip(once("a")(work(1)))).toMatchObject({ reason: "CommitOutcomeUnknown" })
      expect(Option.isSome(yield* once("a")(work(1)))).toBe(true)
      expect(yield* worked).toEqual([1])
    }))

  test("the connection is lost meanwhile: the whole runs again", (stage) =>
    Effect.gen(function*() {
      let runs = 0
      const body = Effect.gen(function*() {
        runs++
        yield* work(1)
        if (runs > 1) return
        yield* stage.proxy.reset
        yield* Effect.sleep("50 millis")
        yield* work(2)
      })
      expect(Option.isSome(yield* once("a")(body))).toBe(true)
      expect(runs).toBe(2)
      expect(yield* worked).toEqual([1])
      expect(yield* once("a")(body)).toEqual(Option.none())
    }))

  test("a swallowed loss of the transaction does not become a message without its work", (stage) =>
    Effect.gen(function*() {
      let runs = 0
      const result = yield* once("a", { retries: 1 })(Effect.gen(function*() {
        runs++
        yield* work(runs)
        const [row] = yield* MainDb.use((sql) => sql<{ id: number }>`SELECT CONNECTION_ID() AS id`)
        yield* stage.admin(`KILL ${row!.id}`)
        yield* Effect.ignore(Effect.zipRight(Effect.sleep("50 millis"), work(10 + runs)))
      })).pipe(Effect.either)
      expect(runs).toBe(2)
      expect(result).toMatchObject({ _tag: "Left", left: { reason: expect.stringMatching(/TransactionAborted|Lost/) } })
      expect(yield* worked).toEqual([])
      expect(yield* ids).toEqual([])
    }))

  test("in an open transaction, id and work are committed with it or not at all", () =>
    Effect.gen(function*() {
      const both = Effect.gen(function*() {
        expect(Option.isSome(yield* once("a")(work(1)))).toBe(true)
        expect(yield* once("a")(work(2))).toEqual(Option.none())
        // A duplicate does not end the transaction around it.
        yield* work(3)
      })
      yield* Effect.flip(MainDb.withTransaction(Effect.zipRight(both, Effect.fail("rolled back"))))
      expect(yield* worked).toEqual([])
      yield* MainDb.withTransaction(both)
      expect(yield* worked).toEqual([1, 3])
      expect(yield* ids).toEqual(["a"])
    }))

  test("what happens in another database is not undone", () =>
    Effect.gen(function*() {
      const other = GarminDb.use((sql) => sql`INSERT INTO other VALUES (1)`)
      yield* Effect.gen(function*() {
        yield* GarminDb.use((sql) => sql`CREATE TABLE other (n INT)`)
        yield* Effect.flip(once("a")(Effect.zipRight(other, Effect.fail("no"))))
        yield* once("a")(other)
        const rows = yield* GarminDb.use((sql) => sql`SELECT n FROM other`)
        expect(rows).toHaveLength(2)
      }).pipe(Effect.provide(garmin()))
    }))

  test("ids and consumers that the table would change are refused before anything is sent", () =>
    Effect.gen(function*() {
      const refused = (options: Partial<Inbox.OnceOptions>) =>
        Effect.map(Effect.flip(once("a", options)(work(1))), (error) => {
          expect(error).toMatchObject({ _tag: "DatabaseError", reason: "InvalidParameter", retryable: false })
        })
      for (const id of ["", "x".repeat(129), "with space", "a ", "é", 7 as never, undefined as never]) {
        yield* refused({ id })
      }
      yield* refused({ consumer: "x".repeat(65) })
      yield* refused({ retries: 0 })
      expect(yield* worked).toEqual([])
      expect(Option.isSome(yield* once("x".repeat(128), { consumer: "y".repeat(64) })(work(1)))).toBe(true)
    }))

  test("a missing table is named, with what to do", () =>
    Effect.gen(function*() {
      yield* MainDb.use((sql) => sql`DROP TABLE inbox`)
      const error = yield* Effect.flip(once("a")(work(1)))
      expect(error).toMatchObject({ reason: "UnknownObject", hint: expect.stringContaining("Inbox.migration") })
    }))
})

describe("Inbox.dedupe", () => {
  test("is `once` for the ids that a consumer gives", () =>
    Effect.gen(function*() {
      const { id, once } = Inbox.dedupe(MainDb, { consumer: "c" })
      expect(id).toBeUndefined()
      expect(Option.isSome(yield* once("m1", work(1)))).toBe(true)
      expect(yield* once("m1", work(2))).toEqual(Option.none())
      const byKey = Inbox.dedupe(MainDb, { consumer: "c", id: ({ messageGroupId }) => messageGroupId ?? "" })
      expect(byKey.id?.({ messageGroupId: "g" } as never)).toBe("g")
    }))
})

describe("Inbox.cleanUp", () => {
  const fill = (count: number, days: number) =>
    MainDb.use((sql) =>
      sql`INSERT INTO inbox ${
        sql.insert(Array.from({ length: count }, (_, n) => ({
          consumer: "c",
          id: `${days}-${n}`,
          at: new Date(Date.now() - days * 86_400_000)
        })))
      }`
    )

  test("deletes what is old, in steps, and leaves the rest", () =>
    Effect.gen(function*() {
      yield* fill(250, 16)
      yield* fill(20, 14)
      expect(yield* Inbox.cleanUp(MainDb, { stepSize: 100 })).toBe(250)
      expect(yield* ids).toHaveLength(20)
      expect(yield* Inbox.cleanUp(MainDb)).toBe(0)
      expect(yield* Inbox.cleanUp(MainDb, { olderThan: "1 day" })).toBe(20)
    }))

  test("is in no transaction of the caller, which would hold the locks of all steps", () =>
    Effect.gen(function*() {
      yield* fill(25, 16)
      const within = Effect.zipLeft(Inbox.cleanUp(MainDb, { stepSize: 10 }), work(1))
      const rolledBack = MainDb.withTransaction(Effect.flatMap(within, (count) => Effect.fail(count)))
      expect(yield* Effect.flip(rolledBack)).toBe(25)
      expect(yield* ids).toEqual([])
      expect(yield* worked).toEqual([])
    }))

  test("waits for no id that is being written, and keeps none from being written", () =>
    Effect.gen(function*() {
      for (const count of [1, 10, 300]) {
        yield* fill(count, 16)
        const written = yield* Deferred.make<void>()
        const cleaned = yield* Deferred.make<void>()
        const open = yield* Effect.fork(
          once(`open-${count}`)(
            Effect.zipRight(Deferred.succeed(written, undefined), Effect.asVoid(Deferred.await(cleaned)))
          )
        )
        yield* Deferred.await(written)
        expect(yield* Inbox.cleanUp(MainDb, { stepSize: 100 })).toBe(count)
        yield* Deferred.succeed(cleaned, undefined)
        yield* Fiber.join(open)
      }
      expect(yield* ids).toEqual(["open-1", "open-10", "open-300"])
    }))

  test("several at once delete each row once, while ids are written", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 10; n++) yield* fill(200, 20 + n)
      const cleaners = yield* Effect.fork(Effect.all(
        Array.from({ length: 4 }, () => Inbox.cleanUp(MainDb, { stepSize: 50 })),
        { concurrency: 4 }
      ))
      yield* Effect.forEach(Array.from({ length: 40 }, (_, n) => n), (n) => once(`new-${n}`)(work(n)), {
        concurrency: 2
      })
      const counts = yield* Fiber.join(cleaners)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2_000)
      expect(yield* ids).toHaveLength(40)
    }), { poolSize: 8 })

  test("refuses an age that would delete everything", () =>
    Effect.gen(function*() {
      yield* once("a")(Effect.void)
      for (const olderThan of [0, -1, Infinity, "100000 days"] as const) {
        expect(yield* Effect.flip(Inbox.cleanUp(MainDb, { olderThan }))).toMatchObject({ reason: "InvalidParameter" })
      }
      expect(yield* Effect.flip(Inbox.cleanUp(MainDb, { stepSize: 0 }))).toMatchObject({ reason: "InvalidParameter" })
      expect(yield* ids).toEqual(["a"])
    }))
})

describe("the table", () => {
  test("fits as the migration made it, and what does not fit is named", () =>
    Effect.gen(function*() {
      yield* Inbox.check(MainDb)
      yield* MainDb.use((sql) => sql`ALTER TABLE inbox MODIFY id VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL`)
      const short = yield* Effect.flip(Inbox.check(MainDb))
      expect(short).toMatchObject({ _tag: "ConfigurationError", reason: "InvalidSettings" })
      expect(short.message).toContain("id of less than 128 characters")
      yield* MainDb.use((sql) => sql`ALTER TABLE inbox MODIFY id VARCHAR(128) CHARACTER SET ascii NOT NULL`)
      expect((yield* Effect.flip(Inbox.check(MainDb))).message).toContain("collation")
      yield* MainDb.use((sql) => sql`DROP TABLE inbox`)
      const missing = yield* Effect.flip(Inbox.check(MainDb))
      expect(missing).toMatchObject({ reason: "NotConfigured", problems: [{ setting: "table inbox" }] })
    }))
})
