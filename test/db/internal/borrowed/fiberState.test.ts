/** What we borrow from Effect. When one of these fails after an upgrade, read `src/db/internal/borrowed` first. */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as FiberState from "../../../../src/db/internal/borrowed/fiberState.ts"

class Here extends Context.Tag("test/Here")<Here, string>() {}

class There extends Context.Tag("test/There")<There, string>() {}

/** The same module where fibers do not have what we know of them besides their interface. */
const withoutKnown = async (): Promise<typeof FiberState> => {
  const prototype = Effect.runSync(
    Effect.withFiberRuntime<{ setFiberRefs: unknown }>((fiber) => Effect.succeed(Object.getPrototypeOf(fiber)))
  )
  const { setFiberRefs } = prototype
  prototype.setFiberRefs = undefined
  try {
    const again = "../../../../src/db/internal/borrowed/fiberState.ts?again"
    return await import(/* @vite-ignore */ again)
  } finally {
    prototype.setFiberRefs = setFiberRefs
  }
}

class Find extends Request.TaggedClass("Find")<number, never, { readonly id: number }> {}

const unknown = await withoutKnown()

const run = <A, E>(exitWith: FiberState.ExitWith, body: Effect.Effect<A, E, Here>, setting?: FiberState.Setting<any>) =>
  exitWith((fiber, restore) => ({
    context: Context.add(fiber.currentContext, Here, "inside"),
    body: restore(body as Effect.Effect<A, E>),
    end: (exit: Exit.Exit<A, E>) => Effect.succeed(exit),
    setting
  }))

const observed = Effect.all([Effect.serviceOption(Here), FiberRef.get(FiberRef.currentRequestCache)])

const ways = [["at once", FiberState.exitWith], ["step by step", unknown.exitWith]] as const

it("goes the quick way, because fibers are as we know them", () => {
  expect(unknown.exitWith.name).not.toBe(FiberState.exitWith.name)
  expect(FiberState.exitWith.name).toBe("atOnce")
})

describe.each(ways)("a body with a context of its own, %s", (_, exitWith) => {
  const within = <A, E>(body: Effect.Effect<A, E, Here>) => run(exitWith, body)

  const bodies: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, Here>]> = [
    ["succeeds", Here],
    ["fails", Effect.zipRight(Here, Effect.fail("no"))],
    ["dies", Effect.zipRight(Here, Effect.die("bug"))],
    ["is interrupted", Effect.zipRight(Here, Effect.interrupt)],
    ["waits", Effect.zipRight(Effect.yieldNow(), Here)]
  ]
  for (const [how, body] of bodies) {
    it.effect(`leaves context and cache as they were when it ${how}`, () =>
      Effect.gen(function*() {
        const before = yield* observed
        const exit = yield* within(body)
        expect(Exit.isSuccess(exit)).toBe(how === "succeeds" || how === "waits")
        if (Exit.isSuccess(exit)) expect(exit.value).toBe("inside")
        expect(yield* observed).toEqual(before)
      }))
  }

  // In a forked fiber, because the first fiber of a program has set its context itself.
  it.effect("leaves nothing of it to a child that is joined later", () =>
    Effect.gen(function*() {
      const before = yield* observed
      const child = FiberState.inContext(Effect.yieldNow(), Context.add(There, "there"))
      yield* Fiber.join(yield* Effect.flatten(within(Effect.fork(child))))
      expect(yield* observed).toEqual(before)
    }).pipe(Effect.fork, Effect.flatMap(Fiber.join)))

  it.effect("lets a child that is joined later bring along no other cache than the one outside", () =>
    Effect.gen(function*() {
      const asked: Array<number> = []
      const resolver = RequestResolver.fromEffect(({ id }: Find) => Effect.sync(() => asked.push(id)))
      const find = (id: number) => Effect.request(new Find({ id }), resolver)
      const child = FiberState.inContext(Effect.yieldNow(), Context.add(There, "there"))
      // Not in the cache of the process, from this test or any other.
      const [outside, inside] = [Math.random(), Math.random()]
      yield* find(outside)
      yield* Fiber.join(yield* Effect.flatten(within(Effect.zipLeft(Effect.fork(child), find(inside)))))
      yield* find(outside)
      expect(asked).toEqual([outside, inside])
    }).pipe(Effect.withRequestCaching(true)))

  it.effect("has a request cache of its own", () =>
    Effect.gen(function*() {
      const outer = yield* FiberRef.get(FiberRef.currentRequestCache)
      const inner = yield* Effect.flatten(within(FiberRef.get(FiberRef.currentRequestCache)))
      expect(inner).not.toBe(outer)
    }))

  it.effect("leaves nothing of it where a request is batched, after which it goes on in another fiber", () =>
    Effect.gen(function*() {
      const resolver = RequestResolver.makeBatched((requests: ReadonlyArray<Find>) =>
        Effect.forEach(requests, (request) => Request.succeed(request, request.id), { discard: true })
      )
      const before = yield* observed
      const afterwards = yield* Effect.forEach(
        [1, 2],
        (id) => Effect.zipRight(within(Effect.zipRight(Here, Effect.request(new Find({ id }), resolver))), observed),
        { batching: true, concurrency: "unbounded" }
      )
      expect(afterwards).toEqual([before, before])
      expect(yield* observed).toEqual(before)
    }))

  it.effect("has one more reference while it runs, unless it changes that itself", () =>
    Effect.gen(function*() {
      const ref = FiberRef.unsafeMake("outside")
      const setting: FiberState.Setting<string> = { ref, value: (outer) => `${outer}, inside` }
      expect(yield* Effect.flatten(run(exitWith, FiberRef.get(ref), setting))).toBe("outside, inside")
      expect(yield* FiberRef.get(ref)).toBe("outside")
      yield* run(exitWith, FiberRef.set(ref, "changed"), setting)
      expect(yield* FiberRef.get(ref)).toBe("changed")
    }))

  it.effect("keeps what it has set of other references", () =>
    Effect.gen(function*() {
      const ref = FiberRef.unsafeMake(0)
      yield* within(FiberRef.set(ref, 1))
      expect(yield* FiberRef.get(ref)).toBe(1)
    }))
})

describe("the request cache of a transaction", () => {
  it.effect("works as any other once somebody looks at it", () =>
    Effect.gen(function*() {
      let asked = 0
      const resolver = RequestResolver.fromEffect(({ id }: Find) => Effect.sync(() => (asked++, id)))
      const twice = Effect.all([
        Effect.request(new Find({ id: 1 }), resolver),
        Effect.request(new Find({ id: 1 }), resolver)
      ])
      const once = FiberState.inContext(Effect.withRequestCaching(twice, true), (context) => context)
      expect(yield* once).toEqual([1, 1])
      expect(asked).toBe(1)
    }))
})
