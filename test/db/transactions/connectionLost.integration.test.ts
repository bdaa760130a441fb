/** A transaction whose connection is lost, before it begins or on the way. */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { execFileSync } from "node:child_process"
import { MainDb } from "../../../src/db/Database.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { main } from "../../support/db/databases.ts"
import { databaseError, lossOf, reasonOf } from "../../support/db/errors.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { admin, server } from "../../support/db/testServer.ts"
import { realClock } from "../../support/realClock.ts"

describe("a transaction", () => {
  layer(main({ poolSize: 2, maxOverflow: 0 }), realClock)("whose connection is lost", (it) => {
    /** Kills the connection of the transaction. */
    const kill = Effect.flatMap(connectionId, (id) => admin(`KILL ${id}`))

    it.effect("fails with ConnectionLost at the next statement, then refuses more; nothing is committed", () =>
      Effect.gen(function*() {
        yield* setUp
        let second: unknown
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill
          yield* write(2).pipe(Effect.onError(() =>
            Effect.map(reasonOf(write(3)), (reason) => {
              second = reason
            })
          ))
        })))
        expect(lossOf(databaseError(exit))).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(second).toBe("TransactionAborted")
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("fails although its body ignored that failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill
          yield* Effect.ignore(write(2))
          return "fine"
        })))
        const error = databaseError(exit)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect((error.cause as DatabaseError).reason).toBe("ConnectionLost")
        expect(yield* ids).toEqual([])
      }))

    it.effect("before COMMIT: a typed failure, with an outcome that is known or said to be unknown", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill
        })))
        const error = databaseError(exit)
        // Whether the driver has noticed before it sends COMMIT is a race; either way it is typed.
        expect(["CommitOutcomeUnknown", "TransactionAborted"]).toContain(error.reason)
        expect(error.retryable).toBe(error.reason === "TransactionAborted")
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("before ROLLBACK: fails with the body's own failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const body = Effect.gen(function*() {
          yield* write(1)
          yield* kill
          return yield* Effect.fail("mine" as const)
        })
        expect(yield* Effect.exit(MainDb.withTransaction(body))).toEqual(Exit.fail("mine"))
        expect(yield* Effect.exit(MainDb.withTransaction(MainDb.withTransaction(body)))).toEqual(Exit.fail("mine"))
        const defect = yield* Effect.exit(MainDb.withTransaction(Effect.orDie(body)))
        expect(defect).toEqual(Exit.die("mine"))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("in a savepoint that is released: a typed failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* Effect.ignore(MainDb.withTransaction(kill))
        })))
        expect(databaseError(exit)).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect(yield* ids).toEqual([])
      }))
  })

  layer(main({ poolSize: 1, maxOverflow: 0, poolPrePing: false }), realClock)(
    "whose connection was dead before BEGIN",
    (it) => {
      /** Kills the connection while this process stands still: it cannot know before it writes BEGIN. */
      const killUnnoticed = Effect.gen(function*() {
        const id = yield* connectionId
        const { host, password, port, user } = yield* server
        const script = `require("mysql2/promise").createConnection(${JSON.stringify({ host, port, user, password })})
        .then((c) => c.query("KILL ${id}").then(() => c.end()))`
        yield* Effect.sync(() => execFileSync(process.execPath, ["-e", script]))
      })

      it.effect("fails with a typed, retryable ConnectionLost", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* killUnnoticed
          const exit = yield* Effect.exit(MainDb.withTransaction(write(1)))
          expect(databaseError(exit)).toMatchObject({ reason: "ConnectionLost", retryable: true, statement: "BEGIN" })
          expect(yield* ids).toEqual([])
          yield* settled
        }))

      it.effect("succeeds with a retry", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* killUnnoticed
          yield* MainDb.withTransaction(write(1), { retries: 1 })
          expect(yield* ids).toEqual([1])
          yield* settled
        }))
    }
  )
})
