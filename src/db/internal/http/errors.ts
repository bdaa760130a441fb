/**
 * What a client is told of an error: a status, and a body that names no statement, key or parameter. The classes are
 * schemas with their statuses, for an `HttpApi` to list. Their identifiers are those of components in OpenAPI, which have
 * neither `@` nor `/` (OpenAPI 3.1, 4.8.7).
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpServerRespondable from "@effect/platform/HttpServerRespondable"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type InfrastructureError, isInfrastructureError } from "../../../internal/infrastructureError.ts"
import { fromSqlError } from "../errors/sqlError.ts"

/** 503, with `Retry-After`: nothing was done, and the same request may succeed later. */
export class Unavailable extends Schema.TaggedError<Unavailable>("HttpSession.Unavailable")(
  "Unavailable",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 503, description: "Nothing was done, and the same request may succeed later." })
) {
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(asResponse(this, 503, { "retry-after": String(RETRY_AFTER) }))
  }
}

/** 409: what the request would write is there already. See `HttpSession.conflict`. */
export class Conflict extends Schema.TaggedError<Conflict>("HttpSession.Conflict")(
  "Conflict",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 409, description: "What the request would write is there already." })
) {
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(asResponse(this, 409))
  }
}

/** OpenAPI has one description for each status. */
const SERVER_ERROR =
  "The request failed. Nothing of it was done, unless this is OutcomeUnknown: then it may have been carried out, wholly or in part."

/** 500: the request failed, and nothing of it was committed. */
export class Failed extends Schema.TaggedError<Failed>("HttpSession.Failed")(
  "Failed",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 500, description: SERVER_ERROR })
) {
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(asResponse(this, 500))
  }
}

/** 500: the request may have been carried out, wholly or in part. Repeating it may do its work twice. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("HttpSession.OutcomeUnknown")(
  "OutcomeUnknown",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 500, description: SERVER_ERROR })
) {
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(asResponse(this, 500))
  }
}

/** Seconds after which a client may try again. */
const RETRY_AFTER = 1

const asResponse = (
  { _tag, message }: { readonly _tag: string; readonly message: string },
  status: number,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({ _tag, message }, { status, headers: { "cache-control": "no-store", ...headers } })

/** An error of ours, which a `SqlError` of a database may carry; a `SqlError` of another client is classified. */
export const ownError = (error: unknown): InfrastructureError | undefined => {
  if (error instanceof SqlError) return fromSqlError("SqlClient", error)
  return isInfrastructureError(error) ? error : undefined
}

/**
 * The error of ours that a cause is about: the only failure in it, or a defect. In a cause of several failures the gravest:
 * an unknown outcome, then one that repeating does not cure. Undefined if another error failed too, which is not ours to
 * answer.
 */
export const ownErrorOf = (cause: Cause.Cause<unknown>): InfrastructureError | undefined => {
  const all = [...Chunk.toReadonlyArray(Cause.failures(cause)), ...Chunk.toReadonlyArray(Cause.defects(cause))]
  const own = all.map(ownError).filter((error) => error !== undefined)
  if (own.length === 0 || own.length < all.length) return undefined
  return own.find(isUnknown) ?? own.find((error) => !isRetryable(error)) ?? own[0]
}

const isUnknown = (error: InfrastructureError): boolean => "outcome" in error && error.outcome === "unknown"

export const isRetryable = (error: InfrastructureError): boolean => "retryable" in error && error.retryable

/** What a client is told of an error of ours. `partly`: something of the request was committed all the same. */
export const answerTo = (
  error: InfrastructureError,
  partly: boolean
): Unavailable | Failed | OutcomeUnknown =>
  partly || isUnknown(error)
    ? unknown()
    : isRetryable(error)
    ? new Unavailable({ message: "The request could not be carried out now, and nothing was done. Try again later." })
    : failed()

export const failed = (): Failed => new Failed({ message: "The request failed, and nothing was done." })

export const unknown = (): OutcomeUnknown =>
  new OutcomeUnknown({ message: "The request failed, and may have been carried out, wholly or in part." })
