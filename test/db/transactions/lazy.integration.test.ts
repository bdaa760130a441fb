/** A transaction borrows its connection and begins at its first statement. */
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { GarminDb, MainDb } from "../../../src/db/Database.ts"
import { garmin, main } from "../../support/db/databases.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { layerOf } from "../../support/db/stage.ts"
import { urlOf } from "../../support/db/testServer.ts"
import { realClock } from "../../support/realClock.ts"

const active = Effect.map(MainDb.stats, (stats) => stats.active)

/** How many statements of that kind this session has sent. */
const sent = (command: string) =>
  MainDb.use((sql) => sql.unsafe<{ Value: string }>(`SHOW SESSION STATUS LIKE 'Com_${command}'`).unprepared).pipe(
    Effect.map(([row]) => Number(row!.Value))
  )

describe("a transaction", () => {
  layer(main({ poolSize: 1, maxOverflow: 0, poolTimeout: 1_000 }), realClock)("that is lazy", (it) => {
    it.effect("takes no connection without a statement, also when it is nested, retried or fails", () =>
      Effect.gen(function*() {
        yield* setUp
        const { opened } = yield* MainDb.stats
        const holder = yield* Deferred.make<void>()
        const holding = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(MainDb.withTransaction(
          write(1).pipe(Effect.zipRight(Deferred.succeed(holding, undefined)), Effect.zipRight(Deferred.await(holder)))
        ))
        yield* Deferred.await(holding)
        // The only connection is in use, and none of these waits for it.
        expect(yield* MainDb.withTransaction(Effect.succeed("value"), { isolation: "SERIALIZABLE" })).toBe("value")
        expect(yield* MainDb.withTransaction(MainDb.withTransaction(Effect.succeed("nested")))).toBe("nested")
        expect(yield* reasonOf(MainDb.withTransaction(Effect.fail("mine"), { retries: 3 }))).toBe("mine")
        expect(yield* reasonOf(MainDb.withTransaction(MainDb.withTransaction(Effect.fail("mine"))))).toBe("mine")
        yield* Deferred.succeed(holder, undefined)
        yield* Fiber.join(fiber)
        expect(yield* settled).toMatchObject({ opened, timeouts: 0 })
      }))

    it.effect("holds no connection during the work before the first statement", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          expect(yield* active).toBe(0)
          yield* write(1)
          expect(yield* active).toBe(1)
        }))
        expect(yield* ids).toEqual([1])
      }))

    it.effect("sets a savepoint only for a nested one with a statement, and the outer ones first", () =>
      Effect.gen(function*() {
        yield* setUp
        const before = yield* sent("savepoint")
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.withTransaction(Effect.void)
          yield* Effect.ignore(MainDb.withTransaction(Effect.fail("undo")))
          // Nothing has been sent when the innermost level begins the transaction and sets three savepoints.
          yield* Effect.ignore(MainDb.withTransaction(
            MainDb.withTransaction(Effect.zipRight(MainDb.withTransaction(write(1)), Effect.fail("undo")))
          ))
          yield* write(2)
        }))
        expect(yield* ids).toEqual([2])
        expect((yield* sent("savepoint")) - before).toBe(3)
      }))

    it.effect("its first statement fails with PoolTimeout where no connection is free, and a later one may succeed", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* MainDb.withTransaction(Effect.gen(function*() {
          expect(
            yield* Effect.scoped(Effect.zipRight(
              MainDb.outside(sql.reserve),
              reasonOf(write(1))
            ))
          ).toBe("PoolTimeout")
          yield* write(2)
        }))
        expect(yield* ids).toEqual([2])
      }))

    it.effect("an interrupted first statement leaves the queue of the pool, and the transaction can still begin", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            yield* MainDb.outside(sql.reserve)
            const fiber = yield* Effect.fork(write(1))
            yield* Effect.sleep("20 millis")
            yield* Fiber.interrupt(fiber)
            expect((yield* MainDb.stats).waiting).toBe(0)
          }))
          yield* write(2)
        }))
        expect(yield* ids).toEqual([2])
        yield* settled
      }))

    it.effect("a forked statement that still waits for a connection at the end is refused", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* Effect.scoped(Effect.gen(function*() {
          yield* sql.reserve
          const fiber = yield* MainDb.withTransaction(
            Effect.zipLeft(Effect.forkDaemon(reasonOf(write(1))), Effect.sleep("20 millis"))
          )
          expect(yield* Fiber.join(fiber)).toBe("TransactionClosed")
          expect((yield* MainDb.stats).waiting).toBe(0)
        }))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("a forked nested transaction cannot begin after the end of the one around it", () =>
      Effect.gen(function*() {
        yield* setUp
        const go = yield* Deferred.make<void>()
        const fiber = yield* MainDb.withTransaction(
          Effect.zipLeft(
            Effect.forkDaemon(reasonOf(MainDb.withTransaction(Effect.zipRight(Deferred.await(go), write(1))))),
            Effect.sleep("20 millis")
          )
        ).pipe(Effect.timeout("2 seconds"))
        yield* Deferred.succeed(go, undefined)
        // A join would take over the context of the fiber, and with it the transaction that has ended.
        expect(yield* Fiber.await(fiber)).toEqual(Exit.succeed("TransactionClosed"))
        expect(yield* ids).toEqual([])
        yield* settled
      }))
  })

  layer(Layer.merge(main({ poolSize: 2, maxOverflow: 0 }), garmin()), realClock)(
    "of two databases",
    (it) => {
      it.effect("begins only where a statement runs", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* GarminDb.withTransaction(MainDb.withTransaction(write(1)))
          expect(yield* ids).toEqual([1])
          expect((yield* GarminDb.stats).opened).toBe(0)
        }))
    }
  )

  layer(main({ poolSize: 1, maxOverflow: 0 }), realClock)("on a custom scheduler", (it) => {
    it.effect("48 has no moment in which it could lose its connection, wherever its fiber yields", () =>
      Effect.gen(function*() {
        yield* setUp
        // With much fewer, no fiber of Effect gets anywhere: a yield is made of operations itself.
        const one = (i: number) =>
          MainDb.withTransaction(MainDb.withTransaction(write(i))).pipe(Effect.withMaxOpsBeforeYield(12 + i % 9))
        yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => i), one, { concurrency: 5, discard: true })
        yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(one(1_000 + i))
            for (let steps = 0; steps < i; steps++) yield* Effect.yieldNow()
            yield* Fiber.interrupt(fiber)
          }), { discard: true })
        yield* settled
        expect((yield* ids).slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i))
      }))
  })
})

describe("a second layer of the same database", () => {
  layer(main({ poolSize: 2, maxOverflow: 0 }), realClock)("inside a transaction of the first", (it) => {
    it.effect("45 is refused, and says so: its statements would not be in that transaction", () =>
      Effect.gen(function*() {
        yield* setUp
        const name = (yield* MainDb.use((sql) => sql<{ name: string }>`SELECT DATABASE() AS name`))[0]!.name
        const second = layerOf(yield* urlOf(name))
        const error = yield* Effect.flip(MainDb.withTransaction(
          Effect.zipRight(write(1), Effect.provide(write(2), second))
        ))
        expect(error).toMatchObject({
          reason: "InvalidParameter",
          detail: expect.stringContaining("another layer of MainDb"),
          hint: expect.stringContaining("MainDb.outside")
        })
        for (
          const work of [
            MainDb.withTransaction(write(2)),
            MainDb.use((sql) => Effect.scoped(sql.reserve)),
            MainDb.use((sql) => Stream.runDrain(sql`SELECT 1`.stream))
          ]
        ) {
          expect(yield* reasonOf(MainDb.withTransaction(Effect.provide(work, second)))).toBe("InvalidParameter")
        }
        expect(yield* ids).toEqual([])
        // Outside of it, it is a database like any other.
        yield* MainDb.withTransaction(Effect.zipRight(write(3), Effect.provide(MainDb.outside(write(4)), second)))
        expect(yield* ids).toEqual([3, 4])
      }))
  })
})
