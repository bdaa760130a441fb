/** A login that is refused while connections are in use. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultOnStage, inUse } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { layerOf, type Options, type Stage } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

const options: Options = { poolSize: 3, maxOverflow: 0, connectTimeout: "5 seconds" }

/** Two borrowers and a third one who needs a dial, which is refused: the password was changed. */
const test = (
  name: string,
  given: Options,
  body: (
    waiter: Fiber.RuntimeFiber<number, unknown>,
    giveBack: Effect.Effect<unknown>,
    held: ReadonlyArray<number>,
    stage: Stage
  ) => Effect.Effect<unknown, unknown, MainDb>
): void =>
  faultOnStage(`52 ${name}`, (stage: Stage) =>
    Effect.gen(function*() {
      const as = yield* plainUser(stage)
      yield* Effect.gen(function*() {
        const latch = yield* Effect.makeLatch()
        const held: Array<number> = []
        const hold = MainDb.withTransaction(
          Effect.zipLeft(Effect.map(connectionId, (id) => void held.push(id)), latch.await)
        )
        const holders = yield* Effect.fork(Effect.all([hold, hold], { concurrency: 2 }))
        yield* eventually(Effect.sync(() => expect(held).toHaveLength(2)))
        yield* stage.admin(`ALTER USER ${stage.database}@'127.0.0.1' IDENTIFIED BY 'changed'`)
        const waiter = yield* Effect.fork(connectionId)
        yield* eventually(Effect.map(MainDb.stats, ({ dialFailures }) => expect(dialFailures).toBeGreaterThan(0)))
        yield* body(waiter, latch.open, held, stage)
        yield* latch.open
        yield* Fiber.join(holders)
        yield* inUse(0)
      }).pipe(Effect.provide(layerOf(as(stage.url), { ...options, ...given })))
    }))

test(
  "a borrower waits for the connections that are in use, and gets the first that comes back",
  {},
  (waiter, giveBack, held) =>
    Effect.gen(function*() {
      yield* Effect.sleep("100 millis")
      expect(waiter.unsafePoll()).toBeNull()
      yield* giveBack
      expect(held).toContain(yield* Fiber.join(waiter))
    })
)

test(
  "if none comes back, the error at the deadline says why",
  { poolTimeout: "1 second" },
  (waiter) =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(Fiber.join(waiter))).toMatchObject({
        reason: "PoolTimeout",
        detail: expect.stringContaining("(LoginRefused, errno 1045)"),
        cause: { reason: "LoginRefused" }
      })
    })
)

test(
  "when no connection is left, a borrower is refused at once",
  {},
  (waiter, giveBack, held, { admin }) =>
    Effect.gen(function*() {
      yield* giveBack
      yield* Fiber.join(waiter)
      yield* inUse(0)
      yield* Effect.forEach(held, (id) => admin(`KILL ${id}`))
      yield* eventually(Effect.map(MainDb.stats, ({ idle }) => expect(idle).toBe(0)))
      const [error, took] = yield* timed(Effect.flip(connectionId))
      expect(error).toMatchObject({ reason: "LoginRefused" })
      expect(took).toBeLessThan(1_500)
    })
)
