import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { Storage } from "../../../src/aws/Storage.ts"
import { ConfigurationError } from "../../../src/Errors.ts"
import { base, mebibyte, pattern, putText, readAll } from "../../contract/storage/subject.ts"
import { failingDisk, files, objectFile, run, storageIn, temporaryFolder } from "../../support/aws/folder.ts"

describe("Storage.layerFileSystem", () => {
  it.scopedLive("names a folder that cannot be made or written", () =>
    Effect.gen(function*() {
      const parent = yield* temporaryFolder
      const file = Path.join(parent, "file")
      yield* Effect.promise(() => fs.writeFile(file, ""))
      for (const folder of ["", file, Path.join(file, "below"), "a\0b", "/proc/none"]) {
        const error = yield* Effect.flip(Layer.build(storageIn(folder)))
        expect(error).toBeInstanceOf(ConfigurationError)
        expect(error).toMatchObject({
          service: "Storage",
          reason: "InvalidSettings",
          problems: [{ setting: "directory" }]
        })
        expect(error.message).toContain(JSON.stringify(folder))
      }
      const readOnly = failingDisk("EROFS", (_, failure) => ({ writeFile: () => failure }))
      const error = yield* Effect.flip(Layer.build(storageIn(parent, readOnly)))
      expect(error.message).toContain(JSON.stringify(parent))
    }))

  it.scopedLive("stores nothing on a full disk, and leaves what was there", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* run(folder, putText("a", "first"))
      const steps = [
        failingDisk("ENOSPC", (fs, failure) => ({
          open: (path, options) =>
            Effect.map(fs.open(path, options), (file) =>
              new Proxy(file, {
                get: (target, name) => name === "writeAll" ? () => failure : Reflect.get(target, name, target)
              }))
        })),
        failingDisk("ENOSPC", (fs, failure) => ({
          open: (path, options) =>
            Effect.map(fs.open(path, options), (file) =>
              new Proxy(file, {
                get: (target, name) => name === "sync" ? failure : Reflect.get(target, name, target)
              }))
        })),
        failingDisk("ENOSPC", (fs, failure) => ({
          rename: (from, to) => /[0-9a-f]{64}/.test(to) ? failure : fs.rename(from, to)
        })),
        failingDisk("ENOSPC", (fs, failure) => ({
          open: (path, options) => options?.flag === "wx" ? failure : fs.open(path, options)
        }))
      ]
      for (const disk of steps) {
        yield* Effect.gen(function*() {
          const storage = yield* Storage
          for (
            const write of [
              putText("a", "second"),
              storage.put("a", Stream.make(pattern(mebibyte))),
              storage.copy("a", "b")
            ]
          ) {
            expect(yield* Effect.flip(write)).toMatchObject({
              _tag: "ServiceError",
              reason: "Unavailable",
              retryable: false,
              detail: "the disk is full"
            })
          }
          expect(yield* Effect.flip(storage.uploadImage(base))).toMatchObject({ reason: "Unavailable" })
          expect(String(yield* readAll("a"))).toBe("first")
        }).pipe(Effect.provide(storageIn(folder, disk)))
        expect(yield* files(folder)).toHaveLength(1)
      }
    }))

  it.scopedLive("says what else the disk refuses", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      for (
        const [code, reason] of [["EACCES", "AccessDenied"], ["EROFS", "AccessDenied"], ["EDQUOT", "Unavailable"], [
          "ENOENT",
          "ResourceNotFound"
        ], ["EIO", "Unknown"]] as const
      ) {
        const disk = failingDisk(code, (_, failure) => ({
          open: () => failure,
          remove: () => failure,
          readDirectory: (path) => path.endsWith("objects") ? failure : Effect.succeed([]),
          access: () => failure
        }))
        yield* Effect.gen(function*() {
          const storage = yield* Storage
          const expected = { _tag: "ServiceError", service: "S3", reason, retryable: false, attempts: 1 }
          expect(yield* Effect.flip(putText("a", "hello"))).toMatchObject({ ...expected, operation: "PutObject" })
          expect(yield* Effect.flip(storage.head("a"))).toMatchObject({ ...expected, operation: "HeadObject" })
          expect(yield* Effect.flip(readAll("a"))).toMatchObject({ ...expected, operation: "GetObject" })
          expect(yield* Effect.flip(storage.delete("a"))).toMatchObject({ ...expected, operation: "DeleteObject" })
          expect(yield* Effect.flip(Stream.runDrain(storage.list()))).toMatchObject({
            ...expected,
            operation: "ListObjectsV2"
          })
          expect(yield* Effect.flip(storage.check)).toMatchObject({ ...expected, operation: "ListObjectsV2" })
          expect(yield* storage.deleteMany(["a"]))
            .toMatchObject({ deleted: [], failed: [{ key: "a", error: { ...expected, operation: "DeleteObjects" } }] })
        }).pipe(Effect.provide(storageIn(folder, disk)))
      }
    }))

  it.scopedLive("says that a file is damaged, rather than give other bytes; it can be replaced and deleted", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const bytes = pattern(mebibyte)
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          const path = objectFile(folder, "a")
          yield* storage.put("a", bytes)
          const whole = yield* Effect.promise(() => fs.readFile(path))
          const damages = [
            Buffer.alloc(0),
            whole.subarray(0, -1),
            whole.subarray(1),
            whole.subarray(0, 1000),
            Buffer.concat([whole, Buffer.from("x")]),
            Buffer.from("99999999/object1"),
            Buffer.from("00000002/object1"),
            Buffer.concat([whole.subarray(0, -16), Buffer.from("00000005/object1")])
          ]
          for (const damaged of damages) {
            yield* Effect.promise(() => fs.writeFile(path, damaged))
            for (
              const use of [readAll("a"), storage.head("a"), storage.copy("a", "b"), Stream.runDrain(storage.list())]
            ) {
              expect(yield* Effect.flip(use)).toMatchObject({
                reason: "UnreadableData",
                retryable: false,
                detail: `the object's file is damaged: ${Path.basename(path)}`
              })
            }
          }
          yield* putText("a", "hello")
          expect(String(yield* readAll("a"))).toBe("hello")
          yield* Effect.promise(() => fs.writeFile(path, "damaged"))
          yield* storage.delete("a")
          expect(yield* storage.exists("a")).toBe(false)
        })
      )
    }))

  it.scopedLive("stores nothing of an upload that is interrupted at any time", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* run(
        folder,
        Effect.gen(function*() {
          const storage = yield* Storage
          const bytes = pattern(mebibyte)
          let interrupted = 0
          for (let yields = 0; yields < 120; yields++) {
            const upload = yield* Effect.fork(storage.uploadImage({ ...base, data: Stream.make(bytes, bytes) }))
            yield* Effect.repeatN(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))), yields % 40)
            const exit = yield* Fiber.interrupt(upload)
            if (Exit.isSuccess(exit)) {
              yield* storage.delete(exit.value.key)
            } else {
              expect(Option.isNone(Cause.failureOption(exit.cause))).toBe(true)
              interrupted++
            }
            expect(yield* files(folder), `after ${yields} turns`).toEqual([])
          }
          expect(interrupted).toBeGreaterThan(10)
        })
      )
    }))
})
