/** What Storage needs of a backend: S3, memory or a folder. The arguments were checked. */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import type { ChecksumAlgorithm, DeleteReport, Encryption, ListPage, ObjectInfo, Range } from "./model.ts"

export interface StorageBackend {
  readonly put: <E, R>(upload: Upload<E, R>) => Effect.Effect<Stored, ServiceError | E, R>
  readonly read: (key: string, options: Reading) => Stream.Stream<Uint8Array, ServiceError>
  readonly head: (key: string) => Effect.Effect<ObjectInfo, ServiceError>
  /** In the order of the keys' UTF-8 bytes. A page may be empty. */
  readonly list: (listing: Listing) => Stream.Stream<ListPage, ServiceError>
  readonly copy: (copy: Copy) => Effect.Effect<Stored & { readonly contentType: string }, ServiceError>
  readonly remove: (key: string) => Effect.Effect<void, ServiceError>
  /** Any number of distinct keys. */
  readonly removeMany: (keys: ReadonlyArray<string>) => Effect.Effect<DeleteReport<ServiceError>, ServiceError>
  readonly presignRead: (
    key: string,
    reply: { readonly contentDisposition: string | undefined; readonly contentType: string | undefined },
    expiresIn: Seconds
  ) => Effect.Effect<Presigned, ServiceError>
  readonly presignPut: (
    head: ObjectHead,
    size: number,
    expiresIn: Seconds,
    onlyOnce?: boolean
  ) => Effect.Effect<Presigned & { readonly headers: Readonly<Record<string, string>> }, ServiceError>
  readonly presignPost: (
    head: ObjectHead,
    size: { readonly min: number; readonly max: number },
    expiresIn: Seconds
  ) => Effect.Effect<Presigned & { readonly fields: Readonly<Record<string, string>> }, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

/** An integer of at least 1. */
type Seconds = number

interface Presigned {
  readonly url: string
  readonly expiresAt: Date
}

export interface Upload<E, R> {
  /** The method of Storage that was called, for errors. */
  readonly operation: string
  readonly head: ObjectHead
  readonly body: Body<E, R>
  readonly condition: Condition
  /** The key was made for this upload, so what is stored there can only be what this upload sent. */
  readonly ownKey: boolean
  /** See `WriteOptions`. */
  readonly onProgress: ((bytes: number) => Effect.Effect<void>) | undefined
}

/** Bytes in memory, at least one; or a stream, which may turn out to be empty. */
export type Body<E, R> =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
  | {
    readonly _tag: "Stream"
    readonly stream: Stream.Stream<Uint8Array, E, R>
    /** How many bytes there must be; undefined if it is not known. */
    readonly size: number | undefined
  }

/** The key and the headers of an object. */
export interface ObjectHead {
  readonly key: string
  readonly contentType: string
  readonly cacheControl: string | undefined
  readonly contentDisposition: string | undefined
  readonly metadata: Readonly<Record<string, string>> | undefined
  readonly tags: Readonly<Record<string, string>> | undefined
  readonly storageClass: string | undefined
  readonly encryption: Encryption | undefined
  readonly checksum: ChecksumAlgorithm | undefined
}

export interface Condition {
  readonly ifNoneMatch?: "*" | undefined
  readonly ifMatch?: string | undefined
}

export interface Reading {
  readonly range: Range | undefined
  readonly ifMatch: string | undefined
}

export interface Listing {
  readonly prefix: string
  readonly delimiter: string | undefined
  readonly startAfter: string | undefined
  readonly pageSize: number
}

export interface Copy {
  readonly from: string
  readonly to: string
  /** What the copy is stored with, its key being that of the copy; undefined keeps what the original has. */
  readonly head: ObjectHead | undefined
  readonly ifMatch: string | undefined
}

export interface Stored {
  readonly etag: string
  /** Bytes. */
  readonly size: number
}
