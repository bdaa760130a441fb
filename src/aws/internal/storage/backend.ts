/** What Storage needs of a backend: S3 or memory. */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"

export interface StorageBackend {
  readonly put: <E, R>(upload: Upload<E, R>) => Effect.Effect<Stored, ServiceError | E, R>
  readonly read: (key: string) => Stream.Stream<Uint8Array, ServiceError>
  readonly remove: (key: string) => Effect.Effect<void, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

export interface Upload<E, R> {
  /** The method of Storage that was called, for errors. */
  readonly operation: string
  readonly head: ObjectHead
  readonly data: Uint8Array | Stream.Stream<Uint8Array, E, R>
  /** Called with the bytes confirmed so far. */
  readonly onProgress: (bytes: number) => Effect.Effect<void>
}

/** The key and the headers of an object, checked. */
export interface ObjectHead {
  readonly key: string
  readonly contentType: string
  readonly cacheControl: string | undefined
  readonly contentDisposition: string | undefined
  readonly metadata: Readonly<Record<string, string>> | undefined
}

export interface Stored {
  readonly etag: string
  /** Bytes. */
  readonly size: number
}
