import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Storage } from "../../src/aws/Storage.ts"
import { fakeS3 } from "../support/aws/fakeS3.ts"
import { chunks, input, mebibyte, withStorage } from "../support/aws/faultStage.ts"

const video = { ...input, fileExtension: "mp4" }

describe("onProgress", () => {
  it.live("is finer than parts, one call at a time, never decreasing, also when a part is sent again", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation, index) => operation === "Part" && index === 1 ? { status: 500 } : undefined)
        const seen: Array<number> = []
        let running = 0
        yield* storage.uploadVideo({
          ...video,
          data: chunks(20),
          onProgress: (bytes) =>
            Effect.gen(function*() {
              expect(++running).toBe(1)
              seen.push(bytes)
              yield* Effect.sleep("1 millis")
              running--
            })
        })
        expect(seen.length).toBeGreaterThan(3)
        expect(seen).toEqual([...seen].sort((a, b) => a - b))
        expect(seen.at(-1)).toBe(20 * mebibyte)
        expect(seen.some((bytes) => bytes % (8 * mebibyte) !== 0)).toBe(true)
      })
    ))

  it.live("does not slow the upload, and is interrupted at its end, but for the last call", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        const seen: Array<number> = []
        yield* storage.uploadVideo({
          ...video,
          data: chunks(20),
          onProgress: (bytes) => {
            seen.push(bytes)
            return bytes === 20 * mebibyte ? Effect.void : Effect.never
          }
        })
        expect(seen).toHaveLength(2)
      })
    ))

  it.live("that dies ends the upload, which leaves nothing", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server)
        const exit = yield* Effect.exit(
          storage.uploadVideo({ ...video, data: chunks(20), onProgress: () => Effect.die("bug") })
        )
        expect(exit).toMatchObject({ _tag: "Failure", cause: { defect: "bug" } })
        expect(s3.open.size).toBe(0)
      })
    ))

  it.live("that does not end, and cannot be interrupted, holds the upload for a little while only", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        for (const data of [chunks(20), new Uint8Array([1, 2, 3])]) {
          let calls = 0
          const onProgress = () => {
            calls++
            return Effect.uninterruptible(Effect.never)
          }
          const [time] = yield* Effect.timed(storage.uploadVideo({ ...video, data, onProgress }))
          expect(Duration.toSeconds(time)).toBeLessThan(10)
          expect(calls).toBe(1)
        }
      })
    ))

  it.live("whose last call is interrupted leaves no file: nobody knows its key", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        const last = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          storage.uploadImage({
            ...input,
            onProgress: () => Effect.zipRight(Deferred.succeed(last, undefined), Effect.never)
          })
        )
        yield* Deferred.await(last)
        yield* Fiber.interrupt(fiber)
        expect(server.seen.map(({ method }) => method)).toEqual(["PUT", "DELETE"])
      })
    ))
})

describe("Storage.progress", () => {
  it.live("gives the numbers, and then the file", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        const all = yield* Stream.runCollect(
          Storage.progress((onProgress) => storage.uploadVideo({ ...video, data: chunks(20), onProgress }))
        )
        const last = Chunk.unsafeLast(all)
        expect(last).toMatchObject({ _tag: "Stored", object: { size: 20 * mebibyte } })
        expect(Chunk.size(all)).toBeGreaterThan(1)
        expect(Chunk.toReadonlyArray(all).slice(0, -1).every(({ _tag }) => _tag === "Progress")).toBe(true)
      })
    ))

  it.live("fails as the upload does", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        const data = Stream.concat(chunks(9), Stream.fail("gone"))
        const error = yield* Effect.flip(
          Stream.runDrain(Storage.progress((onProgress) => storage.uploadVideo({ ...video, data, onProgress })))
        )
        expect(error).toBe("gone")
      })
    ))

  it.live("ends the upload when its reader ends", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) => operation === "Part" && index > 1 ? "stall" : undefined)
        yield* Stream.runHead(
          Storage.progress((onProgress) => storage.uploadVideo({ ...video, data: chunks(60), onProgress }))
        )
        expect(s3.open.size).toBe(0)
      })
    ))
})
