/**
 * Borrowed from `@effect/platform`: how `HttpApi` reports a success that does not fit its schema, a row with an unexpected
 * NULL for instance. It says `HttpApiDecodeError`, a 400 with the values in it, as if the client had sent them. Only the
 * beginning of the text tells: what is encoded becomes a response, which is a declaration. Further on may be text of the client.
 */
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"

const TO_RESPONSE = "(<declaration schema> <-> "

export const isEncodeFailure = (error: unknown): error is HttpApiDecodeError =>
  error instanceof HttpApiDecodeError && error.message.startsWith(TO_RESPONSE)

/** The same where `HttpLayerRouter.addHttpApi` has made a response of it already. In its JSON a quote of a client is escaped. */
export const saysEncodeFailure = ({ body, status }: HttpServerResponse.HttpServerResponse): boolean => {
  if (status !== 400 || body._tag !== "Uint8Array") return false
  const text = new TextDecoder().decode(body.body)
  return text.includes("HttpApiDecodeError") && text.includes(`"message":"${TO_RESPONSE}`)
}
