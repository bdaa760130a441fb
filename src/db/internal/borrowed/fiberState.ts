/**
 * Borrowed from Effect: a fiber's context and request cache, set by hand, and the identity of Effect's default tracer.
 *
 * `Effect.locally` and `Effect.provide` do the same with a scope of their own, which costs as much as a statement.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Request from "effect/Request"
import * as Tracer from "effect/Tracer"

type AnyFiber = Fiber.RuntimeFiber<any, any>

/**
 * Runs a body with that context and a request cache of its own, sets both back, and returns the body's exit. Must run
 * in an uninterruptible region; `body` itself must restore interruption.
 */
export const exitWith = <A, E>(
  fiber: AnyFiber,
  context: Context.Context<never>,
  body: Effect.Effect<A, E>
): Effect.Effect<Exit.Exit<A, E>> => {
  const outerContext = fiber.currentContext
  const outerCache = fiber.getFiberRef(FiberRef.currentRequestCache)
  return Effect.zipRight(
    set(context, ownRequestCache()),
    Effect.zipLeft(Effect.exit(body), set(outerContext, outerCache))
  )
}

const set = (context: Context.Context<never>, cache: Request.Cache): Effect.Effect<void> =>
  Effect.updateFiberRefs((fiberId, fiberRefs) =>
    FiberRefs.updateManyAs(fiberRefs, {
      entries: [
        [FiberRef.currentContext, [[fiberId, context]]],
        [FiberRef.currentRequestCache, [[fiberId, cache]]]
      ]
    })
  )

/**
 * A request cache for the body of a transaction. The default cache belongs to the whole process: the body would read
 * answers that are older than the transaction, and store answers that may be rolled back. The cache is made on first
 * use, because most bodies never use it.
 */
export const ownRequestCache = (): Request.Cache => {
  let cache: Request.Cache | undefined
  const own = (): Request.Cache =>
    cache ??= Effect.runSync(Request.makeCache({ capacity: 65_536, timeToLive: "60 seconds" }))
  return new Proxy({} as Request.Cache, { get: (_, key) => Reflect.get(own(), key) })
}

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Whether a tracer is installed. The default tracer exports nothing, so no span is made for it. */
export const isTraced = (fiber: AnyFiber): boolean =>
  Context.get(fiber.currentDefaultServices, Tracer.Tracer) !== nativeTracer
