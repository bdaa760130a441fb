/** Arguments that are objects: programs without types may give anything. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"

export const object = (field: string, value: unknown): Either.Either<void, Refusal> =>
  Predicate.isRecord(value) ? Either.void : refuse(field, "must be an object")

/** An object with nothing but names and values: a Map has none. */
export const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isRecord(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value))
