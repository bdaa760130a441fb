import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Storage } from "../../src/aws/Storage.ts"
import { storageContract } from "../contract/Storage.ts"

storageContract("Storage.layerMemory", Storage.layerMemory, "https://memory.s3.us-east-1.amazonaws.com", "memory")

describe("Storage.objects", () => {
  it.effect("shows what was stored", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const data = new Uint8Array([1, 2, 3])
      const { etag, key } = yield* storage.uploadImage({
        data,
        customerId: 1,
        fileExtension: "png",
        metadata: { a: "b" }
      })
      data.fill(9)
      expect(yield* Storage.objects).toEqual([{
        key,
        etag,
        contentType: "image/png",
        metadata: { a: "b" },
        cacheControl: undefined,
        contentDisposition: undefined,
        bytes: new Uint8Array([1, 2, 3])
      }])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is empty in a new storage", () =>
    Effect.gen(function*() {
      expect(yield* Storage.objects).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))
})
