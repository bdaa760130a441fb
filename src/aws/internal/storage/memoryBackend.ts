/** Objects in memory, for the tests of features. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ObjectHead, StorageBackend } from "./backend.ts"
import * as LocalBackend from "./local/localBackend.ts"
import type { Kept, ObjectStore } from "./local/store.ts"
import * as Turns from "./local/turns.ts"

/** An object as the storage in memory keeps it. */
export interface MemoryObject extends ObjectHead {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly lastModified: Date
}

export interface MemoryBackend extends StorageBackend {
  /** In the order in which they were stored. */
  readonly objects: Effect.Effect<ReadonlyArray<MemoryObject>>
}

export const make = (urlOf: (key: string) => string): MemoryBackend => {
  const objects = new Map<string, MemoryObject>()
  return {
    ...LocalBackend.make(storeOf(objects), urlOf),
    objects: Effect.sync(() => Array.from(objects.values()))
  }
}

const storeOf = (objects: Map<string, MemoryObject>): ObjectStore => ({
  changing: Turns.make(1),

  find: (_, key) =>
    Effect.sync(() =>
      Option.map(Option.fromNullable(objects.get(key)), (object) => ({
        ...keptOf(object),
        bytes: (start: number, end: number) => Stream.sync(() => object.bytes.slice(start, end))
      }))
    ),

  draft: () =>
    Effect.sync(() => {
      const chunks: Array<Uint8Array> = []
      return {
        append: (bytes) => Effect.sync(() => void chunks.push(new Uint8Array(bytes))),
        finish: () => Effect.void,
        publish: ({ etag, head, lastModified }) =>
          Effect.sync(() => {
            const [first, ...others] = chunks
            const bytes = first !== undefined && others.length === 0 ? first : new Uint8Array(Buffer.concat(chunks))
            // An object that is replaced becomes the last one.
            objects.delete(head.key)
            objects.set(head.key, { ...head, bytes, etag, lastModified })
          })
      }
    }),

  remove: (_, key) => Effect.sync(() => void objects.delete(key)),

  all: () => Effect.sync(() => Array.from(objects.values(), keptOf)),

  check: Effect.void
})

const keptOf = ({ bytes, etag, lastModified, ...head }: MemoryObject): Kept => ({
  head,
  size: bytes.byteLength,
  etag,
  lastModified
})
