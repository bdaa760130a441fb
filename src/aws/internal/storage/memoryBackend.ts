/** Objects in memory, for the tests of features. It answers as S3 does, without limits and faults. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { ServiceError } from "../../../Errors.ts"
import type { StorageBackend } from "./backend.ts"
import { emptyBody } from "./uploadInput.ts"

/** An object as the storage in memory keeps it. */
export interface MemoryObject {
  readonly key: string
  readonly contentType: string
  readonly cacheControl: string | undefined
  readonly contentDisposition: string | undefined
  readonly metadata: Readonly<Record<string, string>> | undefined
  readonly bytes: Uint8Array
  readonly etag: string
}

export interface MemoryBackend extends StorageBackend {
  /** In the order in which they were stored. */
  readonly objects: Effect.Effect<ReadonlyArray<MemoryObject>>
}

export const make = (): MemoryBackend => {
  const objects = new Map<string, MemoryObject>()
  return {
    objects: Effect.sync(() => Array.from(objects.values())),

    put: ({ data, head, onProgress, operation }) =>
      Effect.gen(function*() {
        const bytes = data instanceof Uint8Array
          ? data.slice()
          : yield* Stream.runFold(data, [] as Array<Uint8Array>, (chunks, chunk) => {
            chunks.push(chunk.slice())
            return chunks
          }).pipe(Effect.map((chunks) => new Uint8Array(Buffer.concat(chunks))))
        if (bytes.byteLength === 0) return yield* emptyBody(operation)
        const etag = `"${createHash("md5").update(bytes).digest("hex")}"`
        objects.set(head.key, { ...head, bytes, etag })
        yield* onProgress(bytes.byteLength)
        return { etag, size: bytes.byteLength }
      }),

    read: (key) =>
      Stream.suspend(() => {
        const object = objects.get(key)
        return object === undefined
          ? Stream.fail(
            new ServiceError({
              service: "S3",
              operation: "GetObject",
              reason: "ObjectNotFound",
              retryable: false,
              attempts: 1,
              status: 404,
              detail: "The specified key does not exist."
            })
          )
          : Stream.succeed(object.bytes.slice())
      }),

    remove: (key) => Effect.sync(() => void objects.delete(key)),

    check: Effect.void
  }
}
