/** An upload by parts: several parts are sent at a time, and an upload that fails or is interrupted leaves none of them. */
import type { CompletedPart, CreateMultipartUploadCommandInput, S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { ServiceError } from "../../../Errors.ts"
import type { S3Sdk } from "../client/sdk.ts"
import { bounded, sendTo } from "../client/send.ts"
import { CLEAN_UP } from "../deadlines.ts"
import type { Stored } from "./backend.ts"
import type { Parts } from "./parts.ts"
import type { Limits } from "./uploadLimits.ts"

export interface MultipartUpload<E, R> {
  /** Bucket, key and headers. */
  readonly object: CreateMultipartUploadCommandInput
  readonly parts: Parts<E, R>
  /** The parts come from a stream that cannot be read again: no failure is retryable. */
  readonly consumed: boolean
  /** Called with the bytes confirmed so far. */
  readonly onProgress: (bytes: number) => Effect.Effect<void>
}

const send = sendTo("S3")

export const make = (
  client: S3Client,
  sdk: S3Sdk,
  limits: Limits
): <E, R>(upload: MultipartUpload<E, R>) => Effect.Effect<Stored, ServiceError | E, R> => {
  /** Waits for the reply even after an interruption, up to CLEAN_UP: the upload can only be aborted by its id. */
  const begin = (
    object: CreateMultipartUploadCommandInput,
    consumed: boolean,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<string, ServiceError> =>
    Effect.gen(function*() {
      const command = new sdk.CreateMultipartUploadCommand(object)
      const reply = yield* send(
        "CreateMultipartUpload",
        (abortSignal) => client.send(command, { abortSignal }),
        consumed
      ).pipe(Effect.interruptible, Effect.map((reply) => reply.UploadId ?? ""), Effect.forkDaemon)
      return yield* restore(Fiber.join(reply)).pipe(
        Effect.onInterrupt(() =>
          bounded(Effect.flatMap(Fiber.join(reply), (uploadId) => abort(object, uploadId)), CLEAN_UP).pipe(
            Effect.ignore,
            Effect.ensuring(Fiber.interrupt(reply))
          )
        )
      )
    })

  const sendParts = <E, R>(
    { consumed, object, onProgress, parts }: MultipartUpload<E, R>,
    uploadId: string
  ): Effect.Effect<Stored, ServiceError | E, R> =>
    Effect.gen(function*() {
      const upload = { Bucket: object.Bucket, Key: object.Key, UploadId: uploadId }
      const done: Array<CompletedPart> = []
      let taken = 0
      let size = 0
      const turn = yield* Effect.makeSemaphore(1)
      const next = turn.withPermits(1)(Effect.gen(function*() {
        const part = yield* parts
        if (Option.isNone(part)) return Option.none()
        if (taken === limits.maxParts) return yield* tooLarge(limits)
        taken++
        return Option.some({ number: taken, body: part.value })
      }))
      const worker = Effect.gen(function*() {
        while (true) {
          const part = yield* next
          if (Option.isNone(part)) return
          const { body, number } = part.value
          const command = new sdk.UploadPartCommand({
            ...upload,
            PartNumber: number,
            Body: body,
            ...(object.ChecksumAlgorithm === undefined ? {} : { ChecksumAlgorithm: object.ChecksumAlgorithm })
          })
          const reply = yield* send("UploadPart", (abortSignal) => client.send(command, { abortSignal }), consumed)
          done[number - 1] = {
            PartNumber: number,
            ETag: reply.ETag,
            ...(reply.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: reply.ChecksumCRC32 })
          }
          size += body.byteLength
          yield* onProgress(size)
        }
      })
      const concurrency = limits.concurrency
      yield* Effect.forEach(Array.from({ length: concurrency }), () => worker, { concurrency, discard: true })
      const command = new sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: done } })
      const reply = yield* send(
        "CompleteMultipartUpload",
        (abortSignal) => client.send(command, { abortSignal }),
        consumed
      )
      return { etag: reply.ETag ?? "", size }
    })

  /** Removes the parts. A failure is only logged: the failure of the upload is the one to report. */
  const abort = ({ Bucket, Key }: CreateMultipartUploadCommandInput, uploadId: string): Effect.Effect<void> => {
    const command = new sdk.AbortMultipartUploadCommand({ Bucket, Key, UploadId: uploadId })
    return send("AbortMultipartUpload", (abortSignal) => client.send(command, { abortSignal })).pipe(
      Effect.asVoid,
      Effect.interruptible,
      Effect.timeoutFail({ duration: CLEAN_UP, onTimeout: () => `no reply within ${CLEAN_UP / 1000} seconds` }),
      Effect.catchAllCause((cause) =>
        Effect.logWarning(
          "Parts of a failed upload are left in the bucket; remove them by hand or by a lifecycle rule",
          cause
        ).pipe(Effect.annotateLogs({ bucket: Bucket, key: Key, uploadId }))
      )
    )
  }

  return (upload) =>
    Effect.gen(function*() {
      const mode = yield* Effect.promise(() => client.config.requestChecksumCalculation())
      // For parts with checksums S3 requires that the algorithm is named when the upload begins.
      const object = mode === "WHEN_SUPPORTED"
        ? { ...upload.object, ChecksumAlgorithm: "CRC32" as const }
        : upload.object
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          begin(object, upload.consumed, restore),
          (uploadId) =>
            Effect.onError(restore(sendParts({ ...upload, object }, uploadId)), () => abort(object, uploadId))
        )
      )
    })
}

const tooLarge = ({ maxParts, partSize }: Limits): ServiceError =>
  new ServiceError({
    service: "S3",
    operation: "UploadPart",
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 0,
    detail: `the body is larger than ${maxParts} parts of ${partSize} bytes, more than S3 accepts`
  })
