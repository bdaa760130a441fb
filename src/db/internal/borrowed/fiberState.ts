/**
 * Borrowed from Effect: a fiber's context and request cache, and one more reference, set by hand.
 *
 * `Effect.locally` and `Effect.provide` do the same with a scope of their own, which costs as much as a statement.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Request from "effect/Request"

/** A reference, and its value while a body runs. */
export interface Setting<A> {
  readonly ref: FiberRef.FiberRef<A>
  readonly value: (outer: A) => A
}

/**
 * Runs a body with that context and a request cache of its own, sets both back, and returns the body's exit. Must run
 * in an uninterruptible region; `body` itself must restore interruption. What the body has changed a `setting` to stays.
 */
export const exitWith = <A, E>(
  context: Context.Context<never>,
  body: Effect.Effect<A, E>,
  setting?: Setting<any>
): Effect.Effect<Exit.Exit<A, E>> => {
  let outerContext: Values
  let outerCache: Values
  let outerSetting: Values
  let innerSetting: unknown
  const enter = Effect.updateFiberRefs((id, fiberRefs) => {
    outerContext = valuesOf(fiberRefs, FiberRef.currentContext, id)
    outerCache = valuesOf(fiberRefs, FiberRef.currentRequestCache, id)
    const values = withBoth(fiberRefs, inside(outerContext, context), inside(outerCache, ownRequestCache()))
    if (setting !== undefined) {
      outerSetting = valuesOf(fiberRefs, setting.ref, id)
      innerSetting = setting.value(outerSetting[0][1])
      values.set(setting.ref, inside(outerSetting, innerSetting))
    }
    return FiberRefs.unsafeMake(values)
  })
  const leave = Effect.updateFiberRefs((_, fiberRefs) => {
    const values = withBoth(fiberRefs, outerContext, outerCache)
    if (setting !== undefined && values.get(setting.ref)?.[0][1] === innerSetting) values.set(setting.ref, outerSetting)
    return FiberRefs.unsafeMake(values)
  })
  return Effect.zipRight(enter, Effect.zipLeft(Effect.exit(body), leave))
}

type Locals = FiberRefs.FiberRefs["locals"]

/** The values of one reference, each with the fiber that has set it, the last one first. */
type Values = Locals extends Map<any, infer V> ? V : never

type Changing = Map<FiberRef.FiberRef<any>, Values>

/**
 * The values of a reference, the first as set by this fiber even where it was inherited: a child that is joined after the
 * body is compared with what this fiber has, and would bring the transaction along.
 */
const valuesOf = <A>(fiberRefs: FiberRefs.FiberRefs, ref: FiberRef.FiberRef<A>, id: FiberId.Single): Values => {
  const values = fiberRefs.locals.get(ref)
  if (values?.[0][0] === id) return values
  return [[id, FiberRefs.getOrDefault(fiberRefs, ref)], ...values ?? []]
}

const inside = ([[id], ...outer]: Values, value: unknown): Values => [[id, value], ...outer]

/** `FiberRefs.updateManyAs` compares old and new contexts value by value, which costs as much as a short statement. */
const withBoth = ({ locals }: FiberRefs.FiberRefs, context: Values, cache: Values): Changing =>
  new Map(locals).set(FiberRef.currentContext, context).set(FiberRef.currentRequestCache, cache)

const NO_CACHE = {} as Request.Cache

/**
 * A request cache for the body of a transaction. The default cache belongs to the whole process: the body would read
 * answers that are older than the transaction, and store answers that may be rolled back. The cache is made on first
 * use, because most bodies never use it.
 */
export const ownRequestCache = (): Request.Cache => {
  let cache: Request.Cache | undefined
  const own = (): Request.Cache =>
    cache ??= Effect.runSync(Request.makeCache({ capacity: 65_536, timeToLive: "60 seconds" }))
  // Given a name first, the function is a young object: see `effectPrimitives.ts`.
  const get = (_: Request.Cache, key: string | symbol): unknown => Reflect.get(own(), key)
  return new Proxy(NO_CACHE, { get })
}
