/** Objects in an S3 bucket. */
import type { HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type { ServiceError } from "../../../../Errors.ts"
import type { S3Sdk } from "../../client/sdk.ts"
import * as Transport from "../../client/transport.ts"
import type { StorageBackend } from "../backend.ts"
import type { ObjectInfo } from "../model.ts"
import * as Presign from "../presign/presign.ts"
import { type Bucket, malformedReply, remove } from "./bucket.ts"
import { copy } from "./copyObject.ts"
import { removeMany } from "./deleteObjects.ts"
import { check, list } from "./listObjects.ts"
import { read } from "./readObject.ts"
import { put } from "./upload.ts"
import { defaultLimits, type Limits } from "./uploadLimits.ts"
import { UploadMemory } from "./uploadMemory.ts"

export interface S3BackendOptions {
  readonly bucket: string
  /** The bound on the memory of all uploads, in bytes. */
  readonly uploadMemory: number
  readonly limits?: Limits | undefined
}

export const make = (
  client: S3Client,
  sdk: S3Sdk,
  { bucket: name, limits = defaultLimits, uploadMemory }: S3BackendOptions
): StorageBackend => {
  const transport = Transport.of("S3", client)
  const bucket: Bucket = { name, client, sdk, transport, limits, memory: new UploadMemory(uploadMemory) }
  return {
    put: put(bucket),
    read: read(bucket),
    head: head(bucket),
    list: list(bucket),
    copy: copy(bucket),
    remove: (key) => remove(bucket, "DeleteObject", new sdk.DeleteObjectCommand({ Bucket: name, Key: key })),
    removeMany: removeMany(bucket),
    ...Presign.make(client, sdk, name),
    check: check(bucket)
  }
}

const head = ({ name, sdk, transport }: Bucket) => (key: string): Effect.Effect<ObjectInfo, ServiceError> =>
  Effect.flatMap(
    transport.send<HeadObjectCommandOutput>("HeadObject", new sdk.HeadObjectCommand({ Bucket: name, Key: key })),
    (reply) => {
      const { ContentLength, ETag, LastModified } = reply
      if (ContentLength === undefined || LastModified === undefined) {
        return Effect.fail(malformedReply("HeadObject", "without the object's size and time", false))
      }
      return Effect.succeed({
        key,
        size: ContentLength,
        etag: ETag ?? "",
        lastModified: LastModified,
        ...(reply.StorageClass === undefined ? {} : { storageClass: reply.StorageClass }),
        ...(reply.ContentType === undefined ? {} : { contentType: reply.ContentType }),
        ...(reply.CacheControl === undefined ? {} : { cacheControl: reply.CacheControl }),
        ...(reply.ContentDisposition === undefined ? {} : { contentDisposition: reply.ContentDisposition }),
        ...(Record.isEmptyRecord(reply.Metadata ?? {}) ? {} : { metadata: reply.Metadata })
      })
    }
  )
