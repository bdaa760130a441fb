/** Storage on a server that checks signatures: `npm run test:s3`. */
import * as S3 from "@aws-sdk/client-s3"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHmac } from "node:crypto"
import { Storage, type UploadInput } from "../../src/aws/Storage.ts"
import { storageContract } from "../contract/Storage.ts"
import { onRealS3, type RealBucket } from "../support/aws/onRealS3.ts"
import type { Ability } from "../support/aws/realS3.ts"

const image: UploadInput = { data: new Uint8Array([1, 2, 3]), customerId: 1, fileExtension: "png" }

for (const checksums of ["supported", "required"]) {
  onRealS3(`Storage.layer on a real server, checksums ${checksums}`, (s3) => {
    const layer = Layer.provide(Storage.layer, s3.settings({ AWS_S3_CHECKSUMS: checksums }))
    storageContract("contract", layer, `https://${s3.bucket}.s3.${s3.region}.amazonaws.com`, s3.bucket, {
      // If-None-Match holds only where no two writers come at once, and If-Match is refused.
      conditions: false,
      // There are no tags and no encryption, and one storage class.
      extras: false
    })
  })
}

onRealS3("Storage.layer on a real server, with settings that are wrong", (s3) => {
  const key = "1/assets/chat/not-there"
  const failures = (more: Readonly<Record<string, string>>) =>
    Effect.flatMap(Storage, (storage) =>
      Effect.all({
        upload: Effect.flip(storage.uploadImage(image)),
        parts: Effect.flip(storage.uploadImage({
          ...image,
          data: Stream.repeatValue(new Uint8Array(1024 * 1024)).pipe(Stream.take(9))
        })),
        read: Effect.flip(Stream.runDrain(storage.read(key))),
        delete: Effect.flip(storage.delete(key)),
        check: Effect.flip(storage.check)
      })).pipe(Effect.provide(Layer.provide(Storage.layer, s3.settings(more))))

  const expectAll = (
    found: Effect.Effect.Success<ReturnType<typeof failures>>,
    expected: Readonly<Record<string, unknown>>
  ) => {
    expect(found).toMatchObject(Object.fromEntries(Object.keys(found).map((method) => [method, expected])))
    expect(JSON.stringify(found)).not.toContain("not-the-secret")
  }

  it.live("names a wrong secret key", () =>
    Effect.gen(function*() {
      const found = yield* failures({ AWS_SECRET_ACCESS_KEY: "not-the-secret" })
      expectAll(found, { reason: "InvalidCredentials", status: 403, retryable: false, attempts: 1 })
      expect(found.upload.message).toContain("AWS_SECRET_ACCESS_KEY")
    }))

  it.live("names an access key that does not exist", () =>
    Effect.gen(function*() {
      const found = yield* failures({ AWS_ACCESS_KEY_ID: "AKIDOFNOBODY" })
      expectAll(found, { reason: "InvalidCredentials", status: 403, retryable: false, attempts: 1 })
      expect(JSON.stringify(found.upload.cause)).toContain(
        s3.can("namesUnknownKeys") ? "InvalidAccessKeyId" : "SignatureDoesNotMatch"
      )
    }))

  it.live("names a wrong region", () =>
    Effect.gen(function*() {
      const found = yield* failures({ AWS_REGION: "us-west-2" })
      expectAll(found, { reason: "WrongRegion", status: 400, retryable: false, attempts: 1 })
      expect(found.upload.message).toContain("AWS_REGION")
    }))

  it.live("says that the bucket does not exist", () =>
    Effect.gen(function*() {
      const found = yield* failures({ IMAGE_S3_BUCKET: "not-there" })
      expectAll(found, { reason: "ResourceNotFound", status: 404, retryable: false, attempts: 1 })
    }))
})

// What a server cannot do, it must refuse: the table in realS3.ts is what tests leave out by.
onRealS3("The S3 server itself", (s3) => {
  for (const [ability, attempt] of Object.entries(abilities)) {
    const able = s3.can(ability as Ability)
    it.live(`${able ? "has" : "lacks"} ${ability}`, () =>
      Effect.gen(function*() {
        const client = s3.client()
        const passed = yield* Effect.promise(() => attempt(client, s3).finally(() => client.destroy()))
        expect(passed).toBe(able)
      }).pipe(Effect.provide(s3.settings())))
  }
})

type Attempt = (client: S3.S3Client, s3: RealBucket) => Promise<boolean>

/** Whether the server answers with that name of an error; no other failure says so. */
const refuses = (attempt: Promise<unknown>, name: string): Promise<boolean> =>
  attempt.then(() => false, (error: Error) => error.name === name)
const succeeds = (attempt: Promise<unknown>): Promise<boolean> => attempt.then(() => true, () => false)

const put = (client: S3.S3Client, Bucket: string, more: Partial<S3.PutObjectCommandInput> = {}) =>
  client.send(new S3.PutObjectCommand({ Bucket, Key: "key", Body: "x", ...more }))
const etagOfNothing = "\"d41d8cd98f00b204e9800998ecf8427e\""

const abilities: Readonly<Record<Ability, Attempt>> = {
  conditionalCreate: async (client, { bucket }) => {
    await put(client, bucket)
    return refuses(put(client, bucket, { IfNoneMatch: "*" }), "PreconditionFailed")
  },
  conditionalReplace: async (client, { bucket }) => {
    await put(client, bucket)
    return refuses(put(client, bucket, { IfMatch: etagOfNothing }), "PreconditionFailed")
  },
  rareChecksums: async (client, { bucket }) =>
    await refuses(put(client, bucket, { ChecksumCRC32C: "AAAAAA==" }), "BadDigest")
    && await refuses(put(client, bucket, { ChecksumCRC64NVME: "AAAAAAAAAAA=" }), "BadDigest"),
  storedChecksums: async (client, { bucket }) => {
    await put(client, bucket)
    const head = await client.send(
      new S3.HeadObjectCommand({ Bucket: bucket, Key: "key", ChecksumMode: "ENABLED" })
    )
    return head.ChecksumCRC32 !== undefined
  },
  namesUnknownKeys: async (_, { bucket, endpoint, region, secretAccessKey }) => {
    const credentials = { accessKeyId: "AKIDOFNOBODY", secretAccessKey }
    const client = new S3.S3Client({ endpoint, region, credentials, forcePathStyle: true })
    return refuses(put(client, bucket), "InvalidAccessKeyId").finally(() => client.destroy())
  },
  presignedPost: async (_, s3) => (await postForm(s3)).ok,
  tagging: (client, { bucket }) => succeeds(put(client, bucket, { Tagging: "a=b" })),
  serverSideEncryption: (client, { bucket }) => succeeds(put(client, bucket, { ServerSideEncryption: "AES256" })),
  objectAttributes: async (client, { bucket }) => {
    await put(client, bucket)
    return succeeds(
      client.send(new S3.GetObjectAttributesCommand({ Bucket: bucket, Key: "key", ObjectAttributes: ["ObjectSize"] }))
    )
  },
  cors: (client, { bucket }) =>
    succeeds(
      client.send(
        new S3.PutBucketCorsCommand({
          Bucket: bucket,
          CORSConfiguration: { CORSRules: [{ AllowedMethods: ["PUT"], AllowedOrigins: ["*"] }] }
        })
      )
    ),
  lifecycle: (client, { bucket }) =>
    succeeds(
      client.send(
        new S3.PutBucketLifecycleConfigurationCommand({
          Bucket: bucket,
          LifecycleConfiguration: {
            Rules: [{
              Status: "Enabled",
              Filter: { Prefix: "" },
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }
            }]
          }
        })
      )
    )
}

/** A form with a signed policy, as a browser sends it. */
const postForm = ({ accessKeyId, bucket, endpoint, region, secretAccessKey }: RealBucket): Promise<Response> => {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "")
  const scope = [date.slice(0, 8), region, "s3", "aws4_request"]
  const fields = {
    key: "form",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": `${accessKeyId}/${scope.join("/")}`,
    "x-amz-date": date
  }
  const policy = Buffer.from(JSON.stringify({
    expiration: new Date(Date.now() + 60_000).toISOString(),
    conditions: [{ bucket }, ...Object.entries(fields).map(([name, value]) => ({ [name]: value }))]
  })).toString("base64")
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()
  const signature = hmac(scope.reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`), policy).toString("hex")
  const form = new FormData()
  for (const [name, value] of Object.entries({ ...fields, policy, "x-amz-signature": signature })) {
    form.append(name, value)
  }
  form.append("file", new Blob(["x"]), "file")
  return fetch(`${endpoint}/${bucket}`, { method: "POST", body: form })
}
