/** A Storage under test, and what its tests share. */
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import { type PutOptions, Storage, type StoredObject, type UploadInput } from "../../../src/aws/Storage.ts"
import type { ServiceError } from "../../../src/Errors.ts"

/** What a server can do. Tests of what it cannot are left out. */
export interface Capabilities {
  /** Keeps to `ifNoneMatch` and `ifMatch`. */
  readonly conditions: boolean
  /** Lists in order and by pages, with delimiters. */
  readonly lists: boolean
  /** Keeps `Cache-Control` and `Content-Disposition`. */
  readonly headers: boolean
  /** Keeps storage classes, and accepts tags, encryption and checksums. */
  readonly extras: boolean
  /** Stores a copy with another content type than the original has. */
  readonly copiedTypes: boolean
  /** Gives all bytes where more are asked for from the end. */
  readonly longSuffixes: boolean
}

export interface Subject {
  /** How its public URLs begin. */
  readonly urlBase: string
  readonly bucket: string
  readonly can: Capabilities
}

export type Tests = Vitest.MethodsNonLive<Storage>

export const mebibyte = 1024 * 1024
export const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value)
export const pattern = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 13)) % 251
  return bytes
}

/** The MD5 of "hello", as an ETag. */
export const helloEtag = "\"5d41402abc4b2a76b9719d911017c592\""

export const base: UploadInput = { data: text("hello"), customerId: 42, discussionId: 7, fileExtension: "png" }

/** A beginning of keys that no other test has: tests run in one bucket at the same time. */
export const fresh: Effect.Effect<string> = Effect.sync(() => `contract/${globalThis.crypto.randomUUID()}/`)

export const readAll = (key: string): Effect.Effect<Buffer, ServiceError, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    return Buffer.concat(Array.from(yield* Stream.runCollect(storage.read(key))))
  })

export const putText = (
  key: string,
  value: string,
  options?: PutOptions
): Effect.Effect<StoredObject, ServiceError, Storage> =>
  Effect.flatMap(Storage, (storage) => storage.put(key, text(value), options))

/** Fails the test if the effect succeeds, or refuses another argument, or for another reason. */
export const refuses = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  field: string,
  what: unknown = field
): Effect.Effect<void, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    const name = JSON.stringify(what)
    expect(error, name).toMatchObject({
      _tag: "ServiceError",
      service: "S3",
      reason: "InvalidInput",
      retryable: false,
      attempts: 0,
      field
    })
    expect((error as ServiceError).detail, name).toContain(field)
  })
