/** A body that is made while it is sent, after its session has ended. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import { ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { ownErrorOf } from "./errors.ts"
import * as Marks from "./marks.ts"

const FAILED = "HttpSession: a response was cut: its body failed"

// What did not fit may be a person's data: neither the client nor the log gets to see it.
const NOT_DECODED = "a value of the database, or of another source within the service, does not fit its schema"

/** What of values of the service does not fit, by their places only. */
export const notDecoded = (...errors: ReadonlyArray<ParseResult.ParseError>): string =>
  `${NOT_DECODED}: ${pathsOf(errors.flatMap((error) => ParseResult.ArrayFormatter.formatErrorSync(error)))}`

export const pathsOf = (issues: ReadonlyArray<{ readonly path: ReadonlyArray<PropertyKey> }>): string =>
  issues.map(({ path }) => `[${path.map(String).join(".")}]`).join(", ")

/**
 * If the body fails, `log` gets to know and the connection is cut: the platform would end the response in good order, and what
 * the client has got would look complete.
 */
export const watched = (
  response: HttpServerResponse.HttpServerResponse,
  request: HttpServerRequest.HttpServerRequest,
  log: (line: Effect.Effect<void>) => Effect.Effect<void>
): HttpServerResponse.HttpServerResponse =>
  Marks.onFailedBody(
    response,
    (cause) =>
      Effect.flatMap(Effect.serviceOption(HttpServerRequest.HttpServerRequest), (sending) => {
        cut(Option.getOrElse(sending, () => request))
        // The client has gone, or the server ends.
        return Cause.isInterruptedOnly(cause) ? Effect.void : log(lineOf(cause))
      })
  )

const lineOf = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const error = ownErrorOf(cause)
  if (error !== undefined) return Effect.logError(FAILED, Cause.fail(error))
  const undecoded = [...Cause.failures(cause), ...Cause.defects(cause)].filter(ParseResult.isParseError)
  return undecoded.length === 0
    ? Effect.logError(FAILED, cause)
    : Effect.logError(`${FAILED}: ${notDecoded(...undecoded)}`)
}

/**
 * Ends the connection after what was written to it, and before the end of the response: so a client sees that something is
 * missing. A server that has no sockets sees the failure of the body itself.
 */
const cut = (request: HttpServerRequest.HttpServerRequest): void => {
  // What NodeHttpServer has in its requests. The response to a pipelined request gets its socket when its turn comes, and the
  // platform has written its end by then.
  const { response } = request as { readonly response?: unknown }
  const sent: unknown = typeof response === "function" ? response() : response
  if (!(sent instanceof ServerResponse)) return
  sent.flushHeaders()
  if (sent.socket !== null) sent.socket.destroySoon()
  else sent.once("socket", (socket: Socket) => socket.destroySoon())
}
