import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { SystemError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { type PutOptions, Storage } from "../../../src/aws/Storage.ts"
import type { ServiceError } from "../../../src/Errors.ts"
import { pattern, putText, readAll, text } from "../../contract/storage/subject.ts"
import { failingDisk, files, objectFile, run, storageIn, temporaryFolder } from "../../support/aws/folder.ts"
import { eventually } from "../../support/eventually.ts"

/** A disk of which this process may have so many files open; `most`: the most that were. */
const smallDisk = (limit: number) => {
  const seen = { open: 0, most: 0 }
  const tooMany = Effect.suspend(() => {
    const cause = Object.assign(new Error("EMFILE"), { code: "EMFILE" })
    return Effect.fail(new SystemError({ module: "FileSystem", method: "open", reason: "Unknown", cause }))
  })
  const count = Effect.acquireRelease(
    Effect.suspend(() => {
      if (seen.open >= limit) return tooMany
      seen.most = Math.max(seen.most, ++seen.open)
      return Effect.void
    }),
    () => Effect.sync(() => seen.open--)
  )
  const disk = Layer.effect(
    FileSystem,
    Effect.map(FileSystem, (disk) => ({
      ...disk,
      open: (path: string, options?: Parameters<FileSystem["open"]>[1]) =>
        Effect.zipRight(count, disk.open(path, options))
    }))
  ).pipe(Layer.provide(NodeFileSystem.layer))
  return { disk, seen }
}

describe("Storage.layerFileSystem, shared", () => {
  it.scopedLive("keeps to conditions between layers on one folder", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const storages = yield* Effect.all(
        [1, 2].map(() => Effect.map(Layer.build(storageIn(folder)), (context) => Effect.provide(context)))
      )
      const winners = (key: string, options: PutOptions) =>
        Effect.map(
          Effect.all(storages.map((provide, index) => provide(Effect.either(putText(key, `${index}`, options)))), {
            concurrency: "unbounded"
          }),
          (results) => results.filter(Either.isRight).length
        )
      for (let round = 0; round < 20; round++) {
        const key = `key ${round}`
        expect(yield* winners(key, { ifNoneMatch: "*" })).toBe(1)
        const { etag } = yield* run(folder, Effect.flatMap(Storage, (storage) => storage.head(key)))
        yield* run(folder, putText(key, "x"))
        expect(yield* winners(key, { ifMatch: etag })).toBe(0)
        const { etag: second } = yield* run(folder, Effect.flatMap(Storage, (storage) => storage.head(key)))
        expect(yield* winners(key, { ifMatch: second })).toBe(1)
      }
    }))

  it.scopedLive("replaces nothing that another process stored since it looked", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const theirs = yield* temporaryFolder
      yield* run(theirs, putText("a", "theirs"))
      const disk = failingDisk("any", (disk) => ({
        link: (from, to) => Effect.zipRight(disk.copyFile(objectFile(theirs, "a"), to), disk.link(from, to))
      }))
      const error = yield* Effect.flip(
        Effect.provide(putText("a", "ours", { ifNoneMatch: "*" }), storageIn(folder, disk))
      )
      expect(error).toMatchObject({ reason: "PreconditionFailed", operation: "PutObject", status: 412 })
      expect(String(yield* run(folder, readAll("a")))).toBe("theirs")
      expect(yield* files(folder)).toHaveLength(1)
    }))

  it.scopedLive("stores under a condition where the disk has no links", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const disk = failingDisk("ENOTSUP", (_, failure) => ({ link: () => failure }))
      yield* Effect.provide(putText("a", "hello", { ifNoneMatch: "*" }), storageIn(folder, disk))
      expect(String(yield* run(folder, readAll("a")))).toBe("hello")
      expect(yield* files(folder)).toHaveLength(1)
    }))

  it.scopedLive("serves more writers and readers at once than it may have files open", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { disk, seen } = smallDisk(20)
      yield* Effect.gen(function*() {
        const storage = yield* Storage
        const bytes = pattern(300_000)
        const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`)
        const all = yield* Deferred.make<void>()
        let begun = 0
        yield* Effect.forEach(keys, (key) => {
          // None of them ends before all have written something.
          const wait = Effect.suspend(() =>
            ++begun === keys.length ? Deferred.succeed(all, undefined) : Deferred.await(all)
          )
          return storage.put(
            key,
            Stream.concat(Stream.make(bytes), Stream.fromEffect(Effect.as(wait, text("end"))))
          )
        }, { concurrency: "unbounded" })
        expect(seen).toMatchObject({ open: 0, most: 16 })
        yield* Effect.forEach(keys, (key) =>
          Effect.map(readAll(key), (read) => expect(read.byteLength).toBe(bytes.byteLength + 3)), {
          concurrency: "unbounded"
        })
        expect(seen).toMatchObject({ open: 0, most: 20 })
      }).pipe(Effect.provide(storageIn(folder, disk)))
    }))

  it.effect("does not take a writer that pauses for one that was killed", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const bytes = pattern(300_000)
      const resume = yield* Deferred.make<void>()
      // The file is older than that, by the time of the disk.
      const later = Date.now() + 3 * 3_600_000
      yield* TestClock.setTime(later)
      const writer = yield* Effect.fork(run(
        folder,
        Effect.flatMap(Storage, (storage) =>
          storage.put(
            "a",
            Stream.concat(Stream.make(bytes), Stream.fromEffect(Effect.as(Deferred.await(resume), text("end"))))
          ))
      ))
      const unfinished = Path.join(folder, "unfinished")
      const look = <A>(look: () => Promise<A>, within: Duration.DurationInput = "3 seconds") =>
        TestServices.provideLive(eventually(Effect.promise(look), within))
      const [draft] = yield* look(async () => {
        const names = await fs.readdir(unfinished)
        expect(names).toHaveLength(1)
        // Before it, one byte is written there to see whether the folder can be used.
        const { size } = await fs.stat(Path.join(unfinished, names[0]!))
        expect(size).toBeGreaterThan(1)
        return names as [string]
      })
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("10 minutes")
        yield* look(async () => {
          const { mtimeMs } = await fs.stat(Path.join(unfinished, draft))
          expect(mtimeMs).toBeGreaterThanOrEqual(later)
        }, "100 millis")
      }).pipe(Effect.sandbox, Effect.retry({ times: 20 }))
      yield* run(folder, Effect.void)
      yield* Deferred.succeed(resume, undefined)
      yield* Fiber.join(writer)
      expect((yield* run(folder, readAll("a"))).byteLength).toBe(bytes.byteLength + 3)
    }).pipe(Effect.scoped))

  it.scopedLive("says so at the end if the bytes are not those that were stored", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const bytes = pattern(600_000)
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          yield* storage.put("a", bytes)
          const path = objectFile(folder, "a")
          const whole = yield* Effect.promise(() => fs.readFile(path))
          for (const position of [0, 299_999, 599_999]) {
            const damaged = Buffer.from(whole)
            damaged[position]! ^= 1
            yield* Effect.promise(() => fs.writeFile(path, damaged))
            for (const use of [storage.readBytes("a"), readAll("a"), storage.copy("a", "b")] as const) {
              expect(yield* Effect.flip<unknown, ServiceError, Storage>(use)).toMatchObject({
                reason: "UnreadableData",
                retryable: false
              })
            }
          }
          expect(yield* storage.exists("b")).toBe(false)
          yield* Effect.promise(() => fs.writeFile(path, whole))
          expect(Buffer.compare(yield* readAll("a"), bytes)).toBe(0)
        })
      )
    }))

  it.scopedLive("says from every method that its folder is gone", () =>
    Effect.gen(function*() {
      const folder = Path.join(yield* temporaryFolder, "storage")
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          yield* Effect.promise(() => fs.rm(folder, { recursive: true }))
          for (
            const use of [
              storage.check,
              putText("a", "hello"),
              putText("a", "hello", { ifNoneMatch: "*" }),
              storage.head("a"),
              storage.exists("a"),
              readAll("a"),
              storage.copy("a", "b"),
              storage.delete("a"),
              Stream.runDrain(storage.list())
            ]
          ) {
            expect(yield* Effect.flip(use)).toMatchObject({ reason: "ResourceNotFound", retryable: false })
          }
          expect(yield* storage.deleteMany(["a"])).toMatchObject({
            deleted: [],
            failed: [{ key: "a", error: { reason: "ResourceNotFound" } }]
          })
        })
      )
    }))
})
