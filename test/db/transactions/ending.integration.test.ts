/** How a transaction ends: commit and rollback, as its body ends. */
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { main } from "../../support/db/databases.ts"
import { isolationVariable } from "../../support/db/dialect.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { realClock } from "../../support/realClock.ts"

describe("a transaction", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), realClock)("ends as its body ends", (it) => {
    it.effect("commits on success and gives the body's value", () =>
      Effect.gen(function*() {
        yield* setUp
        expect(yield* MainDb.withTransaction(Effect.as(write(1), "value"))).toBe("value")
        expect(yield* ids).toEqual([1])
      }))

    it.effect("rolls back on failure and keeps the failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(1), Effect.fail("mine" as const))))
        expect(exit).toEqual(Exit.fail("mine"))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("rolls back on a defect and keeps the defect", () =>
      Effect.gen(function*() {
        yield* setUp
        const defect = new Error("bug")
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(1), Effect.die(defect))))
        expect(exit).toEqual(Exit.die(defect))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("leaves nothing of its session to the next borrower of the connection", () =>
      Effect.gen(function*() {
        yield* setUp
        const [first] = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sql = yield* MainDb
          yield* sql`SET @mine = 'left'`
          yield* sql`CREATE TEMPORARY TABLE left_over (a INT)`
          yield* sql`SELECT GET_LOCK('left over', 0)`
          return yield* sql<{ id: number }>`SELECT CONNECTION_ID() AS id`
        }))
        const after = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sql = yield* MainDb
          const [row] = yield* sql`SELECT CONNECTION_ID() AS id, @mine AS mine, IS_FREE_LOCK('left over') AS free,
            ${sql.literal(isolationVariable)} AS level, @@session.time_zone AS zone`
          return { row, table: yield* reasonOf(sql`SELECT * FROM left_over`) }
        }))
        expect(after).toEqual({
          row: { id: first!.id, mine: null, free: 1, level: "READ-COMMITTED", zone: "+00:00" },
          table: "SqlError UnknownObject"
        })
      }))

    it.effect("sql.withTransaction of the plain client does the same, with SqlErrors", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        const failed = yield* Effect.flip(sql.withTransaction(Effect.zipRight(
          sql`INSERT INTO records VALUES (1, 'x')`,
          sql`INSERT INTO records VALUES (1, 'x')`
        )))
        expect(failed).toBeInstanceOf(SqlError)
        expect((failed.cause as DatabaseError).reason).toBe("UniqueViolation")
        yield* sql.withTransaction(sql`INSERT INTO records VALUES (2, 'x')`)
        yield* MainDb.withTransaction(
          Effect.ignore(sql.withTransaction(Effect.zipRight(write(3), Effect.fail("undo"))))
        )
        expect(yield* ids).toEqual([2])
      }))
  })
})
