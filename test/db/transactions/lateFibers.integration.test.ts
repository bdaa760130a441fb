/** Fibers and statements that are still running when their transaction ends. */
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import { main, nameOf } from "../../support/db/databases.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { running } from "../../support/db/testServer.ts"
import { realClock } from "../../support/realClock.ts"
import { timed } from "../../support/timed.ts"

describe("fibers that outlive a transaction", () => {
  layer(main({ poolSize: 3, maxOverflow: 0 }), realClock)((it) => {
    it.effect("fail with TransactionClosed, and write nothing", () =>
      Effect.gen(function*() {
        yield* setUp
        const ended = yield* Deferred.make<void>()
        const late = Effect.zipRight(
          Deferred.await(ended),
          Effect.all([
            reasonOf(write(2)),
            reasonOf(MainDb.withTransaction(write(3))),
            reasonOf(MainDb.use((sql) => Stream.runDrain(sql`SELECT 1`.stream))),
            reasonOf(Effect.flatMap(MainDb, (sql) =>
              Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
                connection.execute("INSERT INTO records VALUES (4, 'x')", [], undefined)))))
          ])
        )
        const fiber = yield* MainDb.withTransaction(Effect.zipRight(write(1), Effect.forkDaemon(late)))
        const other = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(write(9), Effect.fail("undo"))))
        yield* Deferred.succeed(ended, undefined)
        expect(yield* Fiber.join(fiber)).toEqual([
          "TransactionClosed",
          "TransactionClosed",
          "TransactionClosed",
          "SqlError TransactionClosed"
        ])
        yield* Fiber.await(other)
        expect(yield* ids).toEqual([1])
        yield* settled
      }))

    it.effect("a statement still running at a successful end is waited for, and is part of the transaction", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const fiber = yield* MainDb.withTransaction(Effect.gen(function*() {
          const fiber = yield* Effect.forkDaemon(MainDb.use((sql) => sql`INSERT INTO records SELECT 1, SLEEP(0.3)`))
          yield* running(database, "SLEEP")
          return fiber
        }))
        expect(yield* ids).toEqual([1])
        yield* Fiber.join(fiber)
      }))

    it.effect("statements still running and waiting at a failed end are stopped at once, and none of them stays", () =>
      Effect.gen(function*() {
        yield* setUp
        const before = (yield* MainDb.stats).discarded.broken
        const database = yield* nameOf(MainDb)
        const fibers: Array<Fiber.RuntimeFiber<unknown>> = []
        const [exit, took] = yield* timed(Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          for (let i = 0; i < 4; i++) {
            fibers.push(
              yield* Effect.forkDaemon(reasonOf(MainDb.use((sql) => sql`INSERT INTO records SELECT ${i}, SLEEP(3)`)))
            )
          }
          yield* running(database, "SLEEP")
          yield* Effect.fail("undo")
        }))))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(took).toBeLessThan(1_500)
        const reasons = yield* Effect.forEach(fibers, Fiber.join)
        expect(reasons.slice(1)).toEqual(["TransactionClosed", "TransactionClosed", "TransactionClosed"])
        expect(["Cancelled", "Success"]).toContain(reasons[0])
        expect(yield* ids).toEqual([])
        expect((yield* settled).discarded.broken, "the connection is used again").toBe(before)
      }))
  })
})
