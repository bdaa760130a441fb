/** `read` and `readBytes`: ranges, conditions, limits. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import { type Range, Storage } from "../../../src/aws/Storage.ts"
import { fresh, mebibyte, pattern, putText, type Subject, type Tests } from "./subject.ts"

const size = 3 * mebibyte

/** A range, and where its bytes begin and end in JavaScript's way. */
const ranges: ReadonlyArray<readonly [Range, number, number]> = [
  [{ start: 0 }, 0, size],
  [{ start: 0, end: 0 }, 0, 1],
  [{ start: 10, end: 19 }, 10, 20],
  [{ start: 100, end: 2 * mebibyte }, 100, 2 * mebibyte + 1],
  [{ start: size - 1 }, size - 1, size],
  [{ start: size - 5, end: size * 2 }, size - 5, size],
  [{ last: 1 }, size - 1, size],
  [{ last: 5000 }, size - 5000, size],
  [{ last: size }, 0, size]
]

export const reading = (it: Tests, { can }: Subject): void => {
  it.effect("reads ranges", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      const bytes = pattern(size)
      yield* service.put(key, bytes)
      expect(Buffer.compare(yield* service.readBytes(key), bytes)).toBe(0)
      for (const [range, start, end] of ranges) {
        const expected = bytes.subarray(start, end)
        expect(Buffer.compare(yield* service.readBytes(key, { range }), expected), JSON.stringify(range)).toBe(0)
        const streamed = Buffer.concat(Array.from(yield* Stream.runCollect(service.read(key, { range }))))
        expect(Buffer.compare(streamed, expected), JSON.stringify(range)).toBe(0)
      }
      for (const start of [size, size * 2]) {
        expect(yield* Effect.flip(service.readBytes(key, { range: { start } })))
          .toMatchObject({ reason: "InvalidRequest", status: 416, retryable: false })
      }
    }))

  if (can.longSuffixes) {
    it.effect("reads all bytes where more are asked for from the end", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const key = `${yield* fresh}a`
        yield* putText(key, "hello")
        expect(String(Buffer.from(yield* service.readBytes(key, { range: { last: 6 } })))).toBe("hello")
      }))
  }

  it.effect("lets a reader end early", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      const bytes = pattern(size)
      yield* service.put(key, bytes)
      const [first] = Array.from(yield* Stream.runCollect(Stream.take(service.read(key), 1)))
      expect(Buffer.compare(first as Uint8Array, bytes.subarray(0, first?.byteLength))).toBe(0)
      expect(yield* service.exists(key)).toBe(true)
    }))

  it.effect("gives bytes that a reader may change", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      yield* putText(key, "hello")
      yield* Stream.runForEach(service.read(key), (chunk) => Effect.sync(() => chunk.fill(0)))
      expect(String(Buffer.from(yield* service.readBytes(key)))).toBe("hello")
    }))

  it.effect("reads no more bytes into memory than it may", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      yield* putText(key, "hello")
      expect((yield* service.readBytes(key, { maxBytes: 5 })).byteLength).toBe(5)
      expect((yield* service.readBytes(key, { maxBytes: 2, range: { last: 2 } })).byteLength).toBe(2)
      for (const maxBytes of [0, 4]) {
        expect(yield* Effect.flip(service.readBytes(key, { maxBytes })))
          .toMatchObject({ reason: "PayloadTooLarge", retryable: false })
      }
    }))

  it.effect("finds nothing under a key that was not used", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      for (const read of [service.readBytes(key), service.readBytes(key, { range: { start: 5 } })]) {
        expect(yield* Effect.flip(read)).toMatchObject({ reason: "ObjectNotFound", status: 404, retryable: false })
      }
    }))

  if (!can.conditions) return

  it.effect("reads only the object with that ETag", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      const { etag } = yield* putText(key, "hello")
      expect(String(Buffer.from(yield* service.readBytes(key, { ifMatch: etag, range: { last: 2 } })))).toBe("lo")
      yield* putText(key, "another")
      expect(yield* Effect.flip(service.readBytes(key, { ifMatch: etag })))
        .toMatchObject({ reason: "PreconditionFailed", status: 412, retryable: false })
    }))
}
