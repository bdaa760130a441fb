/** `put` and `head`: keys, headers, conditions. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { expect } from "vitest"
import { Storage } from "../../../src/aws/Storage.ts"
import { base, fresh, helloEtag, putText, readAll, type Subject, type Tests, text } from "./subject.ts"

export const put = (it: Tests, { bucket, can, urlBase }: Subject): void => {
  it.effect("puts under a key of the caller's, in place of what is there", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}scans/7.png`
      expect(yield* service.exists(key)).toBe(false)
      expect(yield* putText(key, "hello")).toEqual({
        key,
        url: `${urlBase}/${key}`,
        bucket,
        contentType: "image/png",
        size: 5,
        etag: helloEtag
      })
      expect(yield* service.exists(key)).toBe(true)
      yield* putText(key, "another", { contentType: "text/plain" })
      expect(String(yield* readAll(key))).toBe("another")
      expect(yield* service.head(key)).toMatchObject({ key, size: 7, contentType: "text/plain" })
    }))

  it.effect("puts under the parts of a key", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = {
        customerId: 3,
        discussionId: "5",
        timestamp: DateTime.unsafeMake(0),
        uuid: globalThis.crypto.randomUUID(),
        category: "image",
        fileExtension: "png"
      } as const
      const stored = yield* service.put(key, text("hello"))
      expect(stored.key).toBe(`3/assets/chat/5/19700101T000000000Z_${key.uuid}_image.png`)
      expect(String(yield* readAll(stored.key))).toBe("hello")
    }))

  it.effect("keeps every key apart, and encodes it in the URL", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      const keys = [
        ["a", "a"],
        ["A", "A"],
        ["a/b", "a/b"],
        ["a/b/", "a/b/"],
        ["a//b", "a//b"],
        ["%61", "%2561"],
        ["a b", "a%20b"],
        ["a+b", "a%2Bb"],
        ["a:b?c#d&e=f", "a%3Ab%3Fc%23d%26e%3Df"],
        ["it's (1)!*", "it%27s%20%281%29%21%2A"],
        ["é", "%C3%A9"],
        ["e\u0301", "e%CC%81"],
        ["写真😀", "%E5%86%99%E7%9C%9F%F0%9F%98%80"],
        ["...", "..."],
        ["con", "con"],
        ["back\\slash", "back%5Cslash"],
        ["x".repeat(1024 - prefix.length), "x".repeat(1024 - prefix.length)]
      ] as const
      for (const [key, encoded] of keys) {
        expect(yield* putText(prefix + key, key)).toMatchObject({
          key: prefix + key,
          url: `${urlBase}/${prefix}${encoded}`
        })
        expect(service.url(prefix + key)).toBe(`${urlBase}/${prefix}${encoded}`)
      }
      // No key has half of a surrogate pair.
      expect(service.url("a\ud800/\udc00")).toBe(`${urlBase}/a%EF%BF%BD/%EF%BF%BD`)
      for (const [key] of keys) expect(String(yield* readAll(prefix + key))).toBe(key)
      yield* service.delete(`${prefix}a`)
      expect(yield* Effect.forEach(keys.slice(0, 3), ([key]) => service.exists(prefix + key))).toEqual([
        false,
        true,
        true
      ])
    }))

  it.effect("tells the content type and the metadata that were given", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      yield* putText(`${prefix}a`, "hello", {
        contentType: "text/plain; charset=utf-8",
        metadata: { "scan-id": "17", Upper: "Case" }
      })
      const head = yield* service.head(`${prefix}a`)
      expect(head).toMatchObject({
        key: `${prefix}a`,
        size: 5,
        etag: helloEtag,
        contentType: "text/plain; charset=utf-8",
        metadata: { "scan-id": "17", upper: "Case" }
      })
      expect(head.lastModified).toBeInstanceOf(Date)
      yield* putText(`${prefix}b`, "hello")
      expect((yield* service.head(`${prefix}b`)).metadata ?? {}).toEqual({})
    }))

  it.effect("accepts all headers", () =>
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

  if (can.headers) {
    it.effect("tells Cache-Control and Content-Disposition, and forgets them when the object is replaced", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const key = `${yield* fresh}a.png`
        const headers = { cacheControl: "private, max-age=60", contentDisposition: "attachment; filename=\"a b.png\"" }
        yield* putText(key, "hello", headers)
        expect(yield* service.head(key)).toMatchObject(headers)
        yield* putText(key, "hello")
        const { cacheControl, contentDisposition } = yield* service.head(key)
        expect([cacheControl, contentDisposition]).toEqual([undefined, undefined])
      }))
  }

  if (can.extras) {
    it.effect("accepts tags, storage class, encryption and checksum", () =>
      Effect.gen(function*() {
        const service = yield* Storage
        const key = `${yield* fresh}a.png`
        yield* putText(key, "hello", {
          tags: { kind: "scan", "a:b": "c d" },
          storageClass: "STANDARD_IA",
          encryption: "AES256",
          checksum: "SHA256"
        })
        expect(yield* service.head(key)).toMatchObject({ storageClass: "STANDARD_IA" })
        expect(String(yield* readAll(key))).toBe("hello")
      }))
  }

  it.effect("finds nothing under a key that was not used", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      expect(yield* Effect.flip(service.head(key)))
        .toMatchObject({ reason: "ObjectNotFound", status: 404, retryable: false })
    }))

  if (!can.conditions) return

  it.effect("puts with ifNoneMatch only where there is nothing", () =>
    Effect.gen(function*() {
      const key = `${yield* fresh}a`
      yield* putText(key, "first", { ifNoneMatch: "*" })
      expect(yield* Effect.flip(putText(key, "second", { ifNoneMatch: "*" })))
        .toMatchObject({ reason: "PreconditionFailed", status: 412, retryable: false })
      expect(String(yield* readAll(key))).toBe("first")
    }))

  it.effect("lets one of several win that put with ifNoneMatch at once", () =>
    Effect.gen(function*() {
      const key = `${yield* fresh}a`
      const ends = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, index) => `writer ${index}`),
        (writer) => Effect.either(Effect.as(putText(key, writer, { ifNoneMatch: "*" }), writer)),
        { concurrency: "unbounded" }
      )
      const winners = ends.filter(Either.isRight).map(({ right }) => right)
      expect(winners).toHaveLength(1)
      expect(String(yield* readAll(key))).toBe(winners[0])
      for (const end of ends.filter(Either.isLeft)) {
        expect(["PreconditionFailed", "Conflict"]).toContain(end.left.reason)
      }
    }))

  it.effect("puts with ifMatch only over that object", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const key = `${yield* fresh}a`
      const first = yield* putText(key, "first")
      const second = yield* putText(key, "second", { ifMatch: first.etag })
      expect(yield* Effect.flip(putText(key, "third", { ifMatch: first.etag })))
        .toMatchObject({ reason: "PreconditionFailed", status: 412 })
      expect(String(yield* readAll(key))).toBe("second")
      yield* service.delete(key)
      const { reason } = yield* Effect.flip(putText(key, "third", { ifMatch: second.etag }))
      expect(["PreconditionFailed", "ObjectNotFound"]).toContain(reason)
      expect(yield* service.exists(key)).toBe(false)
    }))
}
