/**
 * Objects in an S3 bucket. A body smaller than a part goes as one request; a larger one by parts, of which four are
 * under way at a time. An upload by parts that fails or is interrupted is taken back.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ServiceError } from "../../../Errors.ts"
import type { ObjectHead, ObjectStore, Stored, Upload } from "./backend.ts"
import * as Parts from "./parts.ts"
import { bounded, send as sendCall } from "../client/send.ts"
import { emptyBody } from "./uploadInput.ts"

const mebibyte = 1024 * 1024

export interface Limits {
  /** Bytes of a part; S3 wants at least 5 MiB. */
  readonly partSize: number
  /** S3 accepts no more. */
  readonly maxParts: number
  /** Bytes that are sent as one request when they are in memory anyway. */
  readonly singleRequest: number
}

const defaultLimits: Limits = { partSize: 8 * mebibyte, maxParts: 10_000, singleRequest: 16 * mebibyte }

const concurrency = 4

/** How long taking an upload back may take, and how long the reply to its beginning is waited for. */
const cleanUp = "10 seconds"

export const make = (
  client: S3Client,
  sdk: typeof import("@aws-sdk/client-s3"),
  bucket: string,
  limits: Limits = defaultLimits
): ObjectStore => {
  const send = <A>(operation: string, run: (abortSignal: AbortSignal) => Promise<A>, consumed = false) =>
    sendCall({ service: "S3", operation, run, consumed })

  const headers = (head: ObjectHead) => ({
    Bucket: bucket,
    Key: head.key,
    ContentType: head.contentType,
    ...(head.cacheControl === undefined ? {} : { CacheControl: head.cacheControl }),
    ...(head.contentDisposition === undefined ? {} : { ContentDisposition: head.contentDisposition }),
    ...(head.metadata === undefined ? {} : { Metadata: { ...head.metadata } })
  })

  const putWhole = <E, R>(upload: Upload<E, R>, body: Uint8Array, consumed: boolean) =>
    Effect.gen(function*() {
      const command = new sdk.PutObjectCommand({ ...headers(upload.head), Body: body })
      const reply = yield* send("PutObject", (abortSignal) => client.send(command, { abortSignal }), consumed)
      yield* upload.onProgress(body.byteLength)
      return { etag: reply.ETag ?? "", size: body.byteLength }
    })

  const abort = (key: string, uploadId: string): Effect.Effect<void> => {
    const command = new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId })
    return send("AbortMultipartUpload", (abortSignal) => client.send(command, { abortSignal })).pipe(
      Effect.asVoid,
      Effect.interruptible,
      Effect.timeoutFail({ duration: cleanUp, onTimeout: () => `no reply within ${cleanUp}` }),
      Effect.catchAllCause((cause) =>
        Effect.logWarning(
          "The parts of an upload that failed are left; remove them by hand or by a lifecycle rule",
          cause
        )
          .pipe(Effect.annotateLogs({ bucket, key, uploadId }))
      )
    )
  }

  /** Interrupted while the reply is on its way, it waits for it, so that no upload is left that nobody knows of. */
  const begin = (
    head: ObjectHead,
    checksum: { readonly ChecksumAlgorithm?: "CRC32" },
    consumed: boolean,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<string, ServiceError> =>
    Effect.gen(function*() {
      const command = new sdk.CreateMultipartUploadCommand({ ...headers(head), ...checksum })
      const reply = yield* send(
        "CreateMultipartUpload",
        (abortSignal) => client.send(command, { abortSignal }),
        consumed
      ).pipe(Effect.interruptible, Effect.map((reply) => reply.UploadId ?? ""), Effect.forkDaemon)
      return yield* restore(Fiber.join(reply)).pipe(
        Effect.onInterrupt(() =>
          bounded(Effect.flatMap(Fiber.join(reply), (uploadId) => abort(head.key, uploadId)), cleanUp).pipe(
            Effect.ignore,
            Effect.ensuring(Fiber.interrupt(reply))
          )
        )
      )
    })

  const putParts = <E, R>(
    upload: Upload<E, R>,
    parts: Parts.Parts<E, R>,
    consumed: boolean
  ): Effect.Effect<Stored, ServiceError | E, R> =>
    Effect.gen(function*() {
      const mode = yield* Effect.promise(() => client.config.requestChecksumCalculation())
      // S3 wants the checksum named at the beginning if the parts are to have it.
      const checksum = mode === "WHEN_SUPPORTED" ? { ChecksumAlgorithm: "CRC32" as const } : {}
      const { key } = upload.head

      const work = (uploadId: string) =>
        Effect.gen(function*() {
          const done: Array<{ PartNumber: number; ETag: string | undefined; ChecksumCRC32?: string }> = []
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
                Bucket: bucket,
                Key: key,
                UploadId: uploadId,
                PartNumber: number,
                Body: body,
                ...checksum
              })
              const reply = yield* send("UploadPart", (abortSignal) => client.send(command, { abortSignal }), consumed)
              done[number - 1] = {
                PartNumber: number,
                ETag: reply.ETag,
                ...(reply.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: reply.ChecksumCRC32 })
              }
              size += body.byteLength
              yield* upload.onProgress(size)
            }
          })
          yield* Effect.forEach(Array.from({ length: concurrency }), () => worker, { concurrency, discard: true })
          const command = new sdk.CompleteMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: { Parts: done }
          })
          const reply = yield* send(
            "CompleteMultipartUpload",
            (abortSignal) => client.send(command, { abortSignal }),
            consumed
          )
          return { etag: reply.ETag ?? "", size }
        })

      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(begin(upload.head, checksum, consumed, restore), (uploadId) =>
          Effect.onError(restore(work(uploadId)), () => abort(key, uploadId)))
      )
    })

  const putStream = <E, R>(upload: Upload<E, R>, stream: Stream.Stream<Uint8Array, E, R>) =>
    Effect.scoped(Effect.gen(function*() {
      const body = yield* Parts.begin(yield* Parts.ofStream(stream, limits.partSize), limits.partSize)
      switch (body._tag) {
        case "Empty":
          return yield* emptyBody(upload.operation)
        case "Whole":
          return yield* putWhole(upload, body.bytes, true)
        case "Parts":
          return yield* putParts(upload, body.parts, true)
      }
    }))

  return {
    put: (upload) => {
      const { data } = upload
      if (!(data instanceof Uint8Array)) return putStream(upload, data)
      return data.byteLength <= limits.singleRequest
        ? putWhole(upload, data, false)
        : Effect.suspend(() => putParts(upload, Parts.ofBytes(data, limits.partSize), false))
    },

    read: (key) =>
      Stream.unwrapScoped(Effect.gen(function*() {
        const body = yield* Effect.acquireRelease(
          Effect.interruptible(send("GetObject", async (abortSignal) => {
            const reply = await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal })
            return reply.Body as NodeJS.ReadableStream & { readonly destroy: () => void }
          })),
          // Closes the connection of a body that was not read to its end.
          (body) => Effect.sync(() => body.destroy())
        )
        const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        return Stream.repeatEffectOption(
          send("GetObject", (abortSignal) => {
            abortSignal.addEventListener("abort", () => body.destroy())
            return chunks.next()
          }).pipe(
            Effect.mapError(Option.some),
            Effect.flatMap((chunk) => chunk.done === true ? Effect.fail(Option.none()) : Effect.succeed(chunk.value))
          )
        )
      })),

    remove: (key) =>
      Effect.asVoid(
        send("DeleteObject", (abortSignal) =>
          client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal }))
      ),

    check: Effect.asVoid(
      send("HeadBucket", (abortSignal) => client.send(new sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal }))
    )
  }
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
