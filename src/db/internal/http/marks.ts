/** What a handler says of its response to the session. A mark stays with the response when its headers or status change. */
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"

type Response = HttpServerResponse.HttpServerResponse

const kept = new WeakSet<object>()
const streamed = new WeakSet<object>()
const refusals = new WeakSet<object>()
const watched = new WeakSet<object>()
const all = [kept, streamed, refusals, watched]

const marked = (marks: WeakSet<object>) => (response: Response): Response => {
  // Responses share the object of an empty body, so each that is marked gets one of its own.
  const { body } = response
  const own = Object.create(Object.getPrototypeOf(body), Object.getOwnPropertyDescriptors(body)) as typeof body
  return withBody(marks, response, own)
}

/** The same response with another body, all its marks, and one more. */
const withBody = (marks: WeakSet<object>, response: Response, body: Response["body"]): Response => {
  const copy = HttpServerResponse.setBody(response, body)
  for (const old of all) if (isMarked(old, response)) mark(old, copy)
  mark(marks, copy)
  return copy
}

const mark = (marks: WeakSet<object>, response: Response): void => {
  marks.add(response).add(response.body)
}

const isMarked = (marks: WeakSet<object>, response: Response): boolean =>
  marks.has(response) || marks.has(response.body)

export const keep: (response: Response) => Response = marked(kept)
export const isKept = (response: Response): boolean => isMarked(kept, response)

export const afterCommit: (response: Response) => Response = marked(streamed)
export const isAfterCommit = (response: Response): boolean => isMarked(streamed, response)

/** What a session has answered by itself, and rolled back. Its body is its own already. */
export const refused = (response: Response): Response => {
  mark(refusals, response)
  return response
}
export const isRefused = (response: Response): boolean => isMarked(refusals, response)

/** What happens when a body that is a stream fails or is interrupted. Once, also where sessions are around each other. */
export const onFailedBody = (
  response: Response,
  then: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
): Response => {
  const { body } = response
  if (body._tag !== "Stream" || isMarked(watched, response)) return response
  const stream = Stream.ensuringWith(body.stream, (exit) => Exit.isFailure(exit) ? then(exit.cause) : Effect.void)
  return withBody(watched, response, HttpBody.stream(stream, body.contentType, body.contentLength))
}

/** Whether the body is made while it is sent, so after the commit. A file of the platform reads no database. */
export const isStreamed = ({ body }: Response): boolean => {
  if (body._tag === "Stream") return true
  if (body._tag !== "Raw" || typeof body.body !== "object" || body.body === null) return false
  const raw = body.body as { readonly pipe?: unknown; readonly getReader?: unknown; readonly fd?: unknown }
  if (raw instanceof globalThis.Response) return raw.body !== null
  const isFile = "fd" in raw && "bytesRead" in raw
  return !isFile && (typeof raw.pipe === "function" || typeof raw.getReader === "function"
    || Symbol.asyncIterator in raw)
}
