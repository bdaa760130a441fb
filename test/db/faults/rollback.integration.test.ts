/** A transaction whose body fails, and a ROLLBACK that fails or hangs. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable as fault, ids, insert, inUse } from "../../support/db/faults.ts"
import { timed } from "../../support/timed.ts"

describe("ROLLBACK", () => {
  fault(
    "18 a handler dies mid-transaction: rolled back, and the connection is used again",
    {},
    (stage) =>
      Effect.gen(function*() {
        const id = yield* connectionId
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(insert(1), Effect.die("the handler"))))
        expect(exit).toEqual(Exit.die("the handler"))
        const fiber = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(insert(2), Effect.never)))
        yield* inUse(1)
        yield* Effect.sleep("50 millis")
        yield* Fiber.interrupt(fiber)
        expect(yield* ids(stage)).toEqual([])
        expect(yield* connectionId).toBe(id)
      })
  )

  fault(
    "19 ROLLBACK hangs: ends in time with the first error, and the connection is discarded",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap("ROLLBACK", "swallow")
        const [error, took] = yield* timed(
          Effect.flip(MainDb.withTransaction(Effect.zipRight(insert(1), Effect.fail("the first error"))))
        )
        expect(error).toBe("the first error")
        expect(took).toBeLessThan(2_500)
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
        expect(yield* ids(stage)).toEqual([])
      })
  )

  fault(
    "19 ROLLBACK fails: ends with the first error, and the connection is discarded",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap("ROLLBACK", "reset")
        const error = yield* Effect.flip(
          MainDb.withTransaction(Effect.zipRight(insert(1), Effect.fail("the first error")))
        )
        expect(error).toBe("the first error")
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
        expect(yield* ids(stage)).toEqual([])
      })
  )
})
