/** Objects in an S3 bucket. A small body is sent as one request, a larger one by parts. */
import type { PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import type { S3Sdk } from "../client/sdk.ts"
import { sendTo } from "../client/send.ts"
import type { ObjectHead, StorageBackend, Stored, Upload } from "./backend.ts"
import * as MultipartUpload from "./multipartUpload.ts"
import * as Parts from "./parts.ts"
import { emptyBody } from "./uploadInput.ts"
import { defaultLimits, type Limits } from "./uploadLimits.ts"

const send = sendTo("S3")

export const make = (
  client: S3Client,
  sdk: S3Sdk,
  bucket: string,
  limits: Limits = defaultLimits
): StorageBackend => {
  const multipartUpload = MultipartUpload.make(client, sdk, limits)

  const putWhole = <E, R>(
    upload: Upload<E, R>,
    body: Uint8Array,
    consumed: boolean
  ): Effect.Effect<Stored, ServiceError> =>
    Effect.gen(function*() {
      const command = new sdk.PutObjectCommand({ ...requestOf(bucket, upload.head), Body: body })
      const reply = yield* send("PutObject", (abortSignal) => client.send(command, { abortSignal }), consumed)
      yield* upload.onProgress(body.byteLength)
      return { etag: reply.ETag ?? "", size: body.byteLength }
    })

  const putParts = <E, R>(
    { head, onProgress }: Upload<unknown, unknown>,
    parts: Parts.Parts<E, R>,
    consumed: boolean
  ): Effect.Effect<Stored, ServiceError | E, R> =>
    multipartUpload({ object: requestOf(bucket, head), parts, consumed, onProgress })

  const putStream = <E, R>(
    upload: Upload<E, R>,
    stream: Stream.Stream<Uint8Array, E, R>
  ): Effect.Effect<Stored, ServiceError | E, R> =>
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

const requestOf = (bucket: string, head: ObjectHead): Omit<PutObjectCommandInput, "Body"> => ({
  Bucket: bucket,
  Key: head.key,
  ContentType: head.contentType,
  ...(head.cacheControl === undefined ? {} : { CacheControl: head.cacheControl }),
  ...(head.contentDisposition === undefined ? {} : { ContentDisposition: head.contentDisposition }),
  ...(head.metadata === undefined ? {} : { Metadata: { ...head.metadata } })
})
