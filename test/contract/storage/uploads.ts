/** The four uploads: keys, content types, parts. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import { Storage } from "../../../src/aws/Storage.ts"
import * as StorageKey from "../../../src/aws/StorageKey.ts"
import { base, helloEtag, mebibyte, pattern, readAll, type Subject, type Tests, text } from "./subject.ts"

const methods = [
  ["uploadImage", "image", "png", "image/png"],
  ["uploadVideo", "video", "mp4", "video/mp4"],
  ["uploadAudio", "audio", "mp3", "audio/mpeg"],
  ["uploadChatAttachment", "attachment", "pdf", "application/pdf"]
] as const

export const uploads = (it: Tests, { bucket, urlBase }: Subject): void => {
  for (const [method, category, fileExtension, contentType] of methods) {
    it.effect(`${method} stores what read returns`, () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const stored = yield* service[method]({ ...base, fileExtension })
        const key = Option.getOrThrow(StorageKey.parse(stored.key))
        expect(key).toMatchObject({ customerId: 42, discussionId: "7", category, fileExtension })
        expect(stored).toEqual({
          key: stored.key,
          url: `${urlBase}/${stored.key}`,
          bucket,
          contentType,
          size: 5,
          etag: helloEtag
        })
        expect(String(yield* readAll(stored.key))).toBe("hello")
      }))
  }

  it.effect("leaves out a missing discussion, and tolerates a dot and upper case", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const stored = yield* service.uploadImage({ data: text("x"), customerId: 1, fileExtension: ".JPG" })
      expect(stored.key).toMatch(/^1\/assets\/chat\/[^/]+_image\.jpg$/)
      expect(stored.contentType).toBe("image/jpeg")
      const slug = yield* service.uploadImage({ ...base, discussionId: "b3c0_A-1" })
      expect(slug.key).toMatch(/^42\/assets\/chat\/b3c0_A-1\//)
    }))

  it.effect("prefers an explicit content type, sends unknown extensions as octets, and gives containers the method's type", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const types = yield* Effect.all([
        service.uploadChatAttachment({ ...base, fileExtension: "txt", contentType: "text/plain; charset=utf-8" }),
        service.uploadChatAttachment({ ...base, fileExtension: "zzzz" }),
        service.uploadAudio({ ...base, fileExtension: "webm" }),
        service.uploadVideo({ ...base, fileExtension: "webm" }),
        service.uploadImage({ ...base, fileExtension: "dcm" }),
        service.uploadChatAttachment({ ...base, fileExtension: "mp4" })
      ])
      expect(types.map(({ contentType }) => contentType)).toEqual([
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "audio/webm",
        "video/webm",
        "application/dicom",
        "video/mp4"
      ])
    }))

  it.effect("stores streams, small ones and by parts, byte for byte, and tells of the progress in order", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      for (const size of [1, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 17 * mebibyte + 3]) {
        const bytes = pattern(size)
        const chunks = Array.from(
          { length: Math.ceil(size / 700_001) },
          (_, index) => bytes.subarray(index * 700_001, (index + 1) * 700_001)
        )
        const seen = yield* Ref.make<ReadonlyArray<number>>([])
        let running = 0
        const stored = yield* service.uploadVideo({
          ...base,
          fileExtension: "mp4",
          data: Stream.fromIterable(chunks),
          size: size === 8 * mebibyte ? undefined : size,
          onProgress: (sent) =>
            Effect.gen(function*() {
              expect(++running, "calls at a time").toBe(1)
              yield* Effect.yieldNow()
              yield* Ref.update(seen, (all) => [...all, sent])
              running--
            })
        })
        expect(stored.size).toBe(size)
        const told = yield* Ref.get(seen)
        expect(told.at(-1)).toBe(size)
        expect(told).toEqual(told.toSorted((one, other) => one - other))
        expect(Buffer.compare(yield* readAll(stored.key), bytes)).toBe(0)
      }
    }))

  it.effect("copies from a source that reuses its buffer", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const buffer = new Uint8Array(4)
      const stored = yield* service.uploadImage({
        ...base,
        data: Stream.range(1, 3).pipe(Stream.rechunk(1), Stream.map((n) => buffer.fill(n)))
      })
      expect(Array.from(yield* readAll(stored.key))).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
    }))

  it.effect("passes on a failure of the stream, before and after parts were sent", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      for (const before of [0, 1, 20]) {
        const data = Stream.concat(
          Stream.fromIterable(Array.from({ length: before }, () => new Uint8Array(mebibyte))),
          Stream.fail("the disk is gone" as const)
        )
        const error = yield* Effect.flip(service.uploadImage({ ...base, data }))
        expect(error).toBe("the disk is gone")
      }
    }))

  it.effect("passes its check", () => Effect.flatMap(Storage, ({ check }) => check))
}
