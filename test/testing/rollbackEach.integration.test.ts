/** `Testing.rollbackEach`: every test of an `it` in a sandbox of its own, however it is written. */
import { MainDb } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import { expect, expectTypeOf, it as plain, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { main } from "../support/db/databases.ts"
import { ids, setUp, write } from "../support/db/records.ts"

class Words extends Context.Tag("test/Words")<Words, string>() {}

const Prepared = Layer.effectDiscard(Effect.orDie(setUp)).pipe(Layer.provideMerge(main()))

/** Finds nothing, and leaves a row. */
const alone = Effect.gen(function*() {
  expect(yield* ids).toEqual([])
  yield* write(1)
  expect(yield* ids).toEqual([1])
})

layer(Prepared)("tests that are rolled back", (outer) => {
  const it = Testing.rollbackEach(outer, MainDb)

  it.effect("find nothing", () => alone)
  it.effect("of one another", () => alone)
  it.effect.each([1, 2])("with cases: %s", (id) => Effect.zipRight(alone, write(id + 1)))
  it.effect.skipIf(true)("that are skipped are skipped", () => Effect.die("ran"))
  it.effect.skip("that are skipped outright, too", () => Effect.die("ran"))
  it.effect.runIf(true)("that run on a condition", () => alone, 10_000)
  it.effect.fails("that are expected to fail", () => Effect.zipRight(alone, Effect.fail("no")))
  it.effect.prop(
    "with properties",
    [Schema.Int.pipe(Schema.between(2, 9))],
    ([id]) => Effect.asVoid(Effect.zipRight(alone, write(id))),
    {
      fastCheck: { numRuns: 5 }
    }
  )
  it.effect.prop(
    "with named properties",
    { id: Schema.Int.pipe(Schema.between(2, 9)) },
    ({ id }) => Effect.asVoid(Effect.zipRight(alone, write(id))),
    {
      fastCheck: { numRuns: 5 }
    }
  )
  it.scoped("may use the database as they close", () =>
    Effect.gen(function*() {
      yield* alone
      yield* Effect.addFinalizer(() => Effect.map(Effect.orDie(ids), (found) => expect(found).toEqual([1])))
    }))
  it("without an effect are as they were", () => {
    expect(1).toBe(1)
  })
  it.layer(Layer.succeed(Words, "x"))("nested", (it) => {
    it.effect("find nothing", () => Effect.zipRight(alone, Words))
    it.scoped("of one another", () => alone)
  })
  outer.effect("leave nothing", () => Effect.map(ids, (found) => expect(found).toEqual([])))

  plain("needs an `it` with the database", () => {
    expectTypeOf(outer).toExtend<Testing.TestMethods<MainDb>>()
    expectTypeOf(plain).not.toExtend<Testing.TestMethods<MainDb>>()
  })
})

layer(Prepared)("tests that name no database", (outer) => {
  const it = Testing.rollbackEach(outer)

  it.effect("are rolled back in all that they are given", () => alone)
  it.effect("each by itself", () => alone)
  outer.effect("so is one effect", () => Effect.zipRight(Testing.rollback(alone), Testing.rollback(alone)))
})

plain.effect("without a database there is nothing to roll back, and it is told", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Testing.rollback(Effect.void))
    expect(error.message).toContain("the test is given no database of ours")
  }))
