/**
 * Borrowed from Effect: the class of its primitives, to make `Effect.async` and `Effect.uninterruptibleMask` of our own for
 * what every statement and transaction runs through.
 *
 * Effect makes both with `effect.effect_instruction_i0 = (resume) => …`. V8 takes a function literal that is assigned to a
 * property for the set-up of a class, and allocates it in the old generation. There it keeps whatever it refers to (the
 * statement, its parameters, its rows) until the next full collection, and V8 learns from that to allocate those in the old
 * generation too. Transactions took a quarter more CPU for it. A literal that is given a name first is young.
 *
 * Where Effect's primitives look otherwise than we know them, its own functions are used.
 */
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"

/** Makes an effect interruptible again, as an uninterruptible region hands it out. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Primitive {
  readonly _op: string
  effect_instruction_i0: unknown
  effect_instruction_i1: unknown
}

const ASYNC = "Async"
const FLAGS = "UpdateRuntimeFlags"
const INTERRUPTIBLE = RuntimeFlagsPatch.enable(RuntimeFlags.Interruption)
const UNINTERRUPTIBLE = RuntimeFlagsPatch.disable(RuntimeFlags.Interruption)

const sample = Effect.uninterruptible(Effect.void) as unknown as Primitive & { readonly constructor: Function }

const isKnown = ((): boolean => {
  // Without a parameter it would be an effect with an AbortController.
  const wrapped = Effect.async<void>((_resume) => {}) as unknown as { readonly commit?: () => Primitive }
  const wait = typeof wrapped.commit === "function" ? wrapped.commit() : undefined
  return sample.constructor.length === 1 && sample._op === FLAGS && sample.effect_instruction_i0 === UNINTERRUPTIBLE
    && typeof sample.effect_instruction_i1 === "function" && wait?.constructor === sample.constructor
    && wait._op === ASYNC && typeof wait.effect_instruction_i0 === "function"
    && wait.effect_instruction_i1 === FiberId.none
})()

const PrimitiveClass = sample.constructor as new(op: string) => Primitive

const primitive = <A, E, R>(op: string, first: unknown, second: unknown): Effect.Effect<A, E, R> => {
  const made = new PrimitiveClass(op)
  made.effect_instruction_i0 = first
  made.effect_instruction_i1 = second
  return made as unknown as Effect.Effect<A, E, R>
}

/** `Effect.async` for a `register` that returns no canceller. What it throws after it has answered is lost; before, it is a defect. */
export const async: <A, E = never>(
  register: (resume: (effect: Effect.Effect<A, E>) => void) => void
) => Effect.Effect<A, E> = isKnown
  ? (register) => primitive(ASYNC, register, FiberId.none)
  : (register) => Effect.async((resume) => register(resume))

const withFlags = (patch: RuntimeFlagsPatch.RuntimeFlagsPatch): Restore => (effect) => {
  const body = (): typeof effect => effect
  return primitive(FLAGS, patch, body)
}

/** `Effect.interruptible`. */
export const interruptible: Restore = isKnown ? withFlags(INTERRUPTIBLE) : Effect.interruptible
const uninterruptible = withFlags(UNINTERRUPTIBLE)

/** `Effect.uninterruptibleMask`. */
export const uninterruptibleMask: <A, E, R>(
  body: (restore: Restore) => Effect.Effect<A, E, R>
) => Effect.Effect<A, E, R> = isKnown
  ? (body) => {
    const inside = (outer: RuntimeFlags.RuntimeFlags): ReturnType<typeof body> =>
      body(RuntimeFlags.interruption(outer) ? interruptible : uninterruptible)
    return primitive(FLAGS, UNINTERRUPTIBLE, inside)
  }
  : Effect.uninterruptibleMask
