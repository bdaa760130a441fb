/** Deadlocks and lock wait timeouts, and what may be repeated after them. */
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { main } from "../../support/db/databases.ts"
import { databaseError, reasonOf } from "../../support/db/errors.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { realClock } from "../../support/realClock.ts"

describe("locks", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), realClock)((it) => {
    /** Two transactions that lock two rows crosswise; the one with less written is the server's victim. */
    const crosswise = (options: {
      readonly victim: (
        deadlocking: Effect.Effect<unknown, DatabaseError, MainDb>,
        attempt: number
      ) => Effect.Effect<unknown, unknown, MainDb>
      readonly retries?: number
    }) =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) => sql`INSERT INTO records VALUES (1, 'a'), (2, 'a'), (11, 'a'), (12, 'a'), (13, 'a')`)
        const update = (id: number, mark: string) =>
          MainDb.use((sql) => sql`UPDATE records SET mark = ${mark} WHERE id = ${id}`)
        const winnerLocked = yield* Deferred.make<void>()
        const victimLocked = yield* Deferred.make<void>()
        let attempt = 0
        const winner = MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'winner' WHERE id > 10`)
          yield* update(1, "winner")
          yield* Deferred.succeed(winnerLocked, undefined)
          yield* Deferred.await(victimLocked)
          yield* update(2, "winner")
        }))
        const victim = MainDb.withTransaction(
          Effect.gen(function*() {
            attempt++
            yield* Deferred.await(winnerLocked)
            yield* update(2, "victim")
            yield* Deferred.succeed(victimLocked, undefined)
            // Long enough for the winner to wait for us: the deadlock is found at our statement or at the winner's.
            yield* options.victim(update(1, "victim"), attempt)
          }),
          options.retries === undefined ? {} : { retries: options.retries }
        )
        const [won, lost] = yield* Effect.all([Effect.exit(winner), Effect.exit(victim)], { concurrency: 2 })
        expect(Exit.isSuccess(won)).toBe(true)
        return { lost, attempts: attempt }
      })

    it.effect("a deadlock is typed and retryable", () =>
      Effect.gen(function*() {
        const { lost } = yield* crosswise({ victim: (deadlocking) => deadlocking })
        const error = databaseError(lost)
        expect(error).toMatchObject({ reason: "Deadlock", errno: 1213, sqlState: "40001", retryable: true })
        expect(error.statement).toBe("UPDATE records SET mark = ? WHERE id = ?")
        yield* settled
      }))

    it.effect("after a deadlock further statements are refused: the next row is not committed on its own", () =>
      Effect.gen(function*() {
        let next: unknown
        let nested: unknown
        const { lost } = yield* crosswise({
          victim: (deadlocking) =>
            Effect.gen(function*() {
              yield* Effect.ignore(deadlocking)
              next = yield* reasonOf(write(3))
              nested = yield* reasonOf(MainDb.withTransaction(write(4)))
            })
        })
        expect(next).toBe("TransactionAborted")
        expect(nested).toBe("TransactionAborted")
        const error = databaseError(lost)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect((error.cause as DatabaseError).reason).toBe("Deadlock")
        expect(yield* ids).toEqual([1, 2, 11, 12, 13])
        yield* settled
      }))

    it.effect("a deadlock inside a savepoint ends the whole transaction", () =>
      Effect.gen(function*() {
        let next: unknown
        const { lost } = yield* crosswise({
          victim: (deadlocking) =>
            Effect.gen(function*() {
              const inner = yield* reasonOf(MainDb.withTransaction(Effect.zipRight(write(3), deadlocking)))
              expect(inner).toBe("Deadlock")
              next = yield* reasonOf(write(4))
            })
        })
        expect(next).toBe("TransactionAborted")
        expect(databaseError(lost).reason).toBe("TransactionAborted")
        expect(yield* ids).toEqual([1, 2, 11, 12, 13])
      }))

    for (const ignored of [false, true]) {
      it.effect(`a deadlock's victim succeeds on the second attempt${ignored ? ", also if its body ignored the deadlock" : ""}`, () =>
        Effect.gen(function*() {
          const { attempts, lost } = yield* crosswise({
            retries: 3,
            victim: (deadlocking) => ignored ? Effect.ignore(deadlocking) : deadlocking
          })
          expect(Exit.isSuccess(lost)).toBe(true)
          expect(attempts).toBe(2)
          const rows = yield* MainDb.use((sql) => sql`SELECT id, mark FROM records WHERE id IN (1, 2) ORDER BY id`)
          expect(rows).toEqual([{ id: 1, mark: "victim" }, { id: 2, mark: "victim" }])
        }))
    }

    it.effect("a lock wait timeout leaves the transaction usable", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1)
        const locked = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'held' WHERE id = 1`)
          yield* Deferred.succeed(locked, undefined)
          yield* Deferred.await(done)
        })))
        yield* Deferred.await(locked)
        const reason = yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`SET SESSION innodb_lock_wait_timeout = 1`)
          yield* write(2)
          const exit = yield* Effect.exit(MainDb.use((sql) => sql`UPDATE records SET mark = 'mine' WHERE id = 1`))
          yield* write(3)
          return databaseError(exit)
        }))
        yield* Deferred.succeed(done, undefined)
        yield* Fiber.join(holder)
        expect(reason).toMatchObject({ reason: "LockWaitTimeout", errno: 1205, retryable: true })
        expect(yield* ids).toEqual([1, 2, 3])
        // The setting of that transaction does not reach the next one.
        const left = yield* Effect.forEach([1, 2, 3, 4], () =>
          MainDb.use((sql) => sql<{ t: number }>`SELECT @@innodb_lock_wait_timeout AS t`), { concurrency: 4 })
        expect(
          left.flat().filter(({ t }) =>
            Number(t) === 1
          )
        ).toEqual([])
      }))

    it.effect("a lock wait timeout that the body ignored does not make retries repeat a failure of the body's own", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1)
        const locked = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'held' WHERE id = 1`)
          yield* Deferred.succeed(locked, undefined)
          yield* Deferred.await(done)
        })))
        yield* Deferred.await(locked)
        let attempts = 0
        const exit = yield* Effect.exit(MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* MainDb.use((sql) => sql`SET SESSION innodb_lock_wait_timeout = 1`)
            yield* Effect.ignore(MainDb.use((sql) => sql`UPDATE records SET mark = 'mine' WHERE id = 1`))
            yield* write(2)
            return yield* Effect.fail("no" as const)
          }),
          { retries: 2 }
        ))
        yield* Deferred.succeed(done, undefined)
        yield* Fiber.join(holder)
        expect(exit).toEqual(Exit.fail("no"))
        expect(attempts).toBe(1)
      }))
  })
})
