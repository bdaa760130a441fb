/** Reads a form part by part, and hands each file on while it arrives. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import mime from "mime"
import { ServiceError } from "../../../Errors.ts"
import { invalidInput } from "../errors/invalidInput.ts"
import type { StoredObject } from "../storage/model.ts"
import * as Progress from "../storage/progress.ts"
import type { StorageService } from "../storage/service.ts"
import * as Body from "./body.ts"
import { TooLarge, UnsupportedType, type UploadError } from "./errors.ts"
import { type Head, malformed, parseValue } from "./head.ts"
import * as Limits from "./limits.ts"
import type { FilePart, ReceivedFile, ReceivedUpload, ReceiveOptions } from "./model.ts"
import type { Event } from "./parser.ts"
import * as Reader from "./reader.ts"
import * as Stored from "./stored.ts"

export const receive = <A extends StoredObject, E, R>(
  storage: StorageService,
  options: ReceiveOptions<A, E, R>
): Effect.Effect<
  ReceivedUpload<A>,
  ServiceError | UploadError | E,
  R | HttpServerRequest.HttpServerRequest | Scope.Scope
> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const limits = Limits.check(options)
      if (Either.isLeft(limits)) return yield* invalidInput("S3", "receive", limits.left)
      const request = yield* HttpServerRequest.HttpServerRequest
      const scope = yield* Effect.scope
      const stored = Stored.make(storage)
      const body = yield* Body.open(request, limits.right)
      let answer: number | undefined
      yield* HttpApp.appendPreResponseHandler((_, response) =>
        Effect.sync(() => {
          answer = response.status
          return response
        })
      )
      yield* Scope.addFinalizerExit(scope, (exit) =>
        Effect.zipRight(
          // What was answered counts: an error that became a response ends the scope with success.
          (answer === undefined ? Exit.isSuccess(exit) : answer < 400) ? stored.keep : stored.discard,
          body.close(!Exit.isInterrupted(exit))
        ))
      return yield* restore(read(request, options, limits.right, body, stored)).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : stored.discard)
      )
    })
  )

const read = <A extends StoredObject, E, R>(
  request: HttpServerRequest.HttpServerRequest,
  options: ReceiveOptions<A, E, R>,
  limits: Limits.CheckedLimits,
  body: Body.Body,
  stored: Stored.Stored
): Effect.Effect<ReceivedUpload<A>, ServiceError | UploadError | E, R> =>
  Effect.gen(function*() {
    const boundary = yield* boundaryOf(request)
    const expected = contentLength(request)
    if (expected !== undefined && expected > limits.maxTotalSize) {
      return yield* tooLarge("BodyTooLarge", limits.maxTotalSize, "the body has more than # bytes")
    }
    const reader = Reader.make(body, boundary)
    const files: Array<ReceivedFile<A>> = []
    const fields = new Fields()

    while (true) {
      const part = yield* reader.next
      if (part._tag !== "Part") break
      const { head } = part
      const first = yield* reader.next
      if (head.fileName === undefined || (head.fileName === "" && first._tag === "PartEnd")) {
        if (++fields.parts > limits.maxFields) {
          return yield* tooLarge("TooManyFields", limits.maxFields, "the form has more than # fields")
        }
        if (head.fileName === undefined) {
          fields.add(head.field, yield* text(reader, head, first, limits.maxFieldSize))
        }
        continue
      }
      if (files.length >= limits.maxFiles) {
        return yield* tooLarge("TooManyFiles", limits.maxFiles, "the form has more than # files")
      }
      if (first._tag === "PartEnd") return yield* malformed("EmptyFile", "the file is empty", head.field)
      const contentType = head.contentType ?? OCTETS
      if (!limits.allows(contentType)) {
        return yield* unsupported("TypeNotAllowed", "files of this type are not taken here", head.field)
      }
      const content = contentOf(reader, head, first, limits.maxFileSize)
      const name = head.fileName
      const { onProgress } = options
      const object = yield* Progress.reporting(
        onProgress === undefined
          ? undefined
          : (bytes) => onProgress({ field: head.field, name, bytes, received: body.received(), expected }),
        (report) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.tap(
              restore(Effect.suspend(() =>
                options.file({
                  field: head.field,
                  name,
                  extension: extensionOf(name, contentType),
                  contentType,
                  fields: fields.sofar(),
                  data: content.stream(report)
                })
              )),
              stored.add
            )
          )
      ).pipe(Effect.mapError((error) => blamed(error, head.field)))
      yield* content.skip
      files.push({ field: head.field, name, contentType, stored: object })
    }
    return { fields: fields.sofar(), files, keep: stored.keep }
  })

const OCTETS = "application/octet-stream"

const boundaryOf = ({ headers }: HttpServerRequest.HttpServerRequest): Effect.Effect<string, UploadError> => {
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase()
  if (encoding !== "identity") return unsupported("NotMultipart", "the body must not have a Content-Encoding")
  const type = parseValue(headers["content-type"] ?? "")
  if (type?.value.toLowerCase() !== "multipart/form-data") {
    return unsupported("NotMultipart", "the body must be multipart/form-data")
  }
  const boundary = type.parameters.get("boundary") ?? ""
  // RFC 2046, section 5.1.1.
  return /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/.test(boundary)
    ? Effect.succeed(boundary)
    : Effect.fail(malformed("Boundary", "the Content-Type of the body has no boundary of 1-70 characters"))
}

const contentLength = ({ headers }: HttpServerRequest.HttpServerRequest): number | undefined => {
  const length = headers["content-length"]
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
}

const tooLarge = (
  reason: TooLarge["reason"],
  limit: number,
  detail: string,
  field?: string
): Effect.Effect<never, TooLarge> =>
  Effect.fail(
    new TooLarge({
      reason,
      limit,
      detail: detail.replace("#", String(limit)),
      ...(field === undefined ? {} : { field })
    })
  )

const unsupported = (
  reason: UnsupportedType["reason"],
  detail: string,
  field?: string
): Effect.Effect<never, UnsupportedType> =>
  Effect.fail(new UnsupportedType({ reason, detail, ...(field === undefined ? {} : { field }) }))

/** What Storage refuses in a file or in its name is the client's fault, not a failure of the service. */
const blamed = <E>(error: E, field: string): E | UnsupportedType =>
  error instanceof ServiceError && error.reason === "InvalidInput" && FILE_FIELDS.has(error.field ?? "")
    ? new UnsupportedType({ reason: "WrongContent", detail: error.detail ?? "", field })
    : error

const FILE_FIELDS: ReadonlySet<string> = new Set(["data", "fileExtension", "contentType"])

/** As `Persisted` of `@effect/platform` has them: a text, or texts where a name comes more than once. */
class Fields {
  parts = 0
  #values: Record<string, string | ReadonlyArray<string>> = Object.create(null)

  add(name: string, value: string): void {
    const former = this.#values[name]
    this.#values[name] = former === undefined ? value : [former, value].flat()
  }

  sofar(): ReceivedUpload<never>["fields"] {
    return Object.assign(Object.create(null), this.#values)
  }
}

const text = (
  reader: Reader.Reader,
  { field }: Head,
  first: Event,
  limit: number
): Effect.Effect<string, UploadError> =>
  Effect.gen(function*() {
    const chunks: Array<Uint8Array> = []
    let length = 0
    let event = first
    while (event._tag === "Data") {
      length += event.bytes.byteLength
      if (length > limit) return yield* tooLarge("FieldTooLarge", limit, "the field has more than # bytes", field)
      // A copy: the chunk of the source is larger, and may be used again.
      chunks.push(new Uint8Array(event.bytes))
      event = yield* reader.next
    }
    const decoded = utf8(Buffer.concat(chunks))
    return Option.isSome(decoded) ? decoded.value : yield* malformed("Encoding", "the field is not UTF-8", field)
  })

const utf8 = Option.liftThrowable((bytes: Uint8Array): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
)

/** The bytes of a file, for one reader. */
const contentOf = (
  reader: Reader.Reader,
  { field }: Head,
  first: Event,
  limit: number
): {
  readonly stream: (report: Progress.Report | undefined) => FilePart["data"]
  readonly skip: Effect.Effect<void, UploadError>
} => {
  let state: "new" | "reading" | "over" = "new"
  let ahead: Event | undefined = first
  let length = 0
  const next = Effect.suspend((): Effect.Effect<Uint8Array | undefined, UploadError> => {
    if (state === "over") return Effect.succeed(undefined)
    const event = ahead === undefined ? reader.next : Effect.succeed(ahead)
    ahead = undefined
    return Effect.flatMap(event, (event) => {
      if (event._tag !== "Data") {
        state = "over"
        return Effect.succeed(undefined)
      }
      length += event.bytes.byteLength
      if (length <= limit) return Effect.succeed(event.bytes)
      // The rest of the file stays too large.
      ahead = event
      return tooLarge("FileTooLarge", limit, "the file has more than # bytes", field)
    })
  })
  const stream = (report: Progress.Report | undefined): FilePart["data"] =>
    Stream.suspend(() => {
      let mine = false
      return Stream.fromPull(Effect.succeed(Effect.suspend(() => {
        if (!mine && state !== "new") return Effect.fail(Option.some(readTwice))
        mine = true
        state = state === "new" ? "reading" : state
        return Effect.matchEffect(next, {
          onFailure: (error) => Effect.fail(Option.some(error)),
          onSuccess: (bytes) => {
            if (bytes === undefined) return Effect.fail(Option.none())
            report?.(length)
            return Effect.succeed(Chunk.of(bytes))
          }
        })
      })))
    })
  const skip: Effect.Effect<void, UploadError> = Effect.suspend(() => {
    state = state === "new" ? "reading" : state
    return Effect.flatMap(next, (bytes) => bytes === undefined ? Effect.void : skip)
  })
  return { stream, skip }
}

const readTwice = new ServiceError({
  service: "S3",
  operation: "receive",
  reason: "UnreadableData",
  retryable: false,
  attempts: 0,
  detail: "the data of a part can be read once, and only while its part is being received",
  hint: "an upload of it cannot be repeated: let the client send the request again"
})

const extensionOf = (name: string, contentType: string): string =>
  /\.([a-z0-9]{1,16})$/i.exec(name)?.[1]?.toLowerCase() ?? mime.getExtension(contentType) ?? "bin"
