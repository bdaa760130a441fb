/** What we borrow of Effect's primitives. If this fails after an upgrade, read `src/internal/effectPrimitives.ts` first. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { async, type Restore, uninterruptibleMask } from "../../src/internal/effectPrimitives.ts"

const op = (effect: unknown): string => (effect as { readonly _op: string })._op

describe("Effect's primitives", () => {
  it("look as we know them, so that ours are used", () => {
    expect(op(async<void>((resume) => resume(Effect.void)))).toBe("Async")
    expect(op(uninterruptibleMask(() => Effect.void))).toBe("UpdateRuntimeFlags")
    expect(Effect.isEffect(async<void>(() => {}))).toBe(true)
  })
})

describe("async", () => {
  it.effect("takes the first answer, at once or later, each time that it is run", () =>
    Effect.gen(function*() {
      let runs = 0
      const answer = async<number>((resume) => {
        runs++
        resume(Effect.succeed(runs))
        resume(Effect.succeed(-1))
      })
      expect([yield* answer, yield* answer]).toEqual([1, 2])
      expect(yield* async<string>((resume) => setImmediate(() => resume(Effect.succeed("later"))))).toBe("later")
      expect(yield* Effect.flip(async<never, string>((resume) => resume(Effect.fail("no"))))).toBe("no")
    }))

  it.effect("dies of what its register throws", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(async<void>(() => {
        throw new Error("thrown")
      }))
      expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ message: "thrown" })
    }))

  it.effect("is interrupted while it waits", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(async<void>(() => {}))
      yield* Effect.yieldNow()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }))
})

describe("uninterruptibleMask", () => {
  /** What is left of an interruption that comes while the body waits for the gate. */
  const interrupted = (
    body: (wait: Effect.Effect<void>, restore: Restore) => Effect.Effect<void>,
    outer: (effect: Effect.Effect<void>) => Effect.Effect<void> = (effect) => effect
  ) =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const reached = yield* Deferred.make<void>()
      let ended = false
      const wait = Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate))
      const masked = uninterruptibleMask((restore) =>
        Effect.zipRight(
          body(wait, restore),
          Effect.sync(() => {
            ended = true
          })
        )
      )
      const fiber = yield* Effect.fork(outer(masked))
      yield* Deferred.await(reached)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interruption)
      return ended
    })

  it.effect("lets its body end, but not what it restores", () =>
    Effect.gen(function*() {
      expect(yield* interrupted((wait) => wait)).toBe(true)
      expect(yield* interrupted((wait, restore) => restore(wait))).toBe(false)
    }))

  it.effect("restores what was outside: in an uninterruptible region nothing is interruptible", () =>
    Effect.gen(function*() {
      expect(yield* interrupted((wait, restore) => restore(wait), Effect.uninterruptible)).toBe(true)
    }))

  it.effect("is over with its body, however that ends", () =>
    Effect.gen(function*() {
      yield* Effect.exit(uninterruptibleMask(() => Effect.fail("no")))
      yield* Effect.exit(uninterruptibleMask((): Effect.Effect<void> => {
        throw new Error("thrown")
      }))
      expect(yield* Effect.checkInterruptible((is) => Effect.succeed(is))).toBe(true)
    }))
})
