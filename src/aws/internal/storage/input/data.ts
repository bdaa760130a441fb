/** The bytes of an upload, in whatever form the caller has them, as one of two forms. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { types } from "node:util"
import { ServiceError } from "../../../../Errors.ts"
import { invalidInput, type Refusal } from "../../errors/invalidInput.ts"
import type { Body } from "../backend.ts"
import { type Data, type Source, SourceTypeId, type WebReadable } from "../model.ts"

/** Opens the data. `size` is what the caller says of it. */
export const open = <E, R>(
  operation: string,
  data: Data<E, R>,
  size: number | undefined
): Effect.Effect<Body<ServiceError | E, R>, ServiceError | E, R> => {
  const refuse = (refusal: Refusal) => Effect.fail(invalidInput("S3", operation, refusal))
  const sized = <E, R>(known: number, body: Body<E, R>): Effect.Effect<Body<E, R>, ServiceError> => {
    if (known === 0) return refuse(empty)
    return size !== undefined && size !== known ? refuse(otherSize(size, known)) : Effect.succeed(body)
  }

  if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= LARGEST)) {
    return refuse({ field: "size", detail: "must be a number of bytes, from 1 to 10,000 parts of 5 GiB" })
  }
  if (types.isUint8Array(data)) return sized(data.byteLength, { _tag: "Bytes", bytes: data })
  if (isStream<E, R>(data)) return Effect.succeed({ _tag: "Stream", stream: data, size })
  if (isSource<E, R>(data)) {
    return Effect.flatMap(
      data.open,
      (opened) => sized(opened.size, { _tag: "Stream", stream: opened.stream, size: opened.size })
    )
  }
  if (isBlob(data)) {
    return sized(data.size, { _tag: "Stream", stream: ofReadable(operation, () => data.stream()), size: data.size })
  }
  if (isReadable(data)) {
    return data.locked
      ? refuse({
        field: "data",
        detail: "is a ReadableStream that something else reads already",
        hint: "make a new one for each upload"
      })
      : Effect.succeed({ _tag: "Stream", stream: ofReadable(operation, () => data), size })
  }
  return refuse({
    field: "data",
    detail: "must be a Uint8Array, a Stream of them, a Blob, a ReadableStream or Storage.file(path)",
    hint: "a stream of Node becomes one by Readable.toWeb, an ArrayBuffer by new Uint8Array"
  })
}

/** What S3 can take in parts. */
const LARGEST = 10_000 * 5 * 1024 ** 3

const empty: Refusal = { field: "data", detail: "is empty", hint: "upload at least one byte" }

/** A body that turns out to be empty when it is read. */
export const emptyBody = (operation: string): ServiceError => invalidInput("S3", operation, empty)

const otherSize = (said: number, found: number): Refusal => ({
  field: "size",
  detail: `is ${said}, but the data has ${found} bytes`
})

/** A body that turns out to have another size than was said. `found` is how much of it was read. */
export const wrongSize = (operation: string, said: number, found: number): ServiceError =>
  invalidInput("S3", operation, {
    field: "size",
    detail: found > said ? `is ${said}, but the data has more bytes` : `is ${said}, but the data has ${found} bytes`
  })

/** What a stream gives that is not a Uint8Array, such as a text or an array of larger numbers, has no meaning as bytes. */
export const isBytes = (chunk: unknown): chunk is Uint8Array => types.isUint8Array(chunk)

export const notBytes = (operation: string): ServiceError =>
  invalidInput("S3", operation, { field: "data", detail: "is a stream with a chunk that is not a Uint8Array" })

/** The chunks of a stream, refused where one is not made of bytes: for backends that do not look at chunks themselves. */
export const bytesOnly = <E, R>(
  operation: string,
  stream: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Uint8Array, ServiceError | E, R> =>
  Stream.mapChunksEffect(
    stream,
    (chunk) => Chunk.every(chunk, isBytes) ? Effect.succeed(chunk) : Effect.fail(notBytes(operation))
  )

const isStream = <E, R>(value: unknown): value is Stream.Stream<Uint8Array, E, R> =>
  Predicate.hasProperty(value, Stream.StreamTypeId)

const isSource = <E, R>(value: unknown): value is Source<E, R> => Predicate.hasProperty(value, SourceTypeId)

/** Also one of another realm or another implementation. */
const isBlob = (value: unknown): value is Blob =>
  Predicate.hasProperty(value, "size") && typeof value.size === "number" && Predicate.hasProperty(value, "stream")
  && typeof value.stream === "function" && Predicate.hasProperty(value, "arrayBuffer")

const isReadable = (value: unknown): value is WebReadable =>
  Predicate.hasProperty(value, "getReader") && typeof value.getReader === "function"
  && Predicate.hasProperty(value, "locked")

/**
 * The chunks of a web stream. It is cancelled when its reading ends early, and what that fails with is not heard: the
 * first failure counts, which Stream.fromReadableStream would hide behind a defect.
 */
const ofReadable = (
  operation: string,
  evaluate: () => WebReadable
): Stream.Stream<Uint8Array, ServiceError> =>
  Stream.unwrapScoped(
    Effect.map(
      Effect.acquireRelease(
        Effect.try({ try: () => evaluate().getReader(), catch: (cause) => unreadable(operation, cause) }),
        // It may take as long as it likes, or for ever.
        (reader) => Effect.sync(() => void reader.cancel().catch(() => {}))
      ),
      (reader) =>
        Stream.repeatEffectOption(
          Effect.flatMap(
            Effect.tryPromise({
              try: () => reader.read(),
              catch: (cause) => Option.some(unreadable(operation, cause))
            }),
            // A chunk that is none is refused along with those that are no bytes.
            (chunk) => chunk.done ? Effect.fail(Option.none()) : Effect.succeed(chunk.value as Uint8Array)
          )
        )
    )
  )

/** The caller's stream failed. What it says is the caller's own and may be private, so it is only the cause. */
const unreadable = (operation: string, cause: unknown): ServiceError =>
  new ServiceError({
    service: "S3",
    operation,
    reason: "UnreadableData",
    retryable: false,
    attempts: 0,
    detail: "the data cannot be read to its end",
    cause
  })
