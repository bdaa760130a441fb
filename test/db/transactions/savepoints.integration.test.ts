/** A transaction within a transaction of the same database is a savepoint. */
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { main } from "../../support/db/databases.ts"
import { databaseError, reasonOf } from "../../support/db/errors.ts"
import { ids, setUp, write } from "../../support/db/records.ts"
import { realClock } from "../../support/realClock.ts"
import { timed } from "../../support/timed.ts"

describe("a transaction", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), realClock)("nested in a transaction", (it) => {
    it.effect("is a savepoint: its failure takes back its own rows only", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* write(2)
            yield* MainDb.withTransaction(write(3))
            yield* Effect.fail("undo")
          })))
          yield* MainDb.withTransaction(Effect.gen(function*() {
            yield* write(4)
            yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(write(5), Effect.fail("undo"))))
            yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(6), Effect.die("undo"))))
            yield* write(7)
          }))
        }))
        expect(yield* ids).toEqual([1, 4, 7])
      }))

    it.effect("concurrent ones run one after the other, each with a savepoint of its own", () =>
      Effect.gen(function*() {
        yield* setUp
        let inside = 0
        yield* MainDb.withTransaction(
          Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            (i) =>
              Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
                expect(++inside).toBe(1)
                yield* write(i)
                yield* Effect.yieldNow()
                yield* write(i + 100)
                inside--
                if (i % 2 === 0) yield* Effect.fail("undo")
              }))),
            { concurrency: "unbounded", discard: true }
          )
        )
        const odd = Array.from({ length: 10 }, (_, i) => 2 * i + 1)
        expect(yield* ids).toEqual([...odd, ...odd.map((i) => i + 100)])
      }))

    it.effect("a statement of the outer level beside a failing child is not lost", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          const inChild = yield* Deferred.make<void>()
          const child = yield* Effect.fork(Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* write(1)
            yield* Deferred.succeed(inChild, undefined)
            yield* Effect.yieldNow()
            yield* write(2)
            yield* Effect.fail("undo")
          }))))
          yield* Deferred.await(inChild)
          yield* write(3)
          yield* Fiber.join(child)
        }))
        expect(yield* ids).toEqual([3])
      }))

    it.effect("refuses another isolation or access mode than the transaction's, and accepts the same", () =>
      Effect.gen(function*() {
        yield* setUp
        const reasons = yield* MainDb.withTransaction(
          Effect.all([
            reasonOf(MainDb.withTransaction(write(1), { isolation: "READ COMMITTED" })),
            reasonOf(MainDb.withTransaction(write(2), { readOnly: true })),
            reasonOf(MainDb.withTransaction(write(3), { isolation: "SERIALIZABLE", readOnly: false }))
          ]),
          { isolation: "SERIALIZABLE" }
        )
        expect(reasons).toEqual(["InvalidParameter", "InvalidParameter", "Success"])
        expect(yield* ids).toEqual([3])
      }))

    it.effect("interrupted, takes back its own rows and leaves the outer transaction healthy", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          const [exit, took] = yield* timed(Effect.exit(
            MainDb.withTransaction(Effect.zipRight(write(2), MainDb.use((sql) => sql`SELECT SLEEP(3)`)), {
              timeout: "200 millis"
            })
          ))
          expect(took).toBeLessThan(1_000)
          expect(databaseError(exit).reason).toBe("TransactionTimeout")
          yield* write(3)
        }))
        expect(yield* ids).toEqual([1, 3])
      }))
  })
})
