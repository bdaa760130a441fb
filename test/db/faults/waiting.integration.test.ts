/** FACTS of trusted pools: the faults of waiting, of holding, and of the end. Numbered as there. */
import { describe, expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { vi } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId, ending, fault, inUse, sleep } from "../../support/db/faults.ts"
import { eventually, layerOf, type Options, timed } from "../../support/db/stage.ts"

describe("waiting", () => {
  const one: Options = { poolSize: 1, maxOverflow: 0 }

  fault(
    "12 exhaustion: the waiter's deadline, with the counts",
    { ...one, poolTimeout: "200 millis" },
    () =>
      Effect.gen(function*() {
        const holder = yield* Effect.fork(sleep(0.6))
        yield* inUse(1)
        const [error, took] = yield* timed(Effect.flip(connectionId))
        expect(error).toMatchObject({ reason: "PoolTimeout", retryable: true })
        expect(error.message).toContain("200 ms (pool size 1, overflow 0; 1 active, 0 idle, 0 dialling, 1 waiting)")
        expect(took).toBeLessThan(950)
        yield* Fiber.join(holder)
      })
  )

  fault("12 exhaustion while the server is away: the error has the cause", {
    ...one,
    maxOverflow: 1,
    poolTimeout: "200 millis"
  }, ({ proxy }) =>
    Effect.gen(function*() {
      const holder = yield* Effect.fork(sleep(0.6))
      yield* inUse(1)
      yield* proxy.refuse
      const error = yield* Effect.flip(connectionId)
      expect(error).toMatchObject({ reason: "PoolTimeout", cause: { reason: "Unreachable" } })
      yield* proxy.accept
      yield* Fiber.join(holder)
    }))

  fault("13 waiter interrupted: removed, and the order is kept", one, () =>
    Effect.gen(function*() {
      const order: Array<number> = []
      const holder = yield* Effect.fork(sleep(0.2))
      yield* inUse(1)
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
    }))

  fault(
    "14 interrupt racing the hand-off: no connection is lost, no ghost runs",
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
        // What was interrupted may have been done all the same; what was reported is there.
        expect(rows[0]!["count"]).toBeGreaterThanOrEqual(done)
        expect(yield* MainDb.stats).toMatchObject({ active: 0, waiting: 0 })
      })
  )

  fault(
    "32 nested acquire at the cap: a deadline error, not a hang",
    { ...one, poolTimeout: "200 millis" },
    () =>
      Effect.gen(function*() {
        const nested = MainDb.use((sql) => Effect.scoped(Effect.zipRight(sql.reserve, connectionId)))
        const [error, took] = yield* timed(Effect.flip(nested))
        expect(error).toMatchObject({ reason: "PoolTimeout" })
        expect(took).toBeLessThan(1_000)
      })
  )

  fault("31 clock set back: deadlines and ages keep their length", {
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
      const holder = yield* Effect.fork(sleep(0.4))
      yield* inUse(1)
      const [error, took] = yield* timed(Effect.flip(connectionId))
      expect(error).toMatchObject({ reason: "PoolTimeout" })
      expect(took).toBeLessThan(950)
      yield* Fiber.join(holder)
      expect(yield* connectionId).not.toBe(id)
    }))
})

describe("holding", () => {
  fault("23 recycle while in use: the statement is left alone, the connection goes when it is back", {
    poolRecycle: "200 millis"
  }, () =>
    Effect.gen(function*() {
      const [id, other] = yield* MainDb.withTransaction(
        Effect.all([connectionId, Effect.delay(connectionId, "400 millis")])
      )
      expect(other).toBe(id)
      expect(yield* MainDb.stats).toMatchObject({ size: 0, recycled: 1 })
      expect(yield* connectionId).not.toBe(id)
    }))

  ending("24 leak: logged once, with the borrower's span", ({ url }) =>
    Effect.gen(function*() {
      const logged: Array<{ readonly message: unknown; readonly annotations: unknown }> = []
      const logger = Logger.make(({ annotations, message }) => {
        logged.push({ message: String(message), annotations: Object.fromEntries(annotations) })
      })
      yield* MainDb.withTransaction(Effect.delay(connectionId, "400 millis")).pipe(
        Effect.withSpan("the handler"),
        Effect.provide(layerOf(url, { leakThreshold: "100 millis" })),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const leaks = logged.filter(({ message }) => String(message).includes("has been held for"))
      expect(leaks).toHaveLength(1)
      expect(leaks[0]!.annotations).toMatchObject({ database: "MainDb", borrowedBy: "the handler" })
    }))

  fault("30 use after release: refused, never on the connection of another", {
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: "300 millis"
  }, () =>
    Effect.gen(function*() {
      const kept = yield* MainDb.use((sql) => Effect.scoped(sql.reserve))
      yield* connectionId
      const [error, took] = yield* timed(Effect.flip(kept.execute("SELECT 1", [], undefined)))
      expect(error.cause).toMatchObject({ _tag: "DatabaseError" })
      expect(took).toBeLessThan(700)
    }))

  fault("30 use after the end of a transaction: refused", {}, () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const late = yield* MainDb.withTransaction(
        Effect.zipLeft(Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), connectionId)), connectionId)
      )
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Effect.flip(Fiber.join(late))).toMatchObject({ reason: "TransactionClosed" })
    }))
})

describe("the end", () => {
  const opened = (url: string, options: Options = {}) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerOf(url, options), scope)
      return { context, close: Scope.close(scope, Exit.void) }
    })

  ending("25 shutdown in use: waits for what runs", ({ url }) =>
    Effect.gen(function*() {
      const { close, context } = yield* opened(url)
      const running = yield* Effect.fork(Effect.provide(sleep(0.4), context))
      yield* Effect.provide(inUse(1), context)
      yield* Effect.sleep("50 millis")
      const [, took] = yield* timed(close)
      expect(took).toBeGreaterThan(200)
      expect(took).toBeLessThan(1_300)
      expect(yield* Fiber.join(running)).toHaveLength(1)
      expect(yield* Effect.flip(Effect.provide(connectionId, context))).toMatchObject({ reason: "PoolClosed" })
    }))

  ending("25 shutdown in use: to a deadline, then cuts", ({ url }) =>
    Effect.gen(function*() {
      const { close, context } = yield* opened(url)
      const running = yield* Effect.fork(Effect.provide(sleep(6), context))
      yield* Effect.provide(inUse(1), context)
      const [, took] = yield* timed(close)
      expect(took).toBeLessThan(5_500)
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ reason: "ConnectionLost" })
    }))

  ending("26 shutdown with waiters and dials: all are answered at once", ({ proxy, url }) =>
    Effect.gen(function*() {
      yield* proxy.welcome("silent")
      const { close, context } = yield* opened(url, { connectTimeout: "10 seconds", poolTimeout: "10 seconds" })
      const waiters = yield* Effect.fork(
        Effect.all(Effect.replicate(Effect.exit(Effect.provide(connectionId, context)), 20), { concurrency: 20 })
      )
      yield* eventually(Effect.map(Effect.provide(MainDb.stats, context), (stats) =>
        expect(stats).toMatchObject({ dialling: 4, waiting: 20 })))
      const [, took] = yield* timed(close)
      expect(took).toBeLessThan(800)
      for (const exit of yield* Fiber.join(waiters)) {
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ reason: "PoolClosed" })
      }
    }))
})
