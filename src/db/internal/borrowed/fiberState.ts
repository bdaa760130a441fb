/**
 * Borrowed from Effect: a fiber's context and request cache, and one more reference, set by hand.
 *
 * `Effect.locally` and `Effect.provide` do the same with a scope of their own, which costs as much as a statement.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Request from "effect/Request"
import { copyOf } from "../../../internal/copyOf.ts"
import type { Restore } from "../../../internal/effectPrimitives.ts"
import { uninterruptibleMask } from "../../../internal/effectPrimitives.ts"

/** A reference, and its value while a body runs. */
export interface Setting<A> {
  readonly ref: FiberRef.FiberRef<A>
  readonly value: (outer: A) => A
}

/** A body, and what it runs in. */
export interface Inside<A, E, B, E2, R> {
  readonly context: Context.Context<never>
  /**
   * Made interruptible by `restore`, or otherwise. Not for interruption alone: with the step back from it the fiber says again
   * that it is the running one, whatever ran within.
   */
  readonly body: Effect.Effect<A, E>
  /** What is done with its exit. */
  readonly end: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R>
  readonly setting?: Setting<any> | undefined
}

export type ExitWith = <A, E, B, E2, R>(
  enter: (fiber: Fiber.RuntimeFiber<any, any>, restore: Restore) => Inside<A, E, B, E2, R>
) => Effect.Effect<B, E2, R>

/**
 * What a fiber has besides its interface: its references. `getFiberRefs`, which is what forks get them by, exchanges them for a
 * copy at each call.
 */
interface Known {
  readonly _fiberRefs: FiberRefs.FiberRefs
  setFiberRefs(fiberRefs: FiberRefs.FiberRefs): void
}

const isKnown = Effect.runSync(Effect.withFiberRuntime((fiber) => {
  const known = fiber as Fiber.RuntimeFiber<any, any> & Partial<Known>
  const { _fiberRefs, setFiberRefs } = known
  fiber.getFiberRefs()
  return Effect.succeed(
    _fiberRefs?.locals instanceof Map && typeof setFiberRefs === "function" && known._fiberRefs !== _fiberRefs
      && Option.getOrUndefined(Fiber.getCurrentFiber()) === fiber
  )
}))

const atOnce: ExitWith = (enter) =>
  uninterruptibleMask((restore) => {
    const fiber = running()
    const { body, context, end, setting } = enter(fiber, restore)
    const change = new Change(fiber.id(), fiber._fiberRefs, context, setting)
    fiber.setFiberRefs(change.inner)
    const goOn = (exit: Parameters<typeof end>[0]): ReturnType<typeof end> => {
      // A request that is batched with others goes on in another fiber.
      const fiber = running()
      fiber.setFiberRefs(change.undo(fiber._fiberRefs))
      return end(exit)
    }
    const onSuccess = (value: Effect.Effect.Success<typeof body>): ReturnType<typeof end> => goOn(Exit.succeed(value))
    const onFailure = (cause: Cause.Cause<Effect.Effect.Error<typeof body>>): ReturnType<typeof end> =>
      goOn(Exit.failCause(cause))
    return Effect.matchCauseEffect(body, { onFailure, onSuccess })
  })

/** `Effect.withFiberRuntime` is one more step of a fiber, and there are not many in a request. */
const running = (): Fiber.RuntimeFiber<any, any> & Known =>
  Option.getOrThrow(Fiber.getCurrentFiber()) as Fiber.RuntimeFiber<any, any> & Known

const stepByStep: ExitWith = (enter) =>
  uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const { body, context, end, setting } = enter(fiber, restore)
      let change: Change
      const apply = Effect.updateFiberRefs((id, outer) => {
        change = new Change(id, outer, context, setting)
        return change.inner
      })
      const undo = Effect.updateFiberRefs((_, fiberRefs) => change.undo(fiberRefs))
      return Effect.flatMap(Effect.zipRight(apply, Effect.zipLeft(Effect.exit(body), undo)), end)
    })
  )

/**
 * Runs a body in that context and with a request cache of its own, sets both back, and goes on with the body's exit. Not
 * interruptible, but for a body that was `restore`d. What the body has changed a `setting` to stays.
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
    this.#id = id
    this.#outer = outer
    this.#setting = setting
    const values = copyOf(outer.locals)
    set(values, FiberRef.currentContext, id, context)
    set(values, FiberRef.currentRequestCache, id, ownRequestCache())
    if (setting !== undefined) {
      this.#innerSetting = setting.value(FiberRefs.getOrDefault(outer, setting.ref))
      set(values, setting.ref, id, this.#innerSetting)
    }
    this.inner = FiberRefs.unsafeMake(values)
  }

  undo(now: FiberRefs.FiberRefs): FiberRefs.FiberRefs {
    const { currentContext, currentRequestCache } = FiberRef
    const context = this.#before(currentContext)
    // The body has set nothing and forked nothing, which shows where forks exchange the references, and the fiber has set its
    // context itself: most requests.
    const isUnchanged = isKnown && now === this.inner && this.#setting === undefined
    if (isUnchanged && context === this.#outer.locals.get(currentContext)) return this.#outer
    const values = copyOf(now.locals)
    values.set(currentContext, context)
    values.set(currentRequestCache, this.#before(currentRequestCache))
    const ref = this.#setting?.ref
    if (ref !== undefined && now.locals.get(ref)?.[0][1] === this.#innerSetting) values.set(ref, this.#before(ref))
    return FiberRefs.unsafeMake(values)
  }

  /**
   * What a reference was before. From now on it is set by this fiber even where it was inherited: a child that is joined after
   * the body is compared with what this fiber has, and would bring the transaction along.
   */
  #before(ref: FiberRef.FiberRef<any>): Values {
    const outer = this.#outer.locals.get(ref)
    return outer?.[0][0] === this.#id ? outer : [[this.#id, FiberRefs.getOrDefault(this.#outer, ref)], ...outer ?? []]
  }
}

/** The values of a reference with the fibers that have set them, the last one first. */
type Values = readonly [readonly [FiberId.Single, any], ...Array<readonly [FiberId.Single, any]>]

const set = (
  values: Map<FiberRef.FiberRef<any>, Values>,
  ref: FiberRef.FiberRef<any>,
  id: FiberId.Single,
  value: unknown
): void => {
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
  exitWith((fiber, restore) => ({
    context: change(fiber.currentContext as Context.Context<R>) as Context.Context<never>,
    body: restore(effect as Effect.Effect<A, E>),
    end: (exit: Exit.Exit<A, E>) => exit
  }))
