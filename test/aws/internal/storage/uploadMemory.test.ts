import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { vi } from "vitest"
import { ofStream } from "../../../../src/aws/internal/storage/s3/parts.ts"
import { UploadMemory } from "../../../../src/aws/internal/storage/s3/uploadMemory.ts"
import type { ServiceError } from "../../../../src/Errors.ts"

const mebibyte = 1024 * 1024

describe("the memory of uploads", () => {
  it.live("gives parts in the order in which they are asked for, and never more than the bound", () =>
    Effect.gen(function*() {
      const memory = new UploadMemory(32 * mebibyte)
      const holder = memory.holder("uploadVideo")
      const three = yield* Effect.all([holder.part(8 * mebibyte), holder.part(8 * mebibyte), holder.part(8 * mebibyte)])
      const waiting = yield* Effect.fork(memory.holder("uploadVideo").part(8 * mebibyte))
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "None" })
      // The beginnings of streams have memory of their own.
      yield* holder.beginning
      three[0].release()
      yield* Fiber.join(waiting)
    }))

  it.live("gives back what an upload holds when it is over, once", () =>
    Effect.gen(function*() {
      const memory = new UploadMemory(32 * mebibyte)
      for (let round = 0; round < 20; round++) {
        const holder = memory.holder("uploadVideo")
        const part = yield* holder.part(8 * mebibyte)
        yield* holder.part(8 * mebibyte)
        yield* holder.beginning
        part.release(part.buffer(8 * mebibyte))
        holder.close()
        holder.close()
      }
    }))

  it.live("gives a part that is larger than the bound alone", () =>
    Effect.gen(function*() {
      const memory = new UploadMemory(32 * mebibyte)
      const holder = memory.holder("uploadVideo")
      const large = yield* holder.part(512 * mebibyte)
      const next = yield* Effect.fork(memory.holder("uploadVideo").part(1))
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(next)).toMatchObject({ _tag: "None" })
      large.release()
      yield* Fiber.join(next)
    }))

  it.live("uses a buffer again, while anything is uploaded", () =>
    Effect.gen(function*() {
      const memory = new UploadMemory(32 * mebibyte)
      const other = memory.holder("uploadVideo")
      yield* other.beginning
      const first = yield* memory.holder("uploadVideo").part(8 * mebibyte)
      const buffer = first.buffer(8 * mebibyte)
      first.release(buffer)
      const second = yield* memory.holder("uploadVideo").part(8 * mebibyte)
      expect(second.buffer(8 * mebibyte) === buffer).toBe(true)
      second.release(buffer)
      other.close()
      const third = yield* memory.holder("uploadVideo").part(8 * mebibyte)
      expect(third.buffer(8 * mebibyte) === buffer).toBe(false)
    }))

  it.live("waits for a source as long as that gives chunks without bytes", () =>
    Effect.scoped(Effect.gen(function*() {
      const holder = new UploadMemory(mebibyte).holder("uploadImage")
      const empty = Stream.repeatEffect(Effect.as(Effect.sleep(1), new Uint8Array(0)))
      const stream = Stream.concat(Stream.make(new Uint8Array(1)), empty)
      const parts = yield* ofStream("uploadImage", stream, undefined, () => mebibyte, holder)
      yield* Effect.fork(parts.next)
      yield* Effect.sleep(20)
      const since = holder.waitingSince
      expect(since).toBeDefined()
      yield* Effect.sleep(20)
      expect(holder.waitingSince).toBe(since)
    })))

  it.live("takes that of a source that gives nothing, but only while others wait", () =>
    Effect.gen(function*() {
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })
      try {
        const memory = new UploadMemory(mebibyte)
        const evicted: Array<ServiceError> = []
        const stalled = memory.holder("uploadImage")
        yield* stalled.beginning
        stalled.waitingSince = performance.now()
        stalled.onEvict = (error) => {
          evicted.push(error)
          stalled.close()
        }
        vi.advanceTimersByTime(120_000)
        expect(evicted).toEqual([])
        const waiting = yield* Effect.fork(memory.holder("uploadVideo").beginning)
        yield* Effect.yieldNow()
        vi.advanceTimersByTime(4_000)
        expect(evicted).toMatchObject([{ reason: "Timeout", operation: "uploadImage", retryable: false, attempts: 0 }])
        yield* Fiber.join(waiting)
      } finally {
        vi.useRealTimers()
      }
    }))
})
