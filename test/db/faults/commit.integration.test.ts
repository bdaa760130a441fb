/** COMMIT: its answer is lost, or the server dies meanwhile. */
import { describe, expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { createConnection } from "mysql2/promise"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable as fault, ids, insert, makeTable, onPrivateServer } from "../../support/db/faults.ts"
import type { Controls } from "../../support/db/privateServer.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

describe("COMMIT", () => {
  fault(
    "28 its answer is lost: the outcome is unknown, the row is there, and nothing is repeated",
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
        // Not even the error below it advises to repeat what may have been committed.
        expect(Cause.pretty(Cause.fail(error), { renderErrorCause: true })).not.toMatch(/again/i)
        expect(attempts).toBe(1)
        expect(yield* ids(stage)).toEqual([1])
      })
  )

  fault(
    "28 it never reaches the server: the outcome is unknown, too, and nothing is repeated",
    {},
    (stage) =>
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
      })
  )

  fault(
    "28 the connection is lost before it is sent: known to be rolled back, so the transaction is repeated",
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
    "28 interrupted meanwhile: it is waited for, and the row is there",
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

  fault(
    "53 a timeout of the caller falls into it: TimeoutException, and the row is there",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* connectionId
        const body = Effect.zipRight(insert(1), stage.proxy.delay(60))
        const error = yield* Effect.flip(Effect.timeout(MainDb.withTransaction(body), "30 millis"))
        yield* stage.proxy.delay(0)
        expect(error._tag).toBe("TimeoutException")
        expect(yield* ids(stage)).toEqual([1])
      })
  )

  fault("53 the timeout of the transaction itself counts only the body", {}, (stage) =>
    Effect.gen(function*() {
      yield* connectionId
      const body = Effect.zipRight(insert(1), stage.proxy.delay(500))
      yield* MainDb.withTransaction(body, { timeout: "800 millis" })
      yield* stage.proxy.delay(0)
      expect(yield* ids(stage)).toEqual([1])
    }))
})

onPrivateServer("a server that restarts during COMMIT", ({ fault }) => {
  /**
   * Runs a transaction that inserts a row, and restarts the server when its COMMIT is under way. The outcome must be
   * reported as unknown at once, the body not repeated, and the pool usable afterwards.
   */
  const restartDuring = (
    server: Controls,
    { beforeCommit = Effect.void, underWay }: {
      readonly beforeCommit?: Effect.Effect<unknown>
      readonly underWay: Effect.Effect<unknown>
    }
  ) =>
    Effect.gen(function*() {
      let attempts = 0
      const body = Effect.gen(function*() {
        attempts++
        yield* insert(1)
        yield* beforeCommit
      })
      const transaction = yield* Effect.fork(Effect.flip(MainDb.withTransaction(body, { retries: 5 })))
      yield* underWay
      yield* server.kill
      const [error, took] = yield* timed(Fiber.join(transaction))
      expect(error).toMatchObject({ _tag: "DatabaseError", reason: "CommitOutcomeUnknown", retryable: false })
      expect(took).toBeLessThan(1_000)
      expect(attempts).toBe(1)
      yield* server.start
      expect(yield* MainDb.use((sql) => sql`SELECT 'works' AS state`)).toEqual([{ state: "works" }])
      expect(yield* MainDb.stats).toMatchObject({ active: 0, waiting: 0 })
    })

  fault(
    "28 killed before it is carried out: the outcome is unknown, and the row is not there",
    {},
    (server, stage) =>
      Effect.gen(function*() {
        yield* makeTable(stage)
        // COMMIT waits for this lock, which is gone with the server.
        const connection = yield* Effect.acquireRelease(
          Effect.promise(() => createConnection(stage.direct)),
          (connection) => Effect.sync(() => connection.destroy())
        )
        connection.on("error", () => {})
        yield* restartDuring(server, {
          beforeCommit: Effect.promise(() => connection.query("FLUSH TABLES WITH READ LOCK")),
          underWay: eventually(Effect.map(stage.threads, (threads) => {
            expect(threads.map(({ info }) => info)).toContain("COMMIT")
          }))
        })
        expect(yield* ids(stage)).toEqual([])
      })
  )

  fault(
    "28 killed before it is answered: the outcome is unknown, and the row is there",
    {},
    (server, stage) =>
      Effect.gen(function*() {
        yield* makeTable(stage)
        // A connection is opened first: what sets READ COMMITTED must not spring the trap.
        yield* connectionId
        yield* stage.proxy.trap("COMMIT", "swallow")
        yield* restartDuring(server, {
          underWay: eventually(Effect.map(ids(stage), (found) => expect(found).toEqual([1])))
        })
        expect(yield* ids(stage)).toEqual([1])
      })
  )
})
