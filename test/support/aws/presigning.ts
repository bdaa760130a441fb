/** The presigning of a client that sends nothing, and what it is asked to presign. */
import * as sdk from "@aws-sdk/client-s3"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { ObjectHead } from "../../../src/aws/internal/storage/backend.ts"
import { make } from "../../../src/aws/internal/storage/presign/presign.ts"
import type { Keys } from "./presignedRequests.ts"
import { accessKeyId, bucket, secretAccessKey, sessionToken } from "./settings.ts"

export const keys: Keys = { accessKeyId, secretAccessKey, sessionToken }

export const clientOf = (config: sdk.S3ClientConfig = {}): sdk.S3Client =>
  new sdk.S3Client({
    region: "eu-west-1",
    credentials: keys,
    requestHandler: { handle: () => Promise.reject(new Error("a request was sent")) },
    ...config
  })

export const presigning = (config?: sdk.S3ClientConfig, name = bucket) => make(clientOf(config), sdk, name)

export const plain: ObjectHead = {
  key: "7/assets/chat/42/1_a_image.png",
  contentType: "image/png",
  cacheControl: undefined,
  contentDisposition: undefined,
  metadata: undefined,
  tags: undefined,
  storageClass: undefined,
  encryption: undefined,
  checksum: undefined
}

export const full: ObjectHead = {
  ...plain,
  key: "7/a folder/é+&=~'()*!.png",
  cacheControl: "private, max-age=60",
  contentDisposition: "attachment; filename=\"x.png\"",
  metadata: { origin: "ward 3", price: "$5", empty: "" },
  tags: { patient: "true", "the ward": "Süd/3+4=7" },
  storageClass: "STANDARD_IA",
  encryption: { kmsKeyId: "arn:aws:kms:eu-west-1:1:key/k", bucketKey: true }
}

export const nothing = { contentDisposition: undefined, contentType: undefined }

export const at = (time: string) => TestClock.setTime(Date.parse(time))
export const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))

/** The request as it arrives: a browser sends `host` and `content-length` itself. */
export const arrived = (method: string, url: string, headers: Readonly<Record<string, string>> = {}) => {
  const { host, pathname, search } = new URL(url)
  return { method, path: pathname + search, headers: { host, ...headers } }
}

export const parameters = (url: string) => new URL(url).searchParams
