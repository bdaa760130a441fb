import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Turns from "../../../../src/aws/internal/storage/local/turns.ts"

const turn = Effect.repeatN(Effect.yieldNow(), 10)

describe("turns", () => {
  it.effect("run so many at a time, in the order of asking", () =>
    Effect.gen(function*() {
      const inTurn = Turns.make(2)
      const started: Array<number> = []
      const gates = yield* Effect.all(Array.from({ length: 5 }, () => Deferred.make<void>()))
      const all = yield* Effect.fork(Effect.forEach(gates, (gate, index) =>
        inTurn(Effect.zipRight(
          Effect.sync(() => started.push(index)),
          Deferred.await(gate)
        )), {
        concurrency: "unbounded"
      }))
      yield* turn
      expect(started).toEqual([0, 1])
      yield* Deferred.succeed(gates[1]!, undefined)
      yield* turn
      expect(started).toEqual([0, 1, 2])
      yield* Effect.forEach(gates, (gate) => Deferred.succeed(gate, undefined))
      yield* Fiber.join(all)
      expect(started).toEqual([0, 1, 2, 3, 4])
    }))

  it.effect("pass on when one fails, dies, or is interrupted at any time", () =>
    Effect.gen(function*() {
      const inTurn = Turns.make(1)
      yield* Effect.exit(inTurn(Effect.fail("no")))
      yield* Effect.exit(inTurn(Effect.dieMessage("no")))
      for (let yields = 0; yields < 12; yields++) {
        for (const first of [true, false]) {
          const one = yield* Effect.fork(inTurn(turn))
          const other = yield* Effect.fork(inTurn(turn))
          yield* Effect.repeatN(Effect.yieldNow(), yields)
          yield* Fiber.interrupt(first ? one : other)
          yield* Fiber.join(first ? other : one)
        }
      }
      expect(yield* inTurn(Effect.succeed("still"))).toBe("still")
    }))
})
