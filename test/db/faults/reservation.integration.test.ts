/** Reserved connections: what still runs or waits when they are given back, and what breaks on them. */
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { MainDb } from "../../../src/db/Database.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { packet } from "../../support/db/faultProxy.ts"
import { fault, faultWithTable, ids } from "../../support/db/faults.ts"
import { timed } from "../../support/timed.ts"

const one = { poolSize: 1, maxOverflow: 0 }

describe("a reserved connection", () => {
  faultWithTable(
    "49 at the end of its scope, what waits for it is refused at once and never runs",
    one,
    (stage) =>
      Effect.gen(function*() {
        const sql = yield* MainDb
        const scope = yield* Scope.make()
        const connection = yield* Scope.extend(sql.reserve, scope)
        const run = (text: string) => reasonOf(connection.execute(text, [], undefined))
        const running = yield* Effect.fork(run("SELECT BENCHMARK(2000000000, SHA2('x', 512))"))
        yield* Effect.sleep("50 millis")
        const waiting = yield* Effect.forEach([1, 2, 3], (id) => Effect.fork(run(`INSERT INTO t (id) VALUES (${id})`)))
        yield* Effect.sleep("20 millis")
        const [, took] = yield* timed(Scope.close(scope, Exit.void))
        expect(took).toBeLessThan(1_500)
        // Servers differ in what a BENCHMARK that was killed answers.
        expect(["SqlError Cancelled", "Success"]).toContain(yield* Fiber.join(running))
        expect(yield* Fiber.join(Fiber.all(waiting))).toEqual(Array(3).fill("SqlError TransactionClosed"))
        expect(yield* run("INSERT INTO t (id) VALUES (4)")).toBe("SqlError TransactionClosed")
        expect(yield* ids(stage)).toEqual([])
      })
  )

  fault(
    "49 a transform that throws is a defect of its caller, and harms nobody else",
    one,
    () =>
      Effect.gen(function*() {
        const sql = yield* MainDb
        const bug = new Error("a bug")
        const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
          Effect.zipRight(
            Effect.exit(connection.execute("SELECT 1", [], () => {
              throw bug
            })),
            connection.execute("SELECT 'two' AS two", [], undefined)
          ))))
        expect(exit).toEqual(Exit.succeed([{ two: "two" }]))
        const dies = yield* Effect.exit(Effect.scoped(Effect.flatMap(
          sql.reserve,
          (connection): Effect.Effect<unknown, SqlError> =>
            connection.execute("SELECT 1", [], () => {
              throw bug
            })
        )))
        expect(dies).toEqual(Exit.die(bug))
      })
  )

  fault(
    "38 an answer that makes no sense ends it: the statements that follow on it fail, none gets another one's answer",
    one,
    (stage) =>
      Effect.gen(function*() {
        const sql = yield* MainDb
        yield* sql`SELECT 1`
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* sql.reserve
          yield* stage.proxy.trap("SELECT 'trapped'", packet(1, Buffer.from([0])))
          expect(yield* reasonOf(connection.executeUnprepared("SELECT 'trapped'", [], undefined))).toBe(
            "SqlError Unknown"
          )
          expect(yield* reasonOf(connection.execute("SELECT 1", [], undefined))).toBe("SqlError ConnectionLost")
        }))
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
      })
  )

  fault("what the server cannot prepare runs all the same", one, () =>
    Effect.gen(function*() {
      const sql = yield* MainDb
      yield* sql`CREATE TABLE lockable (id INT PRIMARY KEY)`
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* sql.reserve
        const run = (text: string) => connection.execute(text, [], undefined)
        for (let i = 1; i < 4; i++) {
          yield* run("LOCK TABLES lockable WRITE")
          yield* run(`INSERT INTO lockable VALUES (${i})`)
          yield* run("UNLOCK TABLES")
          yield* run("BEGIN")
          yield* run("SAVEPOINT here")
          yield* run("ROLLBACK")
        }
      }))
      expect(yield* sql`SELECT id FROM lockable ORDER BY id`).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    }))
})
