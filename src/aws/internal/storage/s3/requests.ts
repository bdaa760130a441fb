/** What the SDK's commands call the headers of an object. */
import type { CreateMultipartUploadCommandInput, PutObjectCommandInput } from "@aws-sdk/client-s3"
import type { ObjectHead } from "../backend.ts"

type ObjectHeaders = Pick<
  PutObjectCommandInput & CreateMultipartUploadCommandInput,
  | "ContentType"
  | "CacheControl"
  | "ContentDisposition"
  | "Metadata"
  | "Tagging"
  | "StorageClass"
  | "ServerSideEncryption"
  | "SSEKMSKeyId"
  | "BucketKeyEnabled"
  | "ChecksumAlgorithm"
>

export const headersOf = (head: Omit<ObjectHead, "key">): ObjectHeaders => ({
  ContentType: head.contentType,
  ...(head.cacheControl === undefined ? {} : { CacheControl: head.cacheControl }),
  ...(head.contentDisposition === undefined ? {} : { ContentDisposition: head.contentDisposition }),
  ...(head.metadata === undefined ? {} : { Metadata: { ...head.metadata } }),
  ...(head.tags === undefined ? {} : { Tagging: tagging(head.tags) }),
  ...(head.storageClass === undefined
    ? {}
    : { StorageClass: head.storageClass as NonNullable<ObjectHeaders["StorageClass"]> }),
  ...encryption(head.encryption),
  ...(head.checksum === undefined ? {} : { ChecksumAlgorithm: head.checksum })
})

/** As the query of a URL (PutObject, x-amz-tagging). */
export const tagging = (tags: Readonly<Record<string, string>>): string =>
  Object.entries(tags).map((pair) => pair.map(encodeURIComponent).join("=")).join("&")

const encryption = (
  chosen: ObjectHead["encryption"]
): Pick<ObjectHeaders, "ServerSideEncryption" | "SSEKMSKeyId" | "BucketKeyEnabled"> => {
  if (chosen === undefined) return {}
  if (chosen === "AES256") return { ServerSideEncryption: "AES256" }
  return {
    ServerSideEncryption: "aws:kms",
    ...(chosen.kmsKeyId === undefined ? {} : { SSEKMSKeyId: chosen.kmsKeyId }),
    ...(chosen.bucketKey === undefined ? {} : { BucketKeyEnabled: chosen.bucketKey })
  }
}
