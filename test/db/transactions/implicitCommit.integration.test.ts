/** Statements that would end a transaction without its knowing, such as DDL. */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { main } from "../../support/db/databases.ts"
import { databaseError, reasonOf } from "../../support/db/errors.ts"
import { ids, setUp, write } from "../../support/db/records.ts"
import { realClock } from "../../support/realClock.ts"

describe("a statement that would end the transaction", () => {
  layer(main(), realClock)((it) => {
    it.effect("such as DDL or COMMIT is refused before it is sent", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          for (
            const text of [
              "CREATE TABLE never (a INT)",
              "ALTER TABLE records ADD a INT",
              "TRUNCATE records",
              "COMMIT",
              "ROLLBACK",
              "BEGIN",
              "/* x */ DROP TABLE records",
              "SET autocommit = 1",
              "LOCK TABLES records READ"
            ]
          ) {
            expect(yield* reasonOf(MainDb.use((sql) => sql.unsafe(text))), text).toBe("ImplicitCommit")
            expect(yield* reasonOf(MainDb.use((sql) => sql.unsafe(text).raw)), text).toBe("ImplicitCommit")
            expect(yield* reasonOf(MainDb.withTransaction(MainDb.use((sql) => sql.unsafe(text)))), text).toBe(
              "ImplicitCommit"
            )
          }
          yield* Effect.fail("undo")
        })))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(yield* ids).toEqual([])
        expect(yield* reasonOf(MainDb.use((sql) => sql`SELECT * FROM never`))).toBe("UnknownObject")
      }))

    it.effect("55 hidden in a procedure whose rows are streamed, fails the transaction too", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) => sql`DROP PROCEDURE IF EXISTS streamed`)
        yield* MainDb.use((sql) =>
          sql`CREATE PROCEDURE streamed() BEGIN INSERT INTO records VALUES (2, 'x'); COMMIT; SELECT 1 AS one; END`
            .unprepared
        )
        for (const size of [1, 10]) {
          let next: unknown
          const error = yield* Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
            yield* write(1)
            yield* MainDb.use((sql) => Stream.runDrain(Stream.take(sql`CALL streamed()`.stream, size)))
            next = yield* reasonOf(write(3))
          })))
          expect(next).toBe("TransactionAborted")
          expect(error).toMatchObject({ reason: "TransactionAborted", retryable: false, outcome: "unknown" })
          expect(error.cause).toMatchObject({ reason: "ImplicitCommit" })
          expect(yield* ids).toEqual([1, 2])
          yield* MainDb.use((sql) => sql`DELETE FROM records`)
        }
      }))

    it.effect("hidden in a procedure, fails the transaction, and what comes after it is refused", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) =>
          Effect.zipRight(
            sql`DROP PROCEDURE IF EXISTS sneaky`.unprepared,
            sql`CREATE PROCEDURE sneaky() BEGIN INSERT INTO records VALUES (2, 'x'); COMMIT; END`.unprepared
          )
        )
        let next: unknown
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* MainDb.use((sql) => sql`CALL sneaky()`)
          next = yield* reasonOf(write(3))
        })))
        expect(next).toBe("TransactionAborted")
        const error = databaseError(exit)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: false })
        expect((error.cause as DatabaseError).reason).toBe("ImplicitCommit")
        expect(yield* ids, "what the procedure committed stays").toEqual([1, 2])
      }))

    it.effect("is allowed outside a transaction, also on a reserved connection", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* sql`CREATE TABLE now_and_then (a INT)`
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* sql.reserve
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (1, 'x')", [], undefined)
          yield* connection.executeUnprepared("COMMIT", [], undefined)
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (2, 'x')", [], undefined)
          yield* connection.execute("DROP TABLE IF EXISTS nothing_of_that_name", [], undefined)
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (3, 'x')", [], undefined)
        }))
        expect(yield* ids, "what was left open is rolled back").toEqual([1, 2])
      }))

    it.effect("a reserved connection inside a transaction is the transaction's, with the same rules", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* Effect.ignore(MainDb.withTransaction(Effect.scoped(Effect.gen(function*() {
          const connection = yield* sql.reserve
          yield* connection.execute("INSERT INTO records VALUES (1, 'x')", [], undefined)
          expect(yield* reasonOf(connection.execute("COMMIT", [], undefined))).toBe("SqlError ImplicitCommit")
          yield* Effect.fail("undo")
        }))))
        expect(yield* ids).toEqual([])
      }))
  })
})
