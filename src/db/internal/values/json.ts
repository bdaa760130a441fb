/** Values as JSON, where it says exactly what they are. `JSON.stringify` leaves out or changes what JSON does not have. */
import * as Redacted from "effect/Redacted"

/**
 * The JSON of an object or an array; or what in it has none.
 *
 * Refused are, at any depth: NaN and infinities, bigints, functions, symbols, `undefined` in an array, bytes, Map, Set and
 * whatever else hides its content, Redacted and those values of Effect whose `toJSON` is for logs. A property that is
 * `undefined` is left out, as everywhere in JavaScript. A Date is its ISO text.
 */
export const writeJson = (value: object): { readonly json: string } | { readonly inexact: string } => {
  try {
    const inexact = findInexactIn(value)
    if (inexact !== undefined) return { inexact }
    const json: unknown = JSON.stringify(value)
    return typeof json === "string" ? { json } : { inexact: "something that JSON leaves out" }
  } catch {
    return { inexact: "a cycle, or a property or a toJSON that throws" }
  }
}

const findInexact = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : "NaN or an infinity"
    case "object":
      return value === null ? undefined : findInexactIn(value)
    default:
      return typeof value
  }
}

const findInexactIn = (value: object): string | undefined => {
  if (Array.isArray(value)) return firstInexact(value)
  if (Redacted.isRedacted(value)) return "a Redacted"
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "an invalid Date" : undefined
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (hiding.has(kind) || ArrayBuffer.isView(value)) return `a ${kind}`
  const { toJSON } = value as { readonly toJSON?: unknown }
  if (typeof toJSON !== "function") return firstInexact(defined(value))
  const written: unknown = toJSON.call(value, "")
  if (typeof written !== "object" || written === null) return findInexact(written)
  // Effect's classes write themselves for people to read: { _id: "Option", … }.
  const { _id } = written as { readonly _id?: unknown }
  return typeof _id === "string" ? `a value of Effect's type ${_id}` : firstInexact(defined(written))
}

const defined = (value: object): ReadonlyArray<unknown> => Object.values(value).filter((each) => each !== undefined)

/** Holes of an array count as `undefined`. */
const firstInexact = (values: ReadonlyArray<unknown>): string | undefined => {
  for (const value of values) {
    const inexact = findInexact(value)
    if (inexact !== undefined) return inexact
  }
  return undefined
}

/** What `Object.prototype.toString` calls objects whose content is not in their properties. */
const hiding = new Set(
  ("Map Set WeakMap WeakSet WeakRef Promise RegExp Error ArrayBuffer SharedArrayBuffer Generator AsyncGenerator Number String "
    + "Boolean BigInt Symbol").split(" ")
)
