/** Interruption of a statement: it stops on the server, promptly. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable as fault, ids, insert, sleep } from "../../support/db/faults.ts"
import { nothingRuns } from "../../support/db/nothingRuns.ts"
import { numbers } from "../../support/db/numbers.ts"
import { timed } from "../../support/timed.ts"

describe("interruption", () => {
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
          yield* nothingRuns(stage.threads, "SLEEP")
          expect(yield* connectionId).toBe(id)
        }
        expect(yield* MainDb.stats).toMatchObject({ opened: 1, size: 1 })
      })
  )

  fault("17 a timeout around a transaction: it rolls back, promptly", {}, (stage) =>
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

  fault("17 a timeout within a transaction: ends that statement alone", {}, (stage) =>
    Effect.gen(function*() {
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        expect(yield* Effect.timeoutOption(sleep(6), "100 millis")).toMatchObject({ _tag: "None" })
        yield* insert(2)
      }))
      expect(yield* ids(stage)).toEqual([1, 2])
    }))

  fault("17 a hundred timeouts at once: none takes long, and nothing is left running", {
    poolSize: 10,
    maxOverflow: 10
  }, (stage) =>
    Effect.gen(function*() {
      const [, took] = yield* timed(Effect.all(
        Array.from({ length: 100 }, () => Effect.exit(Effect.timeout(sleep(6), "300 millis"))),
        { concurrency: "unbounded" }
      ))
      expect(took).toBeLessThan(2_100)
      yield* nothingRuns(stage.threads, "SLEEP")
    }))

  fault(
    "17 a timeout at any moment, while a statement is prepared or begins to run: nothing is left running",
    {},
    (stage) =>
      Effect.gen(function*() {
        // Not SLEEP: MariaDB 10.11 holds up a KILL that meets the very beginning of a SLEEP, and every other KILL with it.
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i),
          (i) =>
            Effect.timeoutOption(
              MainDb.use((sql) => sql.unsafe(`SELECT COUNT(*) FROM ${numbers(100_000_000)} WHERE seq <> ${i}`)),
              `${i % 20} millis`
            ),
          { concurrency: 3 }
        )
        yield* nothingRuns(stage.threads)
        expect((yield* MainDb.stats).discarded.broken).toBe(0)
      })
  )

  fault("17 a slow network: still ends in time", {}, ({ proxy }) =>
    Effect.gen(function*() {
      yield* connectionId
      yield* proxy.delay(50)
      const [, took] = yield* timed(Effect.exit(Effect.timeout(sleep(6), "200 millis")))
      expect(took).toBeLessThan(1_900)
      yield* proxy.delay(0)
    }))

  fault(
    "17 nobody answers the KILL: ends in time, and the connection is cut",
    {},
    ({ proxy }) =>
      Effect.gen(function*() {
        yield* connectionId
        const running = yield* Effect.fork(timed(Effect.exit(Effect.timeout(sleep(1.5), "200 millis"))))
        yield* Effect.sleep("50 millis")
        yield* proxy.welcome("silent")
        const [, took] = yield* Fiber.join(running)
        expect(took).toBeLessThan(2_000)
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
        yield* proxy.welcome("pass")
      })
  )
})
