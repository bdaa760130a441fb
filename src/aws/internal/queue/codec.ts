/** Between a payload and the value that is sent as JSON. No error quotes a payload. */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import type { ServiceError } from "../../../Errors.ts"
import { invalidInput } from "../errors/invalidInput.ts"
import * as Place from "./sending/place.ts"

export interface Codec<A, R> {
  /** The value that JSON is made of. An `Either` wherever the schema does not wait for something. */
  readonly encode: (operation: string, payload: A) => Effect.Effect<unknown, ServiceError, R>
  /** Fails with what is wrong. */
  readonly decode: (value: unknown) => Effect.Effect<A, string, R>
}

/** Payloads as they are. */
export const anything: Codec<unknown, never> = {
  encode: (_, payload) => Either.right(payload),
  decode: Either.right
}

export const ofSchema = <A, I, R>(schema: Schema.Schema<A, I, R>): Codec<A, R> => {
  const encode = ParseResult.encode(schema)
  const decode = ParseResult.decodeUnknown(schema)
  return {
    encode: (operation, payload) =>
      ParseResult.mapError(
        encode(payload),
        (issue) => invalidInput("SQS", operation, { field: "payload", detail: misfit(issue) })
      ),
    decode: (value) => ParseResult.mapError(decode(value), misfit)
  }
}

/**
 * Where a payload does not fit its schema. The schema's own message would quote the payload. Fields of the schema are
 * named; a key of a record is data.
 */
const misfit = (issue: ParseResult.ParseIssue): string => {
  const places = new Set<string>()
  collect(issue, undefined, [], places)
  return `does not fit its schema at ${[...places].join(", ")}`
}

const collect = (
  issue: ParseResult.ParseIssue,
  /** What the steps of the issue lead into. */
  parent: AST.AST | undefined,
  steps: ReadonlyArray<Place.Step>,
  places: Set<string>
): void => {
  switch (issue._tag) {
    case "Pointer":
      return collect(
        issue.issue,
        undefined,
        [...steps, ...keysOf(issue.path).map((key) => stepOf(parent, key))],
        places
      )
    case "Composite": {
      for (const one of "_tag" in issue.issues ? [issue.issues] : issue.issues) collect(one, issue.ast, steps, places)
      return
    }
    case "Refinement":
    case "Transformation":
      return collect(issue.issue, parent, steps, places)
    default:
      places.add(steps.length === 0 ? "the top" : Place.format("", steps).replace(/^\./, ""))
  }
}

const keysOf = (path: ParseResult.Path): ReadonlyArray<PropertyKey> =>
  Array.isArray(path) ? path as ReadonlyArray<PropertyKey> : [path as PropertyKey]

/** A key that the schema does not name becomes one that is not shown. */
const stepOf = (parent: AST.AST | undefined, key: PropertyKey): Place.Step =>
  typeof key === "number"
    ? key
    : parent !== undefined && AST.isTypeLiteral(parent) && parent.propertySignatures.some(({ name }) => name === key)
    ? String(key)
    : ""
