/** Between a payload and the value that is sent as JSON. No error quotes a payload. */
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { ServiceError } from "../../../Errors.ts"
import { invalidInput } from "../errors/invalidInput.ts"

export interface Codec<A, R> {
  /** The value that JSON is made of. */
  readonly encode: (operation: string, payload: A) => Effect.Effect<unknown, ServiceError, R>
  /** Fails with what is wrong. */
  readonly decode: (value: unknown) => Effect.Effect<A, string, R>
}

/** Payloads as they are. */
export const anything: Codec<unknown, never> = {
  encode: (_, payload) => Effect.succeed(payload),
  decode: Effect.succeed
}

export const ofSchema = <A, I, R>(schema: Schema.Schema<A, I, R>): Codec<A, R> => {
  const encode = Schema.encode(schema)
  const decode = Schema.decodeUnknown(schema)
  return {
    encode: (operation, payload) =>
      Effect.mapError(
        encode(payload),
        (error) => invalidInput("SQS", operation, { field: "payload", detail: places(error) })
      ),
    decode: (value) => Effect.mapError(decode(value), places)
  }
}

/** Where a payload does not fit its schema. The schema's own message would quote the payload. */
const places = (error: ParseResult.ParseError): string => {
  const paths = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) =>
    path.length === 0 ? "the top" : path.map(String).join(".")
  )
  return `does not fit its schema at ${Array.from(new Set(paths)).join(", ")}`
}
