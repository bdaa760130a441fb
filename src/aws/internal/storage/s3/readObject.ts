/**
 * A download. Its connection may be cut at any time, above all while its reader pauses: it is opened again where it
 * ended, on the same version of the object.
 */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ServiceError } from "../../../../Errors.ts"
import type { Sent } from "../../client/transport.ts"
import type { Reading } from "../backend.ts"
import type { Range } from "../model.ts"
import { BodyReader } from "./bodyReader.ts"
import { type Bucket, malformedReply } from "./bucket.ts"
import { type Checksum, checksumOf } from "./checksum.ts"

/** How often a download is opened again without getting a byte. */
const ATTEMPTS = 3

const OPERATION = "GetObject"

/** A download that is open. */
interface Opened {
  readonly etag: string
  /** Where its bytes are in the object: from `start`, up to and without `end`, which a server may not say. */
  readonly start: number
  readonly end: number | undefined
  /** Of all bytes of the object, if these are all. */
  readonly checksum: Checksum | undefined
}

export const read = (bucket: Bucket) => (key: string, reading: Reading): Stream.Stream<Uint8Array, ServiceError> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    let current: BodyReader | undefined
    let received = 0
    let failures = 0
    yield* Effect.addFinalizer(() => Effect.sync(() => current?.close()))

    const open = (range: Range | undefined, ifMatch: string | undefined): Effect.Effect<Opened, ServiceError> => {
      const command = new bucket.sdk.GetObjectCommand({
        Bucket: bucket.name,
        Key: key,
        ...(range === undefined ? {} : { Range: rangeHeader(range) }),
        ...(ifMatch === undefined ? {} : { IfMatch: ifMatch })
      })
      return Effect.flatMap(
        bucket.transport.download<GetObjectCommandOutput>(OPERATION, command, (body) => {
          current = new BodyReader(body, OPERATION)
        }),
        (download) => openedOf(download, range)
      )
    }

    const { checksum, end, etag, start } = yield* open(reading.range, reading.ifMatch)
    const isComplete = (): boolean => end === undefined || start + received === end

    const finish: Effect.Effect<never, Option.Option<ServiceError>> = Effect.suspend(() =>
      Effect.fail(checksum === undefined || checksum.matches() ? Option.none() : Option.some(otherBytes()))
    )

    /** Goes on where the download has ended, if that is possible: a weak ETag does not say that the bytes are the same. */
    const resume = (error: ServiceError): Effect.Effect<void, ServiceError> => {
      const isPossible = error.retryable && error.reason !== "Checksum" && end !== undefined && !etag.startsWith("W/")
      if (!isPossible || failures === ATTEMPTS) return Effect.fail(error)
      const pause = failures === 0 ? Effect.void : Effect.sleep(PAUSE * failures)
      failures++
      return Effect.zipRight(pause, open({ start: start + received, end: end - 1 }, etag)).pipe(
        Effect.mapError((error) => error.reason === "PreconditionFailed" ? changed(error) : error),
        // A server may not know conditions.
        Effect.filterOrFail((again) => again.etag === etag && again.end === end, () => changed(error)),
        Effect.asVoid
      )
    }

    const pull = (): Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<ServiceError>> => {
      const body = current as BodyReader
      const chunks = body.take()
      if (chunks.length > 0) {
        failures = 0
        for (const chunk of chunks) {
          received += chunk.byteLength
          checksum?.update(chunk)
        }
        return end !== undefined && start + received > end
          ? Effect.fail(Option.some(malformedReply(OPERATION, "with more bytes than it has promised", false)))
          : Effect.succeed(Chunk.unsafeFromArray(chunks))
      }
      if (!body.isOver) return Effect.flatMap(body.news, pull)
      if (body.failure === undefined ? isComplete() : end !== undefined && isComplete()) return finish
      return Effect.matchEffect(resume(body.failure ?? cutShort()), {
        onFailure: (error) => Effect.fail(Option.some(error)),
        onSuccess: pull
      })
    }
    return Stream.fromPull(Effect.succeed(Effect.suspend(pull)))
  }))

/** Milliseconds. */
const PAUSE = 200

const rangeHeader = (range: Range): string =>
  "last" in range ? `bytes=-${range.last}` : `bytes=${range.start}-${range.end ?? ""}`

/** What the reply is, if it is what was asked for. */
const openedOf = (
  { headers, reply }: Sent<GetObjectCommandOutput>,
  range: Range | undefined
): Effect.Effect<Opened, ServiceError> => {
  const { ContentLength: length, ContentRange, ETag: etag } = reply
  const malformed = (detail: string) => Effect.fail(malformedReply(OPERATION, detail, false))
  if (!etag) return malformed("without an ETag")
  if (range === undefined) {
    // Without its length the end of a reply cannot be told from its loss, but by chunks.
    return length === undefined && headers["transfer-encoding"] === undefined && Object.keys(headers).length > 0
      ? malformed("without its length")
      : Effect.succeed({ etag, start: 0, end: length, checksum: checksumOf(headers) })
  }
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? "")
  if (found === null) return malformed("without the range that was asked for")
  const [start, last, size] = found.slice(1).map(Number) as [number, number, number]
  const wantedStart = "last" in range ? Math.max(size - range.last, 0) : range.start
  const wantedLast = "last" in range ? size - 1 : Math.min(range.end ?? size - 1, size - 1)
  return start === wantedStart && last === wantedLast
    ? Effect.succeed({ etag, start, end: last + 1, checksum: undefined })
    : malformed("with another range than was asked for")
}

const otherBytes = (): ServiceError =>
  new ServiceError({
    service: "S3",
    operation: OPERATION,
    reason: "Checksum",
    retryable: true,
    attempts: 1,
    detail: "the bytes that arrived are not those that were stored"
  })

/** The server ended its reply before all bytes that it has promised. */
const cutShort = (): ServiceError =>
  new ServiceError({
    service: "S3",
    operation: OPERATION,
    reason: "ConnectionLost",
    retryable: true,
    attempts: 1,
    detail: "the reply has ended before its last byte"
  })

const changed = (error: ServiceError): ServiceError =>
  new ServiceError({
    ...error,
    detail: "the object was changed while it was read",
    hint: "read it again from its beginning"
  })
