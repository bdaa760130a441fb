import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { Storage } from "../../src/aws/Storage.ts"
import { storageContract } from "../contract/Storage.ts"
import { helloEtag, mebibyte, pattern, putText, readAll, text } from "../contract/storage/subject.ts"
import { files, objectFile, run, storageIn, temporaryFolder } from "../support/aws/folder.ts"

storageContract(
  "Storage.layerFileSystem",
  Layer.unwrapScoped(Effect.map(temporaryFolder, (folder) => storageIn(folder))),
  "http://files.invalid",
  "files"
)

describe("Storage.layerFileSystem", () => {
  it.scopedLive("has the files of a former run, with all that was stored with them", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const bytes = pattern(3 * mebibyte)
      // The longest of everything: more than a read of the end of the file gives.
      const options = {
        contentType: "image/png",
        cacheControl: "c".repeat(1024),
        contentDisposition: "d".repeat(1024),
        metadata: { m: "m".repeat(2047) },
        tags: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`${i}${"k".repeat(127)}`, "é".repeat(256)])),
        storageClass: "STANDARD_IA",
        encryption: { kmsKeyId: "key", bucketKey: true },
        checksum: "SHA256"
      } as const
      const before = yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          yield* storage.put("full", bytes, options)
          yield* putText("empty", "hello", { encryption: "AES256" })
          yield* putText("gone", "hello")
          yield* storage.delete("gone")
          return yield* storage.head("full")
        })
      )
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          expect(yield* storage.head("full")).toEqual(before)
          const { cacheControl, contentDisposition, metadata, storageClass } = options
          expect(before).toMatchObject({
            contentType: "image/png",
            size: bytes.byteLength,
            cacheControl,
            contentDisposition,
            metadata,
            storageClass
          })
          expect(Buffer.compare(yield* readAll("full"), bytes)).toBe(0)
          expect(yield* storage.head("empty")).toMatchObject({
            etag: helloEtag,
            contentType: "application/octet-stream"
          })
          expect(yield* storage.exists("gone")).toBe(false)
          const keys = yield* Stream.runCollect(Stream.map(storage.list(), ({ key }) => key))
          expect(Array.from(keys)).toEqual(["empty", "full"])
        })
      )
    }))

  it.scopedLive("leaves no file but those of objects, in a folder of the owner's", () =>
    Effect.gen(function*() {
      const folder = Path.join(yield* temporaryFolder, "made", "by it")
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          yield* putText("a", "first")
          yield* putText("a", "second")
          yield* storage.copy("a", "b")
          yield* Effect.flip(putText("a", "third", { ifNoneMatch: "*" }))
          yield* Effect.flip(storage.put("c", Stream.concat(Stream.make(text("x")), Stream.fail("no"))))
          yield* Effect.flip(storage.put("c", text("x"), { size: 2 }))
        })
      )
      const kept = yield* files(folder)
      expect(kept).toHaveLength(2)
      expect((yield* Effect.promise(() => fs.stat(folder))).mode & 0o777).toBe(0o700)
      for (const name of kept) {
        expect((yield* Effect.promise(() => fs.stat(Path.join(folder, "objects", name)))).mode & 0o777).toBe(0o600)
      }
    }))

  it.scopedLive("removes at its start what a killed writer left, and nothing else", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* run(folder, putText("a", "hello"))
      const unfinished = Path.join(folder, "unfinished")
      const ours = () => `${globalThis.crypto.randomUUID()}.object`
      const [old, recent] = [ours(), ours()]
      yield* Effect.promise(async () => {
        const anHourAgo = Date.now() / 1000 - 3601
        for (const name of [old, recent, "somebody's.txt"]) await fs.writeFile(Path.join(unfinished, name), "half")
        for (const name of [old, "somebody's.txt"]) await fs.utimes(Path.join(unfinished, name), anHourAgo, anHourAgo)
        await fs.utimes(objectFile(folder, "a"), anHourAgo, anHourAgo)
        await fs.writeFile(Path.join(folder, "objects", "somebody's.txt"), "kept")
      })
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          expect(Array.from(yield* Stream.runCollect(storage.list()))).toMatchObject([{ key: "a" }])
          expect(String(yield* readAll("a"))).toBe("hello")
        })
      )
      expect((yield* Effect.promise(() => fs.readdir(unfinished))).sort()).toEqual([recent, "somebody's.txt"].sort())
      expect(yield* Effect.promise(() => fs.readFile(Path.join(folder, "objects", "somebody's.txt"), "utf8"))).toBe(
        "kept"
      )
    }))

  it.scopedLive("keeps a reader's bytes when the object is replaced or deleted", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const bytes = pattern(5 * mebibyte)
      for (const change of [putText("a", "other"), storage.delete("a")]) {
        yield* storage.put("a", bytes)
        const opened = yield* Deferred.make<void>()
        const changed = yield* Deferred.make<void>()
        const reader = yield* Effect.fork(Stream.runCollect(Stream.mapEffect(storage.read("a"), (chunk) =>
          Effect.as(Effect.zipRight(Deferred.succeed(opened, undefined), Deferred.await(changed)), chunk))))
        yield* Deferred.await(opened)
        yield* change
        yield* Deferred.succeed(changed, undefined)
        expect(Buffer.compare(Buffer.concat(Array.from(yield* Fiber.join(reader))), bytes)).toBe(0)
      }
      expect(yield* storage.exists("a")).toBe(false)
    }).pipe(Effect.provide(Layer.unwrapScoped(Effect.map(temporaryFolder, (folder) =>
      storageIn(folder))))))

  it.scopedLive("never mixes the bytes of writers and readers of one key, of two runs at the same time", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const contents = Array.from({ length: 6 }, (_, index) => new Uint8Array(mebibyte + index).fill(index))
      const writer = (bytes: Uint8Array) =>
        Effect.flatMap(
          Storage,
          (storage) => storage.put("a", Stream.fromIterable([bytes.subarray(0, 9), bytes.subarray(9)]))
        )
      const reader = Effect.gen(function*() {
        const bytes = yield* readAll("a")
        expect(bytes.byteLength).toBe(mebibyte + (bytes[0] as number))
        expect(bytes.every((byte) => byte === bytes[0])).toBe(true)
      })
      yield* run(folder, putText("b", "b"))
      yield* run(folder, writer(contents[0] as Uint8Array))
      yield* Effect.all(
        contents.flatMap((bytes) => [
          run(folder, Effect.repeatN(writer(bytes), 4)),
          run(folder, Effect.repeatN(reader, 8))
        ]),
        { concurrency: "unbounded" }
      )
      expect(yield* files(folder)).toHaveLength(2)
    }))

  it.scopedLive("writes nothing outside its folder, whatever the key", () =>
    Effect.gen(function*() {
      const parent = yield* temporaryFolder
      const folder = Path.join(parent, "storage")
      const keys = [
        "/etc/passwd",
        "//a",
        "a//../b".replace("..", "..."),
        "..\\..\\a",
        "C:\\a",
        "..%2f..%2fa",
        "%2e%2e/a",
        "~/a",
        "objects",
        "\u202e../a",
        "x".repeat(1024),
        "/".repeat(1024)
      ]
      yield* run(folder, Effect.forEach(keys, (key) => putText(key, key)))
      yield* run(
        folder,
        Effect.forEach(keys, (key) => Effect.map(readAll(key), (bytes) => expect(String(bytes)).toBe(key)))
      )
      expect(yield* Effect.promise(() => fs.readdir(parent))).toEqual(["storage"])
      expect((yield* Effect.promise(() => fs.readdir(folder))).sort()).toEqual(["objects", "unfinished"])
      expect(yield* files(folder)).toHaveLength(keys.length)
    }))

  it.scopedLive("stays with its folder when the process goes to another", () =>
    Effect.gen(function*() {
      const parent = yield* Effect.flatMap(temporaryFolder, (folder) => Effect.promise(() => fs.realpath(folder)))
      const folder = Path.relative(process.cwd(), Path.join(parent, "storage"))
      yield* run(folder, putText("a", "hello"))
      expect(yield* files(Path.join(parent, "storage"))).toHaveLength(1)
    }))
})
