/** The forms that the bytes of an upload may have, and sizes that are said of them. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { File } from "node:buffer"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { runInNewContext } from "node:vm"
import { expect } from "vitest"
import { type Data, Storage } from "../../../src/aws/Storage.ts"
import { temporaryFolder } from "../../support/aws/folder.ts"
import { fresh, mebibyte, pattern, readAll, refuses, type Tests, text } from "./subject.ts"

/** Chunks with an end, or with an error instead. */
const readable = (chunks: ReadonlyArray<unknown>, failure?: Error) => {
  const seen = { cancelled: false }
  let index = 0
  const stream = new ReadableStream({
    pull: (controller) => {
      if (index < chunks.length) return controller.enqueue(chunks[index++])
      if (failure === undefined) controller.close()
      else controller.error(failure)
    },
    cancel: () => {
      seen.cancelled = true
    }
  }, { highWaterMark: 0 })
  return { seen, stream: stream as ReadableStream<Uint8Array> }
}

const bytes = pattern(3 * mebibyte + 17)
const large = pattern(17 * mebibyte)

const forms: ReadonlyArray<readonly [string, () => Data, Uint8Array]> = [
  ["a Uint8Array", () => bytes, bytes],
  ["a Buffer", () => Buffer.from(bytes), bytes],
  ["a part of an array", () => bytes.subarray(1000, 2000), bytes.subarray(1000, 2000)],
  ["a Uint8Array of another realm", () => runInNewContext("new Uint8Array([1, 2, 3])"), new Uint8Array([1, 2, 3])],
  ["a Blob", () => new Blob([bytes]), bytes],
  ["a large Blob", () => new Blob([large]), large],
  ["a File", () => new File([bytes], "image.png") as unknown as Blob, bytes],
  ["a ReadableStream", () => readable([bytes.subarray(0, 100), bytes.subarray(100)]).stream, bytes],
  ["a Stream", () => Stream.make(bytes.subarray(0, 5), new Uint8Array(0), bytes.subarray(5)), bytes],
  [
    "a Stream of arrays of another realm",
    () => Stream.sync(() => runInNewContext("new Uint8Array([1, 2, 3])") as Uint8Array),
    new Uint8Array([1, 2, 3])
  ],
  [
    "a Stream of small chunks",
    () => Stream.fromIterable(Array.from(bytes.subarray(0, 9999), (byte) => new Uint8Array([byte]))),
    bytes.subarray(0, 9999)
  ]
]

export const data = (it: Tests): void => {
  for (const [name, make, expected] of forms) {
    it.effect(`stores ${name}`, () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const key = `${yield* fresh}data`
        expect((yield* service.put(key, make())).size).toBe(expected.byteLength)
        expect(Buffer.compare(yield* readAll(key), expected)).toBe(0)
        yield* service.put(key, make(), { size: expected.byteLength })
        expect(Buffer.compare(yield* readAll(key), expected)).toBe(0)
      }))

    it.effect(`refuses a wrong size of ${name}, and stores nothing`, () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const key = `${yield* fresh}data`
        for (const change of [-1, 1]) {
          yield* refuses(service.put(key, make(), { size: expected.byteLength + change }), "size", [name, change])
        }
        expect(yield* service.exists(key)).toBe(false)
      }))
  }

  it.scoped("stores a file; refuses one that is empty; passes on that there is none", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const folder = yield* temporaryFolder
      const key = `${yield* fresh}data`
      const path = Path.join(folder, "scan.dcm")
      yield* Effect.promise(() => fs.writeFile(path, large))
      expect(yield* service.put(key, Storage.file(path))).toMatchObject({ size: large.byteLength })
      expect(Buffer.compare(yield* readAll(key), large)).toBe(0)
      yield* refuses(service.put(key, Storage.file(path), { size: 1 }), "size")
      yield* Effect.promise(() => fs.writeFile(path, ""))
      yield* refuses(service.put(key, Storage.file(path)), "data")
      expect(yield* Effect.flip(service.put(key, Storage.file(Path.join(folder, "none"))))).toMatchObject({
        _tag: "SystemError",
        reason: "NotFound"
      })
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("refuses chunks that are not bytes, wherever they are, and stores nothing", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}data`
      for (const chunk of [new Uint16Array([1, 2]), "text", [1, 2], new ArrayBuffer(2), null]) {
        for (const before of [[], [text("a")]]) {
          const chunks = [...before, chunk] as ReadonlyArray<Uint8Array>
          yield* refuses(service.put(key, Stream.fromIterable(chunks)), "data", [chunk, before.length])
          yield* refuses(service.put(key, readable(chunks).stream), "data", [chunk, before.length])
        }
      }
      // After parts that may have been sent.
      const many = Array.from({ length: 18 }, () => new Uint8Array(mebibyte))
      const late = Stream.fromIterable([...many, "text" as unknown as Uint8Array])
      const error = yield* Effect.flip(service.put(key, late))
      expect(error).toMatchObject({ reason: "InvalidInput", field: "data", retryable: false })
      expect(yield* service.exists(key)).toBe(false)
    }))

  it.effect("says that a ReadableStream fails, without its words, and cancels one that it does not need", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}data`
      const broken = readable([text("some")], new Error("a name of a patient"))
      const error = yield* Effect.flip(service.put(key, broken.stream))
      expect(error).toMatchObject({ reason: "UnreadableData", retryable: false })
      expect(error.message).not.toContain("patient")
      const long = readable([text("some"), text("more"), text("more")])
      yield* refuses(service.put(key, long.stream, { size: 5 }), "size")
      expect(long.seen.cancelled).toBe(true)
      const locked = readable([text("some")]).stream
      locked.getReader()
      yield* refuses(service.put(key, locked), "data")
      expect(yield* service.exists(key)).toBe(false)
    }))

  it.effect("stores nothing of an upload that is interrupted", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}data`
      const asked = yield* Deferred.make<void>()
      const endless = Stream.concat(
        Stream.make(new Uint8Array(100)),
        Stream.fromEffect(Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never))
      )
      const upload = yield* Effect.fork(service.put(key, endless))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(upload)
      expect(yield* service.exists(key)).toBe(false)
    }))
}
