/** Waiting for a connection: deadlines, order and interruption. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { vi } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { databaseError } from "../../support/db/errors.ts"
import { fault, inUse, sleep } from "../../support/db/faults.ts"
import type { Options } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

describe("waiting", () => {
  const one: Options = { poolSize: 1, maxOverflow: 0 }

  /** A statement that keeps the only connection for so many seconds. */
  const hold = (seconds: number) => Effect.zipLeft(Effect.fork(sleep(seconds)), inUse(1))

  fault(
    "12 exhaustion: the waiter fails at its deadline, with the pool's counts",
    { ...one, poolTimeout: "200 millis" },
    () =>
      Effect.gen(function*() {
        const holder = yield* hold(0.6)
        const [error, took] = yield* timed(Effect.flip(connectionId))
        expect(error).toMatchObject({ reason: "PoolTimeout", retryable: true })
        expect(error.message).toContain("200 ms (pool size 1, overflow 0; 1 active, 0 idle, 0 dialling, 1 waiting)")
        expect(took).toBeLessThan(950)
        yield* Fiber.join(holder)
      })
  )

  fault("12 exhaustion while the server is unreachable: the error has that as its cause", {
    ...one,
    maxOverflow: 1,
    poolTimeout: "200 millis"
  }, ({ proxy }) =>
    Effect.gen(function*() {
      const holder = yield* hold(0.6)
      yield* proxy.refuse
      const error = yield* Effect.flip(connectionId)
      expect(error).toMatchObject({ reason: "PoolTimeout", cause: { reason: "Unreachable" } })
      yield* proxy.accept
      yield* Fiber.join(holder)
    }))

  fault(
    "13 a waiter is interrupted: it leaves the queue, and the order of the others is kept",
    one,
    () =>
      Effect.gen(function*() {
        const order: Array<number> = []
        const holder = yield* hold(0.2)
        const waiters: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
        for (let i = 0; i < 5; i++) {
          waiters.push(yield* Effect.fork(Effect.tap(connectionId, () => Effect.sync(() => order.push(i)))))
          yield* eventually(Effect.map(MainDb.stats, ({ waiting }) => expect(waiting).toBe(i + 1)))
        }
        const [, took] = yield* timed(Fiber.interrupt(waiters[2]!))
        expect(took).toBeLessThan(650)
        expect((yield* MainDb.stats).waiting).toBe(4)
        yield* Fiber.join(holder)
        yield* Fiber.awaitAll(waiters)
        expect(order).toEqual([0, 1, 3, 4])
      })
  )

  fault(
    "14 interruption races the hand-off: no connection is lost, and no interrupted statement runs later",
    { poolSize: 2, maxOverflow: 1 },
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (id INT PRIMARY KEY)`)
        let done = 0
        yield* Effect.forEach(
          Array.from({ length: 400 }, (_, i) => i),
          (i) =>
            MainDb.use((sql) => sql`INSERT INTO t VALUES (${i})`).pipe(
              Effect.tap(() => Effect.sync(() => done++)),
              Effect.timeoutOption(`${(i * 7) % 23} millis`)
            ),
          { concurrency: 20 }
        )
        const rows = yield* admin(`SELECT COUNT(*) AS count FROM ${database}.t`)
        yield* Effect.sleep("100 millis")
        expect(yield* admin(`SELECT COUNT(*) AS count FROM ${database}.t`)).toEqual(rows)
        // An interrupted INSERT may have been carried out; one that was reported as done is there.
        expect(rows[0]!["count"]).toBeGreaterThanOrEqual(done)
        expect(yield* MainDb.stats).toMatchObject({ active: 0, waiting: 0 })
      })
  )

  fault(
    "32 a nested acquire when all connections are in use: fails at its deadline",
    { ...one, poolTimeout: "200 millis" },
    () =>
      Effect.gen(function*() {
        const nested = MainDb.use((sql) => Effect.scoped(Effect.zipRight(sql.reserve, connectionId)))
        const [error, took] = yield* timed(Effect.flip(nested))
        expect(error).toMatchObject({ reason: "PoolTimeout" })
        expect(took).toBeLessThan(1_000)
      })
  )

  fault("31 the clock is set back: deadlines and ages keep their length", {
    ...one,
    poolTimeout: "200 millis",
    poolRecycle: "300 millis"
  }, () =>
    Effect.gen(function*() {
      const id = yield* connectionId
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const real = Date.now
          return vi.spyOn(Date, "now").mockImplementation(() => real.call(Date) - 3_600_000)
        }),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const holder = yield* hold(0.4)
      const [error, took] = yield* timed(Effect.flip(connectionId))
      expect(error).toMatchObject({ reason: "PoolTimeout" })
      expect(took).toBeLessThan(950)
      yield* Fiber.join(holder)
      expect(yield* connectionId).not.toBe(id)
    }))

  fault(
    "58 a refused statement of a transaction takes back nothing but its own request",
    { ...one, poolTimeout: "1 second" },
    () =>
      Effect.gen(function*() {
        const holder = yield* hold(1.3)
        const [first, second] = yield* MainDb.withTransaction(Effect.all([
          Effect.exit(connectionId),
          Effect.delay(Effect.exit(connectionId), "700 millis")
        ], { concurrency: 2 }))
        expect(databaseError(first)).toMatchObject({ reason: "PoolTimeout" })
        expect(Exit.isSuccess(second)).toBe(true)
        yield* Fiber.join(holder)
      })
  )
})
