/** Interruption of a transaction and of single statements in it. */
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { MainDb } from "../../../src/db/Database.ts"
import { main, nameOf } from "../../support/db/databases.ts"
import { nothingRuns } from "../../support/db/nothingRuns.ts"
import { numbers } from "../../support/db/numbers.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { admin, running, threadsOf } from "../../support/db/testServer.ts"
import { eventually } from "../../support/eventually.ts"
import { realClock } from "../../support/realClock.ts"
import { timed } from "../../support/timed.ts"

describe("a transaction", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), realClock)((it) => {
    it.effect("rolls back on interruption, promptly, and the statement stops on the server", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        for (const nested of [false, true]) {
          const sleep = Effect.zipRight(write(1), MainDb.use((sql) => sql`SELECT SLEEP(3)`))
          const work = MainDb.withTransaction(nested ? MainDb.withTransaction(sleep) : sleep)
          const [exit, took] = yield* timed(Effect.exit(
            Effect.timeoutFail(work, { duration: "200 millis", onTimeout: () => "late" })
          ))
          expect(exit).toEqual(Exit.fail("late"))
          expect(took).toBeGreaterThan(190)
          expect(took).toBeLessThan(1_000)
          yield* nothingRuns(threadsOf(database), "SLEEP")
          expect(yield* ids).toEqual([])
        }
        const stats = yield* settled
        expect(stats.discarded.broken, "the connection is used again").toBe(0)
      }))

    it.effect("a statement that waits for its connection leaves at once when it is interrupted, and never runs", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const late = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sleeper = yield* Effect.fork(MainDb.use((sql) => sql`SELECT SLEEP(1)`))
          yield* running(database, "SLEEP(1)")
          const waiting = yield* timed(Effect.exit(Effect.timeout(write(1), "100 millis")))
          yield* Fiber.join(sleeper)
          yield* write(2)
          return waiting
        }))
        expect(Exit.isFailure(late[0])).toBe(true)
        expect(late[1]).toBeLessThan(900)
        expect(yield* ids, "an abandoned statement never runs").toEqual([2])
      }))

    it.effect("goes on after a statement that was interrupted alone: that one is undone, the others stay", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          // Not SLEEP: on MySQL a KILL ends the SLEEP, and the rest of the statement is carried out.
          const slowly = (id: number) =>
            MainDb.use((sql) => sql.unsafe(`INSERT INTO records SELECT ${id}, COUNT(*) FROM ${numbers(100_000_000)}`))
          const slow = slowly(2)
          const [exit, took] = yield* timed(Effect.exit(Effect.timeout(slow, "150 millis")))
          expect(took).toBeLessThan(1_000)
          expect(Exit.isFailure(exit)).toBe(true)
          yield* write(3)
          yield* Effect.raceFirst(slowly(4), Effect.sleep("50 millis"))
          yield* write(5)
        }))
        expect(yield* ids).toEqual([1, 3, 5])
        yield* settled
      }))
  })
})

describe("a thousand interruptions", () => {
  layer(main({ poolSize: 8, maxOverflow: 4, poolTimeout: "10 seconds" }), realClock)((it) => {
    it.effect("leak nothing: the pool's numbers add up, and the server has no other thread for the database", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const defects: Array<string> = []
        const work = (i: number): Effect.Effect<unknown, unknown, MainDb> =>
          Effect.gen(function*() {
            const kind = yield* Random.nextIntBetween(0, 4)
            // Some milliseconds of work. Not SHA1, which MySQL 9.7 has no more, nor SLEEP: MariaDB 10.11 may never end one whose
            // KILL meets its very beginning.
            const statement = MainDb.use((sql) => sql.unsafe(`SELECT BENCHMARK(${(i % 7) * 3_000}, SHA2('x', 256))`))
            const body: Effect.Effect<unknown, unknown, MainDb> = kind === 0
              ? statement
              : kind === 1
              ? Effect.zipRight(write(i), statement)
              : kind === 2
              ? Effect.all([statement, MainDb.withTransaction(write(i)), statement], { concurrency: 3 })
              : MainDb.withTransaction(Effect.zipRight(statement, Effect.fail("undo")))
            return yield* kind === 0 ? body : MainDb.withTransaction(body)
          })
        yield* Effect.forEach(Array.from({ length: 1000 }, (_, i) => i + 1), (i) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(work(i))
            const pause = yield* Random.nextIntBetween(0, 12)
            if (pause > 3) yield* Effect.sleep(pause)
            else yield* Effect.iterate(0, { while: (n) => n < pause, body: (n) => Effect.as(Effect.yieldNow(), n + 1) })
            const exit = yield* Fiber.interrupt(fiber)
            if (Exit.isFailure(exit)) {
              for (const defect of Cause.defects(exit.cause)) defects.push(String(defect))
              for (const failure of Cause.failures(exit.cause)) {
                if (failure !== "undo") defects.push(String(failure))
              }
            }
          }), { concurrency: 40, discard: true })
        expect(defects.slice(0, 5)).toEqual([])
        const stats = yield* settled
        expect(stats.size).toBeLessThanOrEqual(12)
        // A dial whose borrower was interrupted goes on; its connection may be closed again, as one too many.
        yield* eventually(
          Effect.map(
            Effect.all([threadsOf(database), MainDb.stats]),
            ([threads, { dialling, size }]) => expect([threads.length, dialling]).toEqual([size, 0])
          ),
          "15 seconds"
        )
        const open = yield* admin(`SELECT trx_mysql_thread_id FROM information_schema.innodb_trx t
          JOIN information_schema.processlist p ON p.ID = t.trx_mysql_thread_id WHERE p.DB = '${database}'`)
        expect(open).toEqual([])
        // Interrupting BEGIN costs the connection, interrupting a statement does not.
        expect(stats.discarded.broken).toBeLessThan(100)
      }))
  })
})
