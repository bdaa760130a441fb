/** `delete` and `deleteMany`. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { expect } from "vitest"
import { Storage } from "../../../src/aws/Storage.ts"
import * as StorageKey from "../../../src/aws/StorageKey.ts"
import { base, fresh, putText, readAll, refuses, type Tests } from "./subject.ts"

export const deleting = (it: Tests): void => {
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

  it.effect("deletes nothing, one and many; counts what was missing as deleted, and the same key once", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      expect(yield* service.deleteMany([])).toEqual({ deleted: [], failed: [] })
      const keys = Array.from({ length: 1500 }, (_, index) => `${prefix}${index} ü&<>'"`)
      const stored = [0, 1, 999, 1000, 1499].map((index) => keys[index] as string)
      yield* Effect.forEach([...stored, `${prefix}stays`], (key) => putText(key, "hello"))
      expect(yield* service.deleteMany(new Set([stored[0] as string]))).toEqual({ deleted: [stored[0]], failed: [] })
      const { deleted, failed } = yield* service.deleteMany([...keys, ...keys.slice(0, 5)])
      expect(failed).toEqual([])
      expect(deleted.toSorted()).toEqual(keys.toSorted())
      expect(yield* Effect.forEach([...stored, `${prefix}stays`], service.exists))
        .toEqual([false, false, false, false, false, true])
    }))

  it.effect("takes the parts of a key wherever it takes a key", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const { key, size } = yield* service.uploadImage(base)
      const parts = Option.getOrThrow(StorageKey.parse(key))
      expect((yield* service.head(parts)).size).toBe(size)
      expect((yield* service.readBytes(parts)).byteLength).toBe(size)
      const to = { ...parts, customerId: 2 }
      expect((yield* service.copy(parts, to)).key).toBe(StorageKey.format(to))
      expect((yield* service.deleteMany([parts, to])).deleted).toEqual([key, StorageKey.format(to)])
      expect(yield* service.exists(parts)).toBe(false)
    }))

  it.effect("refuses a bad key before any is deleted", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      yield* putText(`${prefix}a`, "hello")
      for (const bad of ["", `${prefix}../b`, `${prefix}\n`, undefined as unknown as string]) {
        yield* refuses(service.deleteMany([`${prefix}a`, bad]), "keys[1]", bad)
      }
      // The letters of a text would be keys.
      for (const bad of [`${prefix}a`, undefined, null, 5, {}]) {
        yield* refuses(service.deleteMany(bad as Iterable<string>), "keys", bad)
      }
      expect(yield* service.exists(`${prefix}a`)).toBe(true)
    }))
}
