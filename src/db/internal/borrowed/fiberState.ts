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
import type * as FiberId from "effect/FiberId"
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
  context: Context.Context<never>,
  body: Effect.Effect<A, E>
): Effect.Effect<Exit.Exit<A, E>> => {
  let outerContext: Values | undefined
  let outerCache: Values | undefined
  const enter = Effect.updateFiberRefs((id, { locals }) => {
    outerContext = locals.get(FiberRef.currentContext)
    outerCache = locals.get(FiberRef.currentRequestCache)
    return withBoth(locals, inside(id, outerContext, context), inside(id, outerCache, ownRequestCache()))
  })
  const leave = Effect.updateFiberRefs((_, { locals }) => withBoth(locals, outerContext, outerCache))
  return Effect.zipRight(enter, Effect.zipLeft(Effect.exit(body), leave))
}

/** The values of one reference, each with the fiber that has set it, the last one first. */
type Values = Locals extends Map<any, infer V> ? V : never

type Locals = FiberRefs.FiberRefs["locals"]

const inside = (id: FiberId.Single, outer: Values | undefined, value: unknown): Values =>
  outer === undefined ? [[id, value]] : [[id, value], ...outer[0][0] === id ? outer.slice(1) : outer]

/** `FiberRefs.updateManyAs` compares old and new contexts value by value, which costs as much as a short statement. */
const withBoth = (locals: Locals, context: Values | undefined, cache: Values | undefined): FiberRefs.FiberRefs => {
  const changed = new Map(locals)
  put(changed, FiberRef.currentContext, context)
  put(changed, FiberRef.currentRequestCache, cache)
  return FiberRefs.unsafeMake(changed)
}

const put = (
  locals: Map<FiberRef.FiberRef<any>, Values>,
  ref: FiberRef.FiberRef<any>,
  values: Values | undefined
): void => void (values === undefined ? locals.delete(ref) : locals.set(ref, values))

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
