/** FACTS of trusted pools: the faults of statements and transactions. Numbered as there. */
import { describe, expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { connectionId, faultWithTable as fault, ids, insert, sleep } from "../../support/db/faults.ts"
import { eventually, type Stage, timed } from "../../support/db/stage.ts"

describe("interrupting", () => {
  fault(
    "17 a timeout stops the statement on the server, promptly, and the connection is used again",
    {},
    (stage) =>
      Effect.gen(function*() {
        const id = yield* connectionId
        for (let i = 0; i < 5; i++) {
          const [exit, took] = yield* timed(Effect.exit(Effect.timeout(sleep(6), "200 millis")))
          expect(Exit.isFailure(exit)).toBe(true)
          expect(took).toBeLessThan(1_050)
          const running = (yield* stage.threads).filter(({ info }) => String(info).includes("SLEEP"))
          expect(running).toEqual([])
          expect(yield* connectionId).toBe(id)
        }
        expect(yield* MainDb.stats).toMatchObject({ opened: 1, size: 1 })
      })
  )

  fault("17 in a transaction too: it rolls back, promptly", {}, (stage) =>
    Effect.gen(function*() {
      const id = yield* connectionId
      const [exit, took] = yield* timed(
        Effect.exit(Effect.timeout(MainDb.withTransaction(Effect.zipRight(insert(1), sleep(6))), "200 millis"))
      )
      expect(Exit.isFailure(exit)).toBe(true)
      expect(took).toBeLessThan(1_050)
      expect(yield* ids(stage)).toEqual([])
      expect(yield* connectionId).toBe(id)
    }))

  fault("17 a timeout within a transaction ends that statement alone", {}, (stage) =>
    Effect.gen(function*() {
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        expect(yield* Effect.timeoutOption(sleep(6), "100 millis")).toMatchObject({ _tag: "None" })
        yield* insert(2)
      }))
      expect(yield* ids(stage)).toEqual([1, 2])
    }))

  fault("17 a hundred at once", { poolSize: 10, maxOverflow: 10 }, (stage) =>
    Effect.gen(function*() {
      const [, took] = yield* timed(Effect.all(
        Array.from({ length: 100 }, () => Effect.exit(Effect.timeout(sleep(6), "300 millis"))),
        { concurrency: "unbounded" }
      ))
      expect(took).toBeLessThan(2_100)
      expect((yield* stage.threads).filter(({ info }) => String(info).includes("SLEEP"))).toEqual([])
    }))

  fault(
    "17 at any moment, while it is prepared or begins to run: nothing is left running",
    {},
    (stage) =>
      Effect.gen(function*() {
        // Not SLEEP: in MariaDB 10.11 a KILL that meets the very beginning of a SLEEP waits, and so do all others meanwhile.
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i),
          (i) =>
            Effect.timeoutOption(
              MainDb.use((sql) => sql.unsafe(`SELECT COUNT(*) FROM seq_1_to_100000000 WHERE seq <> ${i}`)),
              `${i % 20} millis`
            ),
          { concurrency: 3 }
        )
        expect((yield* stage.threads).filter(({ command }) => command !== "Sleep")).toEqual([])
        expect((yield* MainDb.stats).discarded.broken).toBe(0)
      })
  )

  fault("17 the way to the server is slow: bounded all the same", {}, ({ proxy }) =>
    Effect.gen(function*() {
      yield* connectionId
      yield* proxy.delay(50)
      const [, took] = yield* timed(Effect.exit(Effect.timeout(sleep(6), "200 millis")))
      expect(took).toBeLessThan(1_900)
      yield* proxy.delay(0)
    }))

  fault("17 nobody answers the KILL: bounded, and the connection is cut", {}, ({ proxy }) =>
    Effect.gen(function*() {
      yield* connectionId
      const running = yield* Effect.fork(timed(Effect.exit(Effect.timeout(sleep(1.5), "200 millis"))))
      yield* Effect.sleep("50 millis")
      yield* proxy.welcome("silent")
      const [, took] = yield* Fiber.join(running)
      expect(took).toBeLessThan(2_000)
      expect((yield* MainDb.stats).discarded.broken).toBe(1)
      yield* proxy.welcome("pass")
    }))

  fault("18 a handler dies mid-transaction: rolled back, the connection lives", {}, (stage) =>
    Effect.gen(function*() {
      const id = yield* connectionId
      const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(insert(1), Effect.die("the handler"))))
      expect(exit).toEqual(Exit.die("the handler"))
      const fiber = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(insert(2), Effect.never)))
      yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(1)))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber)
      expect(yield* ids(stage)).toEqual([])
      expect(yield* connectionId).toBe(id)
    }))

  fault("19 ROLLBACK hangs: bounded, discarded, and the first error stays", {}, (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap("ROLLBACK", "swallow")
      const [error, took] = yield* timed(
        Effect.flip(MainDb.withTransaction(Effect.zipRight(insert(1), Effect.fail("the first error"))))
      )
      expect(error).toBe("the first error")
      expect(took).toBeLessThan(2_500)
      expect((yield* MainDb.stats).discarded.broken).toBe(1)
      expect(yield* ids(stage)).toEqual([])
    }))

  fault("19 ROLLBACK fails: discarded, and the first error stays", {}, (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap("ROLLBACK", "reset")
      const error = yield* Effect.flip(
        MainDb.withTransaction(Effect.zipRight(insert(1), Effect.fail("the first error")))
      )
      expect(error).toBe("the first error")
      expect((yield* MainDb.stats).discarded.broken).toBe(1)
      expect(yield* ids(stage)).toEqual([])
    }))
})

describe("COMMIT", () => {
  fault(
    "28 its reply is lost: the outcome is unknown, the row is there, nothing is repeated",
    {},
    (stage) =>
      Effect.gen(function*() {
        let attempts = 0
        yield* connectionId
        yield* stage.proxy.trap("COMMIT", "lose")
        const error = yield* Effect.flip(MainDb.withTransaction(
          Effect.zipRight(Effect.sync(() => ++attempts), insert(1)),
          { retries: 5 }
        ))
        expect(error).toMatchObject({ _tag: "DatabaseError", reason: "CommitOutcomeUnknown", retryable: false })
        expect(attempts).toBe(1)
        expect(yield* ids(stage)).toEqual([1])
      })
  )

  fault("28 it never reached the server: the outcome is as unknown to us", {}, (stage) =>
    Effect.gen(function*() {
      let attempts = 0
      yield* connectionId
      yield* stage.proxy.trap("COMMIT", "reset")
      const error = yield* Effect.flip(MainDb.withTransaction(
        Effect.zipRight(Effect.sync(() => ++attempts), insert(1)),
        { retries: 5 }
      ))
      expect(error).toMatchObject({ reason: "CommitOutcomeUnknown", retryable: false })
      expect(attempts).toBe(1)
      yield* eventually(Effect.map(ids(stage), (found) => expect(found).toEqual([])))
    }))

  fault(
    "28 the connection is lost before it was sent: known to be undone, so it is repeated",
    {},
    (stage) =>
      Effect.gen(function*() {
        let attempts = 0
        yield* MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* insert(1)
            if (attempts > 1) return
            yield* stage.proxy.reset
            yield* Effect.sleep("50 millis")
          }),
          { retries: 1 }
        )
        expect(attempts).toBe(2)
        expect(yield* ids(stage)).toEqual([1])
      })
  )

  fault(
    "28 interrupted meanwhile: it is waited for, and what was committed is reported",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* stage.proxy.delay(40)
        const sent = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          MainDb.withTransaction(Effect.zipRight(insert(1), Deferred.succeed(sent, undefined)))
        )
        yield* Deferred.await(sent)
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        yield* stage.proxy.delay(0)
        expect(yield* ids(stage)).toEqual([1])
      })
  )
})

describe("deadlocks", () => {
  /** Two transactions that cross, of which the one given is the lighter: the server chooses it. */
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
    "29 deadlock: typed, and nothing that follows it in the transaction is kept",
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

  fault("29 deadlock inside a savepoint: the outermost knows", {}, (stage) =>
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

  fault("29 deadlock with retries: the whole is repeated", {}, (stage) =>
    Effect.gen(function*() {
      const { crossings, exit } = yield* clash(stage, (cross) =>
        MainDb.withTransaction(Effect.zipRight(insert(6), cross), { retries: 3 }))
      expect(exit).toMatchObject({ _tag: "Success" })
      expect(crossings).toBe(2)
      expect(yield* ids(stage)).toContain(6)
      expect(yield* stage.admin(`SELECT n FROM ${stage.database}.t WHERE id IN (1, 2)`)).toEqual([{ n: 2 }, { n: 2 }])
    }))
})
