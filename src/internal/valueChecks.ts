/** Checks of the values of settings, shared by both wings: each gives the converted value, or what is wrong with it. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { QUOTED_VALUE, truncate } from "./textLimits.ts"

/** What is wrong (`detail`, a phrase that follows the name of the setting) and what to do about it (`hint`). */
export interface Finding {
  readonly detail: string
  readonly hint?: string
}

/** Checks a value: a text if it comes from the environment, of any type if the caller gave it. */
export type Check<A> = (value: unknown) => Either.Either<A, Finding>

/** A whole number from `min` to `max`. */
export const wholeNumber = (min: number, max: number): Check<number> => (value) => {
  const number = typeof value === "string" ? (/^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : undefined) : value
  return typeof number === "number" && Number.isInteger(number) && number >= min && number <= max
    ? Either.right(number)
    : mustBe(`a whole number from ${min} to ${max}`, value)
}

/** true/false, 1/0, yes/no or on/off, in any case. */
export const boolean: Check<boolean> = (value) => {
  const flag = typeof value === "string" ? booleanOf(value.trim()) : value
  return typeof flag === "boolean" ? Either.right(flag) : mustBe("true or false", value)
}

/** The usual spellings of true and false, in any case; `undefined` for any other text. */
export const booleanOf = (value: string): boolean | undefined =>
  /^(?:true|1|yes|on)$/i.test(value) ? true : /^(?:false|0|no|off)$/i.test(value) ? false : undefined

/** One of these names, in any case; `-`, `_` and spaces are the same. */
export const oneOf = <const A extends string>(names: ReadonlyArray<A>): Check<A> => (value) => {
  const plain = typeof value === "string" ? foldedName(value) : ""
  const found = names.find((name) => foldedName(name) === plain)
  return found === undefined ? mustBe(`one of ${names.join(", ")}`, value) : Either.right(found)
}

const foldedName = (text: string): string => text.trim().toUpperCase().replace(/[-_\s]+/g, " ")

/**
 * A duration, in milliseconds. A bare number in a text is seconds. `convert` gives the milliseconds to use, or
 * `undefined` for a duration that is not `wanted`.
 */
export const duration = (wanted: string, convert: (millis: number) => number | undefined): Check<number> => (value) => {
  const millis = millisOf(value)
  const converted = millis === undefined ? undefined : convert(millis)
  return converted === undefined
    ? mustBe(`${wanted}, as seconds or with a unit ("30", "500 millis")`, value)
    : Either.right(converted)
}

/** Milliseconds; `undefined` if the value is not a duration. */
const millisOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isNaN(value) ? undefined : value
  if (typeof value !== "string") {
    return Option.getOrUndefined(Option.map(Duration.decodeUnknown(value), Duration.toMillis))
  }
  const text = value.trim()
  if (/^[+-]?(?:\d+(?:\.\d+)?|infinity)$/i.test(text)) return Number(text.replace(/infinity/i, "Infinity")) * 1000
  return text.startsWith("-")
    ? undefined
    : Option.getOrUndefined(Option.map(Duration.decodeUnknown(text), Duration.toMillis))
}

/** An http(s) URL without user, query and fragment. The finding does not quote it, as it may hold a secret. */
export const httpUrl: Check<URL> = (value) => {
  if (typeof value !== "string" || !URL.canParse(value)) {
    return Either.left({ detail: "must be a URL such as https://host/path" })
  }
  const url = new URL(value)
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return Either.left({ detail: "must begin with https:// or http://" })
  }
  if (url.username !== "" || url.password !== "") {
    return Either.left({ detail: "must not hold a user name or a password" })
  }
  if (url.search !== "" || url.hash !== "") return Either.left({ detail: "must not hold a query or a fragment" })
  return Either.right(url)
}

/** The refusal of a value that is not what is wanted. It quotes the value: not for secrets. */
export const mustBe = (wanted: string, value: unknown, hint?: string): Either.Either<never, Finding> =>
  Either.left({ detail: `must be ${wanted}, not ${shown(value)}`, ...(hint === undefined ? {} : { hint }) })

const shown = (value: unknown): string =>
  truncate(
    typeof value === "string"
      ? JSON.stringify(value)
      : Duration.isDuration(value)
      ? Duration.format(value)
      : Inspectable.toStringUnknown(value, 0),
    QUOTED_VALUE
  )
