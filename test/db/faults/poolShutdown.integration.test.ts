/** The end of the scope while connections are in use, waited for or dialled. */
import { describe, expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultOnStage, inUse, sleep } from "../../support/db/faults.ts"
import { layerOf, type Options } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

describe("shutdown", () => {
  const opened = (url: string, options: Options = {}) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerOf(url, options), scope)
      return { context, close: Scope.close(scope, Exit.void) }
    })

  faultOnStage("25 shutdown in use: waits for statements that run", ({ url }) =>
    Effect.gen(function*() {
      const { close, context } = yield* opened(url)
      const running = yield* Effect.fork(Effect.provide(sleep(0.4), context))
      yield* Effect.provide(inUse(1), context)
      yield* Effect.sleep("50 millis")
      const [, took] = yield* timed(close)
      expect(took).toBeGreaterThan(200)
      expect(took).toBeLessThan(1_300)
      expect(yield* Fiber.join(running)).toHaveLength(1)
      expect(yield* Effect.flip(Effect.provide(connectionId, context))).toMatchObject({ reason: "PoolClosed" })
    }))

  faultOnStage("25 shutdown in use: cuts them at the deadline", ({ url }) =>
    Effect.gen(function*() {
      const { close, context } = yield* opened(url)
      const running = yield* Effect.fork(Effect.provide(sleep(6), context))
      yield* Effect.provide(inUse(1), context)
      const [, took] = yield* timed(close)
      expect(took).toBeLessThan(5_500)
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ reason: "ConnectionLost" })
    }))

  faultOnStage(
    "26 shutdown with waiters and dials: all waiters fail at once",
    ({ proxy, url }) =>
      Effect.gen(function*() {
        yield* proxy.welcome("silent")
        const { close, context } = yield* opened(url, { connectTimeout: "10 seconds", poolTimeout: "10 seconds" })
        const waiters = yield* Effect.fork(
          Effect.all(Effect.replicate(Effect.exit(Effect.provide(connectionId, context)), 20), { concurrency: 20 })
        )
        yield* eventually(
          Effect.map(Effect.provide(MainDb.stats, context), (stats) =>
            expect(stats).toMatchObject({ dialling: 4, waiting: 20 }))
        )
        const [, took] = yield* timed(close)
        expect(took).toBeLessThan(800)
        for (const exit of yield* Fiber.join(waiters)) {
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ reason: "PoolClosed" })
        }
      })
  )
})
