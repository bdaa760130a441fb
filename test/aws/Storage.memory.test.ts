import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Storage } from "../../src/aws/Storage.ts"
import { storageContract } from "../contract/Storage.ts"
import { base, putText, readAll, text } from "../contract/storage/subject.ts"

const urlBase = "https://memory.s3.us-east-1.amazonaws.com"
storageContract("Storage.layerMemory", Storage.layerMemory, urlBase, "memory")

describe("Storage.objects", () => {
  it.effect("shows what was stored", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const data = Buffer.from([1, 2, 3])
      yield* TestClock.setTime(3_600_000)
      const { etag, key } = yield* storage.uploadImage({
        data,
        customerId: 1,
        fileExtension: "png",
        metadata: { a: "b" },
        tags: { kind: "scan" },
        storageClass: "STANDARD_IA",
        encryption: { kmsKeyId: "key" },
        checksum: "SHA256"
      })
      data.fill(9)
      expect(yield* Storage.objects).toEqual([{
        key,
        etag,
        contentType: "image/png",
        metadata: { a: "b" },
        cacheControl: undefined,
        contentDisposition: undefined,
        tags: { kind: "scan" },
        storageClass: "STANDARD_IA",
        encryption: { kmsKeyId: "key" },
        checksum: "SHA256",
        lastModified: new Date(3_600_000),
        bytes: new Uint8Array([1, 2, 3])
      }])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is in the order of storing, and empty in a new storage", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      expect(yield* Storage.objects).toEqual([])
      yield* putText("b", "1")
      yield* putText("a", "2")
      yield* storage.copy("b", "c")
      yield* putText("b", "3")
      expect((yield* Storage.objects).map(({ key }) => key)).toEqual(["a", "c", "b"])
      yield* storage.delete("a")
      expect((yield* Storage.objects).map(({ key }) => key)).toEqual(["c", "b"])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("Storage.layerMemory", () => {
  it.effect("tells of each chunk, and at last of all bytes, once they are stored", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const seen: Array<readonly [number, boolean]> = []
      const see = (key: string, bytes: number) =>
        Effect.orDie(Effect.map(storage.exists(key), (exists) => void seen.push([bytes, exists])))
      const chunk = new Uint8Array(10)
      yield* storage.put("a", Stream.make(chunk, new Uint8Array(0), chunk, chunk, new Uint8Array(0)), {
        onProgress: (bytes) => see("a", bytes)
      })
      expect(seen).toEqual([[10, false], [20, false], [30, true]])
      seen.length = 0
      yield* storage.put("b", text("hello"), {
        onProgress: (bytes) => see("b", bytes)
      })
      expect(seen).toEqual([[5, true]])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("leaves nothing of an upload that is interrupted, or dies, while it tells of its end", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const told = yield* Deferred.make<void>()
      const upload = yield* Effect.fork(storage.uploadImage({
        ...base,
        onProgress: () => Effect.zipRight(Deferred.succeed(told, undefined), Effect.never)
      }))
      yield* Deferred.await(told)
      expect(yield* Storage.objects).toHaveLength(1)
      yield* Fiber.interrupt(upload)
      expect(yield* Storage.objects).toEqual([])
      yield* Effect.exit(storage.uploadImage({ ...base, onProgress: () => Effect.dieMessage("no") }))
      expect(yield* Storage.objects).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("keeps a reader's bytes when the object is replaced", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      yield* putText("a", "first")
      const pull = yield* Stream.toPull(storage.read("a"))
      yield* putText("a", "other")
      expect(String(Buffer.from(Chunk.unsafeHead(yield* pull)))).toBe("other")
      expect(String(yield* readAll("a"))).toBe("other")
    }).pipe(Effect.scoped, Effect.provide(Storage.layerMemory)))

  it.effect("presigns by the clock of the test, with all headers", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      yield* TestClock.setTime(3_600_000)
      const inAnHour = new Date(2 * 3_600_000)
      const expires = `expires=${encodeURIComponent(inAnHour.toISOString())}`
      const options = { expiresIn: "1 hour" } as const
      expect(
        yield* storage.presignRead("ä.pdf", { ...options, contentType: "text/plain", contentDisposition: "inline" })
      )
        .toEqual({
          url:
            `${urlBase}/%C3%A4.pdf?response-content-disposition=inline&response-content-type=text%2Fplain&${expires}`,
          expiresAt: inAnHour
        })
      expect(yield* storage.presignRead("a", options)).toEqual({ url: `${urlBase}/a?${expires}`, expiresAt: inAnHour })

      const file = { customerId: 1, fileExtension: "png", metadata: { a: "b" }, tags: { c: "d e" }, ...options }
      const put = yield* storage.presignPut({ ...file, size: 5 })
      expect(put).toEqual({
        key: put.key,
        url: `${urlBase}/${put.key}?${expires}`,
        method: "PUT",
        headers: {
          "content-length": "5",
          "content-type": "image/png",
          "x-amz-meta-a": "b",
          "x-amz-tagging": "c=d%20e"
        },
        expiresAt: inAnHour
      })
      const once = yield* storage.presignPut({ ...file, size: 5, onlyOnce: true })
      expect(once.headers).toEqual({ ...put.headers, "if-none-match": "*" })
      const post = yield* storage.presignPost({
        ...file,
        maxSize: 5,
        encryption: { kmsKeyId: "k" },
        cacheControl: "no-store"
      })
      expect(post).toEqual({
        key: post.key,
        url: `${urlBase}/?${expires}`,
        fields: {
          key: post.key,
          "Content-Type": "image/png",
          "Cache-Control": "no-store",
          "x-amz-meta-a": "b",
          tagging: "<Tagging><TagSet><Tag><Key>c</Key><Value>d e</Value></Tag></TagSet></Tagging>",
          "x-amz-server-side-encryption": "aws:kms",
          "x-amz-server-side-encryption-aws-kms-key-id": "k"
        },
        expiresAt: inAnHour
      })
      const { expiresAt } = yield* storage.presignRead("a")
      expect(expiresAt).toEqual(new Date(3_600_000 + 15 * 60_000))
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells of no metadata where there is none", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      yield* putText("a", "hello")
      yield* putText("b", "hello", { metadata: {} })
      expect((yield* storage.head("a")).metadata).toBeUndefined()
      expect((yield* storage.head("b")).metadata).toBeUndefined()
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("begins a list after a prefix that was rolled up", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      yield* Effect.forEach(["a/1", "a/2", "b", "c/1"], (key) => putText(key, "x"))
      for (const startAfter of ["a/", "a/1"]) {
        const pages = yield* Stream.runCollect(storage.listPages({ delimiter: "/", startAfter }))
        expect(Array.from(pages)).toMatchObject([{ objects: [{ key: "b" }], prefixes: ["c/"] }])
      }
      const none = yield* Stream.runCollect(storage.listPages({ prefix: "none" }))
      expect(Array.from(none)).toEqual([{ objects: [], prefixes: [] }])
    }).pipe(Effect.provide(Storage.layerMemory)))
})
