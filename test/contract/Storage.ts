/** What every Storage must do. A small file runs it for each layer. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { Storage, type Storage as StorageService, type UploadInput } from "../../src/aws/Storage.ts"
import * as StorageKey from "../../src/aws/StorageKey.ts"
import { ServiceError } from "../../src/Errors.ts"

const mebibyte = 1024 * 1024
const text = (value: string) => new TextEncoder().encode(value)
const pattern = (size: number) => {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 13)) % 251
  return bytes
}

const readAll = (key: string) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    return Buffer.concat(Array.from(yield* Stream.runCollect(storage.read(key))))
  })

const base: UploadInput = { data: text("hello"), customerId: 42, discussionId: 7, fileExtension: "png" }

const methods = [
  ["uploadImage", "image", "png", "image/png"],
  ["uploadVideo", "video", "mp4", "video/mp4"],
  ["uploadAudio", "audio", "mp3", "audio/mpeg"],
  ["uploadChatAttachment", "attachment", "pdf", "application/pdf"]
] as const

const refused: ReadonlyArray<readonly [string, Partial<Record<keyof UploadInput, unknown>>]> = [
  ...["", ".", "..", "p/g", "../x", "a b", "png\n", "é", "x".repeat(17), ".tar.gz", undefined].map((fileExtension) =>
    ["fileExtension", { fileExtension }] as const
  ),
  ...[0, -1, 1.5, NaN, Infinity, 2 ** 53, "42", "../1", null, undefined].map((customerId) =>
    ["customerId", { customerId }] as const
  ),
  ...[0, -7, 1.5, "", "..", "a/b", "a b", "x".repeat(129), "é", null].map((discussionId) =>
    ["discussionId", { discussionId }] as const
  ),
  ...["", "image", "image/", "/png", "image/png\r\nx-evil: 1", "image/png;", "a b/c", `image/${"x".repeat(300)}`, 7]
    .map((
      contentType
    ) => ["contentType", { contentType }] as const),
  ...["", "a\r\nb", "naïve", "x".repeat(1025)].map((cacheControl) => ["cacheControl", { cacheControl }] as const),
  ["contentDisposition", { contentDisposition: "attachment; filename=\"ü.png\"" }],
  ["contentDisposition", { contentDisposition: "inline\r\nset-cookie: a=b" }],
  ["metadata", { metadata: { "bad name": "x" } }],
  ["metadata", { metadata: { name: "a\nb" } }],
  ["metadata", { metadata: { name: "ü" } }],
  ["metadata", { metadata: { name: 7 } }],
  ["metadata", { metadata: { Name: "a", name: "b" } }],
  ["metadata", { metadata: { name: "x".repeat(2048) } }],
  ["data", { data: new Uint8Array(0) }],
  ["data", { data: Stream.empty }],
  ["data", { data: Stream.make(new Uint8Array(0), new Uint8Array(0)) }],
  ["data", { data: "text" }],
  ["data", { data: undefined }],
  ["fileExtension", { fileExtension: "mp4" }],
  ["contentType", { contentType: "video/mp4" }]
]

export const storageContract = <E>(
  name: string,
  storage: Layer.Layer<Storage, E>,
  urlBase: string,
  bucket: string
): void =>
  layer(storage, { timeout: 30_000 })(name, (it) => {
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
            etag: "\"5d41402abc4b2a76b9719d911017c592\""
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

    it.effect("accepts valid headers", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const stored = yield* service.uploadChatAttachment({
          ...base,
          cacheControl: "private, max-age=60",
          contentDisposition: "attachment; filename*=UTF-8''na%C3%AFve.pdf",
          metadata: { "scan-id": "17", empty: "" }
        })
        expect(stored.size).toBe(5)
      }))

    it.effect("stores streams, small ones and by parts, byte for byte", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        for (const size of [1, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 17 * mebibyte + 3]) {
          const bytes = pattern(size)
          const chunks = Array.from(
            { length: Math.ceil(size / 700_001) },
            (_, index) => bytes.subarray(index * 700_001, (index + 1) * 700_001)
          )
          const seen = yield* Ref.make<ReadonlyArray<number>>([])
          const stored = yield* service.uploadVideo({
            ...base,
            fileExtension: "mp4",
            data: Stream.fromIterable(chunks),
            onProgress: (sent) => Ref.update(seen, (all) => [...all, sent])
          })
          expect(stored.size).toBe(size)
          expect((yield* Ref.get(seen)).at(-1)).toBe(size)
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

    it.effect("refuses bad input: names the field, and sends nothing", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        for (const [field, change] of refused) {
          const attempt = yield* Effect.either(service.uploadImage({ ...base, ...change } as UploadInput))
          const error = Either.getOrThrowWith(
            Either.flip(attempt),
            () => new Error(`not refused: ${JSON.stringify(change)}`)
          )
          expect(error).toBeInstanceOf(ServiceError)
          expect(error).toMatchObject({ reason: "InvalidInput", attempts: 0, field, retryable: false, service: "S3" })
          expect(error.detail).toContain(field)
        }
        expect(yield* Effect.flip(service.uploadImage({ ...base, fileExtension: "mp4" }))).toMatchObject({
          detail: "fileExtension stands for video/mp4, which is not image",
          hint: "upload it as an attachment"
        })
      }))

    it.effect("refuses what cannot be a key", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        for (const key of ["", "../x", "a/../b", "./a", "a\nb", "x".repeat(1025)]) {
          for (const run of [Stream.runDrain(service.read(key)), service.delete(key)]) {
            expect(yield* Effect.flip(run)).toMatchObject({ reason: "InvalidInput", field: "key", attempts: 0 })
          }
        }
      }))

    it.effect("deletes; then the file is not found, and deleting it again succeeds", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const { key } = yield* service.uploadImage(base)
        yield* service.delete(key)
        expect(yield* Effect.flip(readAll(key))).toMatchObject({
          reason: "ObjectNotFound",
          status: 404,
          retryable: false
        })
        yield* service.delete(key)
      }))

    it.effect("passes its check", () =>
      Effect.gen(function*() {
        const service: StorageService.Service = yield* Storage
        expect(Exit.isSuccess(yield* Effect.exit(service.check))).toBe(true)
      }))
  })
