/** `copy`. */
import * as Effect from "effect/Effect"
import { expect } from "vitest"
import { Storage } from "../../../src/aws/Storage.ts"
import { fresh, helloEtag, mebibyte, pattern, putText, readAll, type Subject, type Tests } from "./subject.ts"

export const copying = (it: Tests, { bucket, can, urlBase }: Subject): void => {
  it.effect("copies with what is stored with the original", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      const [from, to] = [`${prefix}a ä+%.png`, `${prefix}b ö.txt`]
      yield* putText(from, "hello", { metadata: { a: "b" } })
      expect(yield* service.copy(from, to)).toMatchObject({
        key: to,
        url: `${urlBase}/${prefix}b%20%C3%B6.txt`,
        bucket,
        contentType: "image/png",
        size: 5,
        etag: helloEtag
      })
      expect(String(yield* readAll(to))).toBe("hello")
      expect(yield* service.head(to)).toMatchObject({ contentType: "image/png", metadata: { a: "b" } })
      yield* service.delete(from)
      expect(String(yield* readAll(to))).toBe("hello")
    }))

  it.effect("copies large objects, over what is there", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      const bytes = pattern(9 * mebibyte)
      yield* service.put(`${prefix}a`, bytes)
      yield* putText(`${prefix}b`, "hello")
      expect(yield* service.copy(`${prefix}a`, `${prefix}b`)).toMatchObject({ size: bytes.byteLength })
      expect(Buffer.compare(yield* readAll(`${prefix}b`), bytes)).toBe(0)
    }))

  it.effect("copies with other options, and with none of the original's", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      yield* putText(`${prefix}a.png`, "hello", { metadata: { a: "b" } })
      const copied = yield* service.copy(`${prefix}a.png`, `${prefix}b.txt`, { metadata: { c: "d" } })
      expect(copied.contentType).toBe("text/plain")
      expect((yield* service.head(`${prefix}b.txt`)).metadata).toEqual({ c: "d" })
    }))

  if (can.copiedTypes) {
    it.effect("copies with another content type", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const prefix = yield* fresh
        const [from, to] = [`${prefix}a.png`, `${prefix}b.txt`]
        yield* putText(from, "hello", { metadata: { a: "b" } })
        yield* service.copy(from, to, { metadata: { c: "d" } })
        expect((yield* service.head(to)).contentType).toBe("text/plain")
        yield* service.copy(from, to, { contentType: "application/pdf" })
        const { contentType, metadata } = yield* service.head(to)
        expect([contentType, metadata ?? {}]).toEqual(["application/pdf", {}])
      }))
  }

  it.effect("copies onto itself, with options", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a.png`
      yield* putText(key, "hello")
      yield* service.copy(key, key, { metadata: { reviewed: "yes" } })
      expect(yield* service.head(key)).toMatchObject({ size: 5, metadata: { reviewed: "yes" } })
      expect(String(yield* readAll(key))).toBe("hello")
    }))

  it.effect("finds no original under a key that was not used", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      expect(yield* Effect.flip(service.copy(`${prefix}a`, `${prefix}b`)))
        .toMatchObject({ reason: "ObjectNotFound", status: 404, retryable: false })
      expect(yield* service.exists(`${prefix}b`)).toBe(false)
    }))

  if (can.headers) {
    it.effect("copies Cache-Control and Content-Disposition, or others", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const prefix = yield* fresh
        const headers = { cacheControl: "no-store", contentDisposition: "inline" }
        yield* putText(`${prefix}a`, "hello", headers)
        yield* service.copy(`${prefix}a`, `${prefix}b`)
        expect(yield* service.head(`${prefix}b`)).toMatchObject(headers)
        yield* service.copy(`${prefix}a`, `${prefix}b`, { cacheControl: "max-age=5" })
        const { cacheControl, contentDisposition } = yield* service.head(`${prefix}b`)
        expect([cacheControl, contentDisposition]).toEqual(["max-age=5", undefined])
      }))
  }

  if (!can.conditions) return

  it.effect("copies only the original with that ETag", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      const { etag } = yield* putText(`${prefix}a`, "hello")
      yield* service.copy(`${prefix}a`, `${prefix}b`, { ifMatch: etag })
      yield* putText(`${prefix}a`, "another")
      expect(yield* Effect.flip(service.copy(`${prefix}a`, `${prefix}c`, { ifMatch: etag })))
        .toMatchObject({ reason: "PreconditionFailed", status: 412 })
      expect(yield* service.exists(`${prefix}c`)).toBe(false)
    }))
}
