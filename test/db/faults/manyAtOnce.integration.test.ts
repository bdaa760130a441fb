/** Thousands of statements that wait for one connection, and fail all in the same moment. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { fault, inUse, sleep } from "../../support/db/faults.ts"
import type { Options } from "../../support/db/stage.ts"
import { kills } from "../../support/db/throughProxy.ts"

const one: Options = { poolSize: 1, maxOverflow: 0, poolTimeout: "20 seconds" }

const atOnce = <A>(count: number, effect: Effect.Effect<A, never, MainDb>) =>
  Effect.all(Effect.replicate(effect, count), { concurrency: "unbounded" })

if (kills) {
  fault(
    "57 in a transaction whose connection is lost: each is refused, and nothing hangs",
    one,
    ({ admin }) =>
      Effect.gen(function*() {
        const transaction = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          const id = yield* connectionId
          yield* Effect.fork(Effect.delay(admin(`KILL ${id}`), "100 millis"))
          const exits = yield* atOnce(5_000, Effect.exit(sleep(2)))
          expect(exits.filter(Exit.isFailure)).toHaveLength(5_000)
        })))
        expect(Exit.isFailure(transaction)).toBe(true)
        yield* inUse(0)
      })
  )
}

for (const preparedStatements of [true, false]) {
  fault(
    `59 before anything is sent, prepared statements ${preparedStatements}: each has its error, and the connection is free`,
    { ...one, preparedStatements },
    () =>
      Effect.gen(function*() {
        const id = yield* connectionId
        const reasons = yield* atOnce(10_000, reasonOf(MainDb.use((sql) => sql.unsafe("SELECT ? + ?", [1]))))
        expect(new Set(reasons)).toEqual(new Set(["InvalidParameter"]))
        yield* inUse(0)
        expect(yield* connectionId).toBe(id)
      })
  )
}
