/**
 * From a payload to JSON. JSON writes some values as others without a word (a Map as `{}`, NaN as `null`); a payload that
 * holds one of these is refused, with the place. First everything is looked at, then the engine writes all of it at once:
 * a `replacer` would be called for each value, which takes five times as long.
 */
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import { types } from "node:util"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"
import * as Place from "./place.ts"

/** What is wrong with a value, and where it is: the steps to it, the last one first. */
interface Problem {
  readonly detail: string
  readonly hint?: string | undefined
  readonly steps: Array<Place.Step>
}

/** The deepest nesting. Deeper is taken for a value that refers to itself; receivers' parsers have limits, too. */
const DEEPEST = 1000

export const toJson = (payload: unknown): Either.Either<string, Refusal> => {
  let problem: Problem | undefined
  try {
    problem = problemOf(payload, 0)
    if (problem === undefined) {
      const body = JSON.stringify(payload) as string | undefined
      if (body !== undefined) {
        // All other characters that SQS refuses are escaped in JSON.
        if (!body.includes("\uFFFE") && !body.includes("\uFFFF")) return Either.right(body)
        problem = refusedText(payload, 0) ?? found("contains U+FFFE or U+FFFF, which SQS refuses")
      }
    }
  } catch {
    // Of a payload that takes too much of the stack, of one that changes while it is read, and of one that is too long.
    problem = undefined
  }
  const { detail, hint, steps } = problem ?? found("cannot be written as JSON")
  return steps.length === 0
    ? refuse("payload", detail, hint)
    : refuse("payload", `${detail}, at ${Place.format("payload", steps.reverse())}`, hint)
}

const found = (detail: string, hint?: string): Problem => ({ detail, hint, steps: [] })

const at = (problem: Problem, step: Place.Step): Problem => {
  problem.steps.push(step)
  return problem
}

const problemOf = (value: unknown, depth: number): Problem | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      // What JSON can hold, and what every receiver reads as the same number.
      return Number.isSafeInteger(value) ? undefined : otherNumber(value)
    case "object":
      return value === null ? undefined : problemOfObject(value, depth)
    case "undefined":
      return found("is undefined, which is nothing in JSON", "leave it out, or send null")
    case "bigint":
      return found("has a bigint, which JSON does not know", "send it as a text")
    default:
      return found(`has a ${typeof value}, which is nothing in JSON`)
  }
}

const otherNumber = (value: number): Problem | undefined => {
  if (Number.isNaN(value) || !Number.isFinite(value)) {
    return found("has a number that is not finite", "send null or a text")
  }
  return Number.isInteger(value)
    ? found("has an integer beyond 2^53 - 1, which receivers read as another one", "send it as a text")
    : undefined
}

const problemOfObject = (value: object, depth: number): Problem | undefined => {
  if (depth >= DEEPEST) return found(`refers to itself, or is nested more than ${DEEPEST} deep`)
  let toJSON: unknown
  try {
    toJSON = (value as { readonly toJSON?: unknown }).toJSON
  } catch {
    return unreadable()
  }
  if (Array.isArray(value)) {
    return typeof toJSON === "function" ? convertedProblem(value, toJSON, depth) : problemOfArray(value, depth)
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    const problem = problemOfInstance(value, toJSON)
    if (problem !== undefined) return problem
  }
  return typeof toJSON === "function" ? convertedProblem(value, toJSON, depth) : problemOfFields(value, depth)
}

const unreadable = (): Problem => found("cannot be read: a getter, a toJSON or a Proxy throws")

const problemOfArray = (value: ReadonlyArray<unknown>, depth: number): Problem | undefined => {
  for (let index = 0; index < value.length; index++) {
    const item = value[index]
    if (typeof item === "string") continue
    const problem = item === undefined
      ? found("has an array with undefined or with a hole in it, which JSON writes as null", "send null")
      : problemOf(item, depth + 1)
    if (problem !== undefined) return at(problem, index)
  }
  return undefined
}

const problemOfFields = (value: object, depth: number): Problem | undefined => {
  let key: string | undefined
  try {
    for (key in value) {
      if (key === "__proto__") return at(found("has a key `__proto__`, which changes the prototype of a copy"), key)
      const item = (value as Record<string, unknown>)[key]
      // Most values are of these types, and are not worth a call.
      if (typeof item === "string" || item === undefined || item === null) continue
      const problem = typeof item === "object" ? problemOfObject(item, depth + 1) : problemOf(item, depth + 1)
      // Inherited fields are not sent.
      if (problem !== undefined && Object.hasOwn(value, key)) return at(problem, key)
    }
  } catch {
    const problem = unreadable()
    return key === undefined ? problem : at(problem, key)
  }
  return undefined
}

/** Objects that are neither plain nor arrays, of whatever realm. */
const problemOfInstance = (value: object, toJSON: unknown): Problem | undefined => {
  if (types.isDate(value)) {
    return Number.isNaN(value.getTime()) ? found("has a Date that is invalid, which JSON writes as null") : undefined
  }
  const kind = kindOf(value)
  if (kind !== undefined) {
    return found(`has ${kind}, which JSON does not know`, "send a plain object, an array or a text")
  }
  // `Headers`, `URLSearchParams`, `WeakRef`: what they hold is not in their fields.
  return typeof toJSON !== "function" && Object.keys(value).length === 0
      && Object.prototype.toString.call(value) !== "[object Object]"
    ? found("has an object of the platform without fields, which JSON writes as {}", "send a plain object")
    : undefined
}

/** Kinds of objects that are never what JSON makes of them, whatever `toJSON` a library has given them. */
const kindOf = (value: object): string | undefined =>
  types.isMap(value)
    ? "a Map"
    : types.isSet(value)
    ? "a Set"
    : types.isWeakMap(value) || types.isWeakSet(value)
    ? "a weak collection"
    : ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)
    ? "a sequence of bytes"
    : types.isRegExp(value)
    ? "a RegExp"
    : types.isNativeError(value)
    ? "an Error"
    : types.isPromise(value)
    ? "a Promise"
    : types.isBoxedPrimitive(value)
    ? "a boxed primitive"
    : types.isGeneratorObject(value)
    ? "a Generator"
    : undefined

/** An object that says itself what it is in JSON. */
const convertedProblem = (value: object, toJSON: Function, depth: number): Problem | undefined => {
  let converted: unknown
  try {
    converted = toJSON.call(value, "")
  } catch {
    return unreadable()
  }
  if (converted === "<redacted>") {
    return found("has a Redacted, of which JSON shows nothing", "send the secret's name, or its value on purpose")
  }
  if (isOfEffect(value) && Predicate.hasProperty(converted, "_id") && typeof converted._id === "string") {
    return found(
      "has a value of Effect (such as Option, Duration or Chunk), of which JSON shows a description",
      "give the queue a schema with Queue.of, or encode it first, as for an outbox"
    )
  }
  if (typeof converted !== "object" || converted === null) return problemOf(converted, depth)
  // JSON asks an object once.
  return Array.isArray(converted)
    ? problemOfArray(converted, depth + 1)
    : kindOf(converted) !== undefined || types.isDate(converted)
    ? found(`has a toJSON that gives ${kindOf(converted) ?? "a Date"}, which JSON does not know`)
    : problemOfFields(converted, depth + 1)
}

/** Documents of other libraries have an `_id` as well. */
const isOfEffect = (value: object): boolean => Equal.isEqual(value) || Predicate.hasProperty(value, "pipe")

/** The first text with a character that JSON does not escape and SQS refuses. */
const refusedText = (value: unknown, depth: number): Problem | undefined => {
  if (typeof value === "string") {
    return value.includes("\uFFFE") || value.includes("\uFFFF")
      ? found("contains U+FFFE or U+FFFF, which SQS refuses")
      : undefined
  }
  if (typeof value !== "object" || value === null || depth > DEEPEST) return undefined
  for (const [key, item] of Object.entries(value)) {
    const step = Array.isArray(value) ? Number(key) : key
    const problem = refusedText(key, depth) ?? refusedText(item, depth + 1)
    if (problem !== undefined) return at(problem, step)
  }
  return undefined
}
