/**
 * Borrowed from Effect: a fiber's context and request cache, and one more reference, set by hand.
 *
 * `Effect.locally` and `Effect.provide` do the same with a scope of their own, which costs as much as a statement.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RuntimeFiber } from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Request from "effect/Request"

/** A reference, and its value while a body runs. */
export interface Setting<A> {
  readonly ref: FiberRef.FiberRef<A>
  readonly value: (outer: A) => A
}

export type ExitWith = <A, E, B, E2, R>(
  context: Context.Context<never>,
  body: Effect.Effect<A, E>,
  then: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R>,
  setting?: Setting<any>
) => Effect.Effect<B, E2, R>

/** What a fiber has besides its interface: its references as they are, of which `getFiberRefs` makes a copy at each call. */
interface Known {
  readonly _fiberRefs: FiberRefs.FiberRefs
  setFiberRefs(fiberRefs: FiberRefs.FiberRefs): void
}

const isKnown = Effect.runSync(Effect.withFiberRuntime((fiber) => {
  const { _fiberRefs, setFiberRefs } = fiber as RuntimeFiber<any, any> & Partial<Known>
  return Effect.succeed(_fiberRefs?.locals instanceof Map && typeof setFiberRefs === "function")
}))

const atOnce: ExitWith = (context, body, then, setting) =>
  Effect.withFiberRuntime((runtime) => {
    const fiber = runtime as typeof runtime & Known
    const change = new Change(fiber.id(), fiber._fiberRefs, context, setting)
    fiber.setFiberRefs(change.inner)
    // A request that is batched with others goes on in another fiber.
    const goOn = (exit: Parameters<typeof then>[0]): ReturnType<typeof then> =>
      Effect.withFiberRuntime((runtime) => {
        const fiber = runtime as typeof runtime & Known
        fiber.setFiberRefs(change.undo(fiber._fiberRefs))
        return then(exit)
      })
    const onSuccess = (value: Effect.Effect.Success<typeof body>): ReturnType<typeof then> => goOn(Exit.succeed(value))
    const onFailure = (cause: Cause.Cause<Effect.Effect.Error<typeof body>>): ReturnType<typeof then> =>
      goOn(Exit.failCause(cause))
    return Effect.matchCauseEffect(body, { onFailure, onSuccess })
  })

const stepByStep: ExitWith = (context, body, then, setting) => {
  let change: Change
  const enter = Effect.updateFiberRefs((id, outer) => {
    change = new Change(id, outer, context, setting)
    return change.inner
  })
  const leave = Effect.updateFiberRefs((_, fiberRefs) => change.undo(fiberRefs))
  return Effect.flatMap(Effect.zipRight(enter, Effect.zipLeft(Effect.exit(body), leave)), then)
}

/**
 * Runs a body with that context and a request cache of its own, sets both back, and goes on with the body's exit. Must run
 * in an uninterruptible region; `body` itself must restore interruption. What the body has changed a `setting` to stays.
 */
export const exitWith: ExitWith = isKnown ? atOnce : stepByStep

/** `FiberRefs.updateManyAs` compares old and new contexts value by value, which costs as much as a short statement. */
class Change {
  readonly inner: FiberRefs.FiberRefs
  readonly #id: FiberId.Single
  readonly #outer: FiberRefs.FiberRefs
  readonly #setting: Setting<any> | undefined
  readonly #innerSetting: unknown

  constructor(
    id: FiberId.Single,
    outer: FiberRefs.FiberRefs,
    context: Context.Context<never>,
    setting: Setting<any> | undefined
  ) {
    const values = new Map(outer.locals)
    set(values, FiberRef.currentContext, id, context)
    set(values, FiberRef.currentRequestCache, id, ownRequestCache())
    if (setting !== undefined) {
      this.#innerSetting = setting.value(FiberRefs.getOrDefault(outer, setting.ref))
      set(values, setting.ref, id, this.#innerSetting)
    }
    this.inner = FiberRefs.unsafeMake(values)
    this.#id = id
    this.#outer = outer
    this.#setting = setting
  }

  undo({ locals }: FiberRefs.FiberRefs): FiberRefs.FiberRefs {
    const values = new Map(locals)
    this.#setBack(values, FiberRef.currentContext)
    this.#setBack(values, FiberRef.currentRequestCache)
    const ref = this.#setting?.ref
    if (ref !== undefined && locals.get(ref)?.[0][1] === this.#innerSetting) this.#setBack(values, ref)
    return FiberRefs.unsafeMake(values)
  }

  /**
   * The first value is from now on set by this fiber even where it was inherited: a child that is joined after the body is
   * compared with what this fiber has, and would bring the transaction along.
   */
  #setBack(values: Locals, ref: FiberRef.FiberRef<any>): void {
    const outer = this.#outer.locals.get(ref)
    const isOwn = outer?.[0][0] === this.#id
    values.set(ref, isOwn ? outer : [[this.#id, FiberRefs.getOrDefault(this.#outer, ref)], ...outer ?? []])
  }
}

/** Each reference has its values with the fibers that have set them, the last one first. */
type Locals = FiberRefs.FiberRefs["locals"]

const set = (values: Locals, ref: FiberRef.FiberRef<any>, id: FiberId.Single, value: unknown): void => {
  const outer = values.get(ref)
  const others = outer === undefined ? [] : outer[0][0] === id ? outer.slice(1) : outer
  values.set(ref, [[id, value], ...others])
}

const NO_CACHE = {} as Request.Cache

/**
 * A request cache for the body of a transaction. The default cache belongs to the whole process: the body would read
 * answers that are older than the transaction, and store answers that may be rolled back. The cache is made on first
 * use, because most bodies never use it.
 */
const ownRequestCache = (): Request.Cache => {
  let cache: Request.Cache | undefined
  const own = (): Request.Cache =>
    cache ??= Effect.runSync(Request.makeCache({ capacity: 65_536, timeToLive: "60 seconds" }))
  // Given a name first, the function is a young object: see `effectPrimitives.ts`.
  const get = (_: Request.Cache, key: string | symbol): unknown => Reflect.get(own(), key)
  return new Proxy(NO_CACHE, { get })
}

/** Runs an effect in another context, with a request cache of its own: one that enters a transaction, or leaves it. */
export const inContext = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  change: (context: Context.Context<R>) => Context.Context<R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.mapInputContext(Effect.withRequestCache(effect, ownRequestCache()), change))
