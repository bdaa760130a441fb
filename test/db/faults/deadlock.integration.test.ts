/** Deadlocks: the server rolls the whole transaction back. */
import { describe, expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { errorPacket } from "../../support/db/faultProxy.ts"
import { faultWithTable as fault, ids, insert } from "../../support/db/faults.ts"
import type { Stage } from "../../support/db/stage.ts"

describe("deadlocks", () => {
  /** Two transactions that lock two rows crosswise. The one given has written less, so the server rolls that one back. */
  const clash = <A, E>(
    stage: Stage,
    lighter: (cross: Effect.Effect<void, DatabaseError, MainDb>) => Effect.Effect<A, E, MainDb>
  ) =>
    Effect.gen(function*() {
      yield* stage.admin(`INSERT INTO ${stage.database}.t (id) VALUES (1), (2)`)
      const first = yield* Deferred.make<void>()
      const second = yield* Deferred.make<void>()
      const touch = (id: number) => Effect.asVoid(MainDb.use((sql) => sql`UPDATE t SET n = n + 1 WHERE id = ${id}`))
      const heavy = MainDb.withTransaction(Effect.gen(function*() {
        yield* Effect.forEach(Array.from({ length: 30 }, (_, i) => 100 + i), insert)
        yield* touch(2)
        yield* Deferred.succeed(second, undefined)
        yield* Deferred.await(first)
        yield* Effect.sleep("100 millis")
        yield* touch(1)
      }))
      let crossings = 0
      const cross = Effect.gen(function*() {
        yield* touch(1)
        yield* Deferred.succeed(first, undefined)
        yield* Deferred.await(second)
        crossings++
        yield* touch(2)
      })
      const other = yield* Effect.fork(heavy)
      yield* Deferred.await(second)
      const exit = yield* Effect.exit(lighter(cross))
      yield* Fiber.join(other)
      return { exit, crossings }
    })

  fault(
    "29 deadlock: a typed error, and later statements of the transaction are refused",
    {},
    (stage) =>
      Effect.gen(function*() {
        const { exit } = yield* clash(stage, (cross) =>
          Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
            const error = yield* Effect.flip(cross)
            expect(error).toMatchObject({ reason: "Deadlock", retryable: true })
            const refused = yield* Effect.flip(insert(7))
            expect(refused).toMatchObject({ reason: "TransactionAborted" })
          }))))
        expect(exit).toMatchObject({ _tag: "Success", value: { reason: "TransactionAborted", retryable: true } })
        expect(yield* ids(stage)).not.toContain(7)
      })
  )

  fault("29 deadlock inside a savepoint: ends the outermost transaction", {}, (stage) =>
    Effect.gen(function*() {
      const { exit } = yield* clash(stage, (cross) =>
        Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
          yield* insert(6)
          yield* Effect.ignore(MainDb.withTransaction(cross))
          yield* Effect.ignore(insert(7))
          yield* Effect.ignore(MainDb.withTransaction(insert(8)))
        }))))
      expect(exit).toMatchObject({ _tag: "Success", value: { reason: "TransactionAborted", retryable: true } })
      for (const id of [6, 7, 8]) expect(yield* ids(stage)).not.toContain(id)
    }))

  fault("29 deadlock with retries: the whole transaction is repeated", {}, (stage) =>
    Effect.gen(function*() {
      const { crossings, exit } = yield* clash(stage, (cross) =>
        MainDb.withTransaction(Effect.zipRight(insert(6), cross), { retries: 3 }))
      expect(exit).toMatchObject({ _tag: "Success" })
      expect(crossings).toBe(2)
      expect(yield* ids(stage)).toContain(6)
      expect(yield* stage.admin(`SELECT n FROM ${stage.database}.t WHERE id IN (1, 2)`)).toEqual([{ n: 2 }, { n: 2 }])
    }))

  fault(
    "42 deadlock in a body with concurrent fibers: the interruption of the others does not stop the retries",
    {},
    (stage) =>
      Effect.gen(function*() {
        const { crossings, exit } = yield* clash(stage, (cross) =>
          MainDb.withTransaction(
            Effect.all([insert(6), cross, Effect.delay(insert(7), "20 millis"), Effect.sleep("100 millis")], {
              concurrency: "unbounded",
              discard: true
            }),
            { retries: 3 }
          ))
        expect(exit).toMatchObject({ _tag: "Success" })
        expect(crossings).toBe(2)
        expect(yield* ids(stage)).toContain(6)
      })
  )

  fault(
    "42 a sibling that still succeeds after the deadlock does not hide it",
    {},
    (stage) =>
      Effect.gen(function*() {
        let attempts = 0
        const once = Effect.suspend(() => {
          attempts++
          return attempts > 1 ? insert(1) : Effect.zipRight(
            stage.proxy.trap("INSERT INTO t (id) VALUES (1)", errorPacket(1205, "HY000", "Lock wait timeout exceeded")),
            MainDb.use((sql) => sql.unsafe("INSERT INTO t (id) VALUES (1)").unprepared)
          )
        })
        yield* MainDb.withTransaction(
          Effect.all([once, insert(2), insert(3)], { concurrency: "unbounded", discard: true }),
          { retries: 3 }
        )
        expect(attempts).toBe(2)
        expect(yield* ids(stage)).toEqual([1, 2, 3])
      })
  )

  fault("42 a defect or an interruption of the whole is never repeated", {}, () =>
    Effect.gen(function*() {
      let attempts = 0
      const count = Effect.sync(() => ++attempts)
      yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(count, Effect.zipRight(insert(1), Effect.die("bug"))), {
        retries: 3
      }))
      expect(attempts).toBe(1)
      yield* Effect.option(Effect.timeout(
        MainDb.withTransaction(Effect.zipRight(count, Effect.zipRight(insert(1), Effect.never)), { retries: 3 }),
        "100 millis"
      ))
      expect(attempts).toBe(2)
    }))
})
