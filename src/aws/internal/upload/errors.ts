/**
 * What can be wrong with a request that uploads files, one class for each status.
 *
 * A route of `@effect/platform` that fails with one of them answers with its status and, as JSON, its fields; HttpApi
 * shows the status in OpenAPI. No error quotes what the client sent, but for the name of a form's field.
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpServerRespondable from "@effect/platform/HttpServerRespondable"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const common = { detail: Schema.String, field: Schema.optional(Schema.String) }

const respond = (
  status: number,
  { _tag, detail, field, reason }: {
    readonly _tag: string
    readonly reason: string
    readonly detail: string
    readonly field?: string | undefined
  },
  others: Readonly<Record<string, number>> = {}
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  HttpServerResponse.unsafeJson(
    { ...others, reason, detail, ...(field === undefined ? {} : { field }), _tag },
    { status }
  )

/** 413: more, or larger, than the route takes. `limit` is the number that was exceeded, of bytes or of parts. */
export class TooLarge extends Schema.TaggedError<TooLarge>("HttpUpload.TooLarge")(
  "UploadTooLarge",
  {
    ...common,
    reason: Schema.Literal("FileTooLarge", "BodyTooLarge", "FieldTooLarge", "TooManyFiles", "TooManyFields"),
    limit: Schema.Number
  },
  HttpApiSchema.annotations({ status: 413, description: "More was sent, or something larger, than is taken." })
) {
  override get message(): string {
    return this.detail
  }

  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return respond(413, this, { limit: this.limit })
  }
}

/**
 * 415: the request is no `multipart/form-data`, a file is of a type that the route does not take, or its name or its
 * first bytes are not of the type that is claimed.
 */
export class UnsupportedType extends Schema.TaggedError<UnsupportedType>("HttpUpload.UnsupportedType")(
  "UploadUnsupportedType",
  { ...common, reason: Schema.Literal("NotMultipart", "TypeNotAllowed", "WrongContent") },
  HttpApiSchema.annotations({
    status: 415,
    description: "The request is no multipart/form-data, or a file is of a type that is not taken."
  })
) {
  override get message(): string {
    return this.detail
  }

  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return respond(415, this)
  }
}

/** 400: the body is not as RFC 7578 says, or a file has no bytes. */
export class Malformed extends Schema.TaggedError<Malformed>("HttpUpload.Malformed")(
  "UploadMalformed",
  { ...common, reason: Schema.Literal("Boundary", "Headers", "Encoding", "Incomplete", "EmptyFile") },
  HttpApiSchema.annotations({
    status: 400,
    description: "The body is not as multipart/form-data has to be, or a file is empty."
  })
) {
  override get message(): string {
    return this.detail
  }

  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return respond(400, this)
  }
}

/** 408: the client sent nothing for too long (`Timeout`), or has gone (`Disconnected`), which nobody is told. */
export class Stalled extends Schema.TaggedError<Stalled>("HttpUpload.Stalled")(
  "UploadStalled",
  { ...common, reason: Schema.Literal("Timeout", "Disconnected") },
  HttpApiSchema.annotations({ status: 408, description: "The body did not arrive in time." })
) {
  override get message(): string {
    return this.detail
  }

  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return respond(408, this)
  }
}

/** Any of them: `addError(HttpUpload.UploadError)` declares all four of an HttpApi's endpoint. */
export const UploadError = Schema.Union(TooLarge, UnsupportedType, Malformed, Stalled)
export type UploadError = typeof UploadError.Type
