import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Storage } from "../../src/aws/Storage.ts"
import { storageContract } from "../contract/Storage.ts"
import { Fauxqs } from "../support/aws/fauxqs.ts"
import { bucket, settings } from "../support/aws/settings.ts"

const onFauxqs = <A, E, R>(layer: Layer.Layer<A, E, R>, more?: Readonly<Record<string, string>>) =>
  Layer.unwrapEffect(
    Effect.map(Fauxqs, (server) => Layer.provide(layer, settings(`http://127.0.0.1:${server.port}`, more)))
  ).pipe(Layer.provideMerge(Fauxqs.layer))

/** What fauxqs cannot. */
const can = {
  conditions: false,
  lists: false,
  headers: false,
  extras: false,
  copiedTypes: false,
  longSuffixes: false
}

storageContract(
  "Storage.layer on S3",
  onFauxqs(Storage.layer),
  `https://${bucket}.s3.eu-west-1.amazonaws.com`,
  bucket,
  can
)
storageContract(
  "Storage.layer on S3 behind a CDN, with fewer checksums",
  onFauxqs(Storage.layer, { STORAGE_PUBLIC_BASE_URL: "https://cdn.example.com/files/", AWS_S3_CHECKSUMS: "required" }),
  "https://cdn.example.com/files",
  bucket,
  can
)

describe("Storage.layer", () => {
  it.live("says that the bucket does not exist", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const input = { data: new Uint8Array(1), customerId: 1, fileExtension: "png" }
      expect(yield* Effect.flip(storage.uploadImage(input)))
        .toMatchObject({ reason: "ResourceNotFound", status: 404, operation: "PutObject" })
      expect(yield* Effect.flip(storage.check)).toMatchObject({
        reason: "ResourceNotFound",
        operation: "ListObjectsV2"
      })
    }).pipe(Effect.provide(onFauxqs(Storage.layer, { IMAGE_S3_BUCKET: "not-there" }))))
})
