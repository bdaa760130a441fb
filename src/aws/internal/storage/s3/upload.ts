/** An upload to a bucket: as one request if it is small, by parts if it is large. */
import type { UploadPartCommandOutput } from "@aws-sdk/client-s3"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { ServiceError } from "../../../../Errors.ts"
import { cancellable } from "../../../../internal/cancellable.ts"
import { uninterruptibleMask } from "../../../../internal/effectPrimitives.ts"
import * as Call from "../../client/call.ts"
import type { Body, Stored, Upload } from "../backend.ts"
import { emptyBody } from "../input/data.ts"
import { type Report, reporting } from "../progress.ts"
import { type Bucket, type Ledger, withOutcome } from "./bucket.ts"
import { removeObject } from "./cleanUp.ts"
import { type MultipartUpload, multipartUpload, type PartRequest, type SentPart } from "./multipartUpload.ts"
import { ofBytes, ofStream, type Part, type Parts } from "./parts.ts"
import { putObject } from "./putObject.ts"
import { headersOf } from "./requests.ts"
import { type Limits, partSizes } from "./uploadLimits.ts"
import type { Holder } from "./uploadMemory.ts"

export const put = (bucket: Bucket) => <E, R>(upload: Upload<E, R>): Effect.Effect<Stored, ServiceError | E, R> =>
  bucket.transport.job(
    upload.operation,
    Effect.suspend(() => {
      const ledger: Ledger = { storing: undefined, begun: false }
      const { body } = upload
      const work = reporting(upload.onProgress, (report) =>
        body._tag === "Bytes"
          ? putBytes(bucket, upload, ledger, body.bytes, report)
          : putStoppable(bucket, upload, ledger, body, report))
      return Effect.onExit(
        Effect.mapError(work, (error) => withLedger(error, ledger)),
        (exit) => removal(bucket, upload, ledger, exit)
      )
    })
  )

type StreamBody<E, R> = Extract<Body<E, R>, { readonly _tag: "Stream" }>

/**
 * An upload whose source may keep it waiting: it ends when the client closes, or when others need its memory. It runs in
 * a fiber of its own; Effect.raceFirst would take two.
 */
const putStoppable = <E, R>(
  bucket: Bucket,
  upload: Upload<unknown, unknown>,
  ledger: Ledger,
  body: StreamBody<E, R>,
  report: Report | undefined
): Effect.Effect<Stored, ServiceError | E, R> =>
  uninterruptibleMask((restore) => {
    const holder = bucket.memory.holder(upload.operation)
    return Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(putStream(bucket, upload, ledger, body, holder, report))),
      (fiber) => {
        let stopped: ServiceError | undefined
        const stop = (error: ServiceError): void => {
          stopped = error
          fiber.unsafeInterruptAsFork(fiber.id())
        }
        holder.onEvict = stop
        const forget = bucket.transport.onClose(upload.operation, stop)
        const wait = cancellable<Exit.Exit<Stored, ServiceError | E>, never>(restore, {
          start: (resume) => fiber.addObserver((exit) => resume(Effect.succeed(exit))),
          cancel: () => Effect.asVoid(Fiber.interrupt(fiber))
        })
        return Effect.flatMap(Effect.exit(wait), (waited): Exit.Exit<Stored, ServiceError | E> => {
          forget()
          holder.close()
          const exit = Exit.flatten(waited)
          return stopped !== undefined && Exit.isInterrupted(exit) ? Exit.fail(stopped) : exit
        })
      }
    )
  })

/** What ends an upload from outside, or its source, does not know how far it is. */
const withLedger = <E>(error: ServiceError | E, { begun, storing }: Ledger): ServiceError | E => {
  if (!(error instanceof ServiceError) || error.attempts > 0) return error
  const counted = begun ? new ServiceError({ ...error, attempts: 1 }) : error
  return storing?.delivered === true && error.reason === "Closed" ? withOutcome(counted, "unknown") : counted
}

/**
 * The file of an upload that did not succeed, whatever the reason, if it may be there: nobody knows its key. One under a
 * key of the caller's stays, because an older one may be there.
 */
const removal = <E>(
  bucket: Bucket,
  { head, ownKey }: Upload<unknown, unknown>,
  { storing }: Ledger,
  exit: Exit.Exit<Stored, ServiceError | E>
): Effect.Effect<void> => {
  if (Exit.isSuccess(exit) || !ownKey || storing?.delivered !== true) return Effect.void
  const failure = Cause.failureOption(exit.cause)
  const isKnown = Option.isSome(failure) && failure.value instanceof ServiceError
    && failure.value.outcome !== "unknown"
  return isKnown ? Effect.void : removeObject(bucket, head.key, storing)
}

const putBytes = (
  bucket: Bucket,
  upload: Upload<unknown, unknown>,
  ledger: Ledger,
  bytes: Uint8Array,
  report: Report | undefined
): Effect.Effect<Stored, ServiceError> =>
  bytes.byteLength <= bucket.limits.singleRequest
    ? putObject(bucket, { ...upload, bytes, consumed: false, report, ledger })
    : Effect.suspend(() =>
      putParts(bucket, upload, ledger, ofBytes(bytes, partSizes(bucket.limits, bytes.byteLength)), false, report)
    )

const putStream = <E, R>(
  bucket: Bucket,
  upload: Upload<unknown, unknown>,
  ledger: Ledger,
  { size, stream }: StreamBody<E, R>,
  holder: Holder,
  report: Report | undefined
): Effect.Effect<Stored, ServiceError | E, R> =>
  Effect.scoped(Effect.gen(function*() {
    const { limits } = bucket
    const single = size !== undefined && size <= limits.singleRequest
    const sizes = single ? () => size : partSizes(limits, size)
    const parts = yield* ofStream(upload.operation, stream, size, sizes, holder)
    const first = yield* parts.next
    if (Option.isNone(first)) return yield* emptyBody(upload.operation)
    if (yield* parts.ended) {
      const { bytes, release } = first.value
      return yield* Effect.tap(
        putObject(bucket, { ...upload, bytes, consumed: true, report, ledger }),
        () => release(true)
      )
    }
    return yield* putParts(bucket, upload, ledger, following(first, parts.next), true, report)
  }))

/** The same parts with one before them that was taken already. */
const following = <E, R>(first: Option.Option<Part>, next: Parts<E, R>): Parts<E, R> => {
  let held = first
  return Effect.suspend(() => {
    if (Option.isNone(held)) return next
    const part = held
    held = Option.none()
    return Effect.succeed(part)
  })
}

const putParts = <E, R>(
  bucket: Bucket,
  { condition, head, ownKey }: Upload<unknown, unknown>,
  ledger: Ledger,
  parts: Parts<E, R>,
  consumed: boolean,
  report: Report | undefined
): Effect.Effect<Stored, ServiceError | E, R> =>
  Effect.gen(function*() {
    const mode = yield* Effect.promise(() => bucket.client.config.requestChecksumCalculation())
    // For parts with checksums S3 requires that the algorithm is named when the upload begins.
    const headers: MultipartUpload<E, R>["headers"] = {
      ...(mode === "WHEN_SUPPORTED" ? { ChecksumAlgorithm: "CRC32" } : {}),
      ...headersOf(head)
    }
    const { ChecksumAlgorithm } = headers
    const sent = sums(report)
    let count = 0
    const next = Effect.flatMap(
      parts,
      (part): Effect.Effect<Option.Option<PartRequest>, ServiceError> => {
        if (Option.isNone(part)) return Effect.succeedNone
        if (++count > bucket.limits.maxParts) return Effect.fail(tooLarge(bucket.limits))
        const { bytes, release } = part.value
        return Effect.succeedSome({
          size: bytes.byteLength,
          send: (upload, number) => {
            const command = new bucket.sdk.UploadPartCommand({
              ...upload,
              PartNumber: number,
              Body: bytes,
              ...(ChecksumAlgorithm === undefined ? {} : { ChecksumAlgorithm })
            })
            const call = Call.make({ onSent: sent?.(number) })
            return Effect.map(
              bucket.transport.send<UploadPartCommandOutput>("UploadPart", command, { call, consumed }),
              (reply) => {
                release(true)
                return sentPart(reply)
              }
            )
          }
        })
      }
    )
    return yield* multipartUpload(bucket, { key: head.key, headers, condition, ownKey, consumed, ledger, next })
  })

/** The parts' own reports as one of the whole. A part that is sent again does not count twice. */
const sums = (report: Report | undefined): ((number: number) => Report) | undefined => {
  if (report === undefined) return undefined
  let total = 0
  return () => {
    let counted = 0
    return (bytes) => {
      if (bytes <= counted) return
      total += bytes - counted
      counted = bytes
      report(total)
    }
  }
}

/** Of the reply to a part, what the completion has to say of it. */
export const sentPart = (
  { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256, ETag }: SentPart
): SentPart => ({
  ...(ETag === undefined ? {} : { ETag }),
  ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }),
  ...(ChecksumCRC32C === undefined ? {} : { ChecksumCRC32C }),
  ...(ChecksumCRC64NVME === undefined ? {} : { ChecksumCRC64NVME }),
  ...(ChecksumSHA1 === undefined ? {} : { ChecksumSHA1 }),
  ...(ChecksumSHA256 === undefined ? {} : { ChecksumSHA256 })
})

const tooLarge = ({ maxParts }: Limits): ServiceError =>
  new ServiceError({
    service: "S3",
    operation: "UploadPart",
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 0,
    detail: `the body has more than ${maxParts} parts, which S3 does not accept`,
    hint: "give its size: then the parts are made large enough"
  })
