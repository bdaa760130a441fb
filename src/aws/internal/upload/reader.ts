/** The events of a body, one after the other. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Body } from "./body.ts"
import type { UploadError } from "./errors.ts"
import { malformed } from "./head.ts"
import * as Parser from "./parser.ts"

export interface Reader {
  /** A failure stays. `End` comes once the body was read to its end, so that the connection can be used again. */
  readonly next: Effect.Effect<Parser.Event, UploadError>
}

export const make = (body: Body, boundary: string): Reader => {
  const parser = Parser.make(boundary)
  let events: Iterator<Parser.Event> | undefined
  let failure: UploadError | undefined
  let closed = false

  const fail = (error: UploadError): Effect.Effect<never, UploadError> => {
    failure = error
    return Effect.fail(error)
  }
  const next: Reader["next"] = Effect.suspend(() => {
    if (failure !== undefined) return Effect.fail(failure)
    const event = events?.next()
    if (event?.done !== false) return more
    if (event.value._tag !== "End") return Effect.succeed(event.value)
    closed = true
    return more
  })
  const more = Effect.flatMap(body.next, (bytes): Effect.Effect<Parser.Event, UploadError> => {
    if (bytes === undefined) {
      return closed
        ? Effect.succeed({ _tag: "End" })
        : fail(malformed(
          "Incomplete",
          body.received() === 0
            ? "there is no body, or something else has read it"
            : "the body ends before its last boundary"
        ))
    }
    const parsed = parser.push(bytes)
    if (Either.isLeft(parsed)) return fail(parsed.left)
    events = parsed.right[Symbol.iterator]()
    return next
  })
  return { next }
}
