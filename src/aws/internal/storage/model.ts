/** What callers of Storage give and get: the types of its methods, apart from the four uploads. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { StorageKey } from "../../StorageKey.ts"
import type { Disposition } from "./content/disposition.ts"

export type { Disposition } from "./content/disposition.ts"

export const SourceTypeId: unique symbol = Symbol.for("@betterai/infrastructure/Storage/Source")

/** Bytes that are opened when the upload begins, and whose number is known then. `Storage.file` makes one. */
export interface Source<out E = never, out R = never> {
  readonly [SourceTypeId]: true
  readonly open: Effect.Effect<{ readonly size: number; readonly stream: Stream.Stream<Uint8Array, E, R> }, E, R>
}

/**
 * The bytes of an upload, at least one. `E` and `R` are those of the stream that they come from.
 *
 * Bytes in memory must not change while they are sent. The chunks of a stream may be used again once the next one is
 * asked for. A `ReadableStream` or a `Blob` that cannot be read fails with the reason `UnreadableData`.
 */
export type Data<E = never, R = never> =
  | Uint8Array
  | Stream.Stream<Uint8Array, E, R>
  | Blob
  | WebReadable
  | Source<E, R>

/** A `ReadableStream` of bytes, as far as it matters: that of browsers and that of Node are different types. */
export interface WebReadable {
  readonly locked: boolean
  readonly getReader: () => {
    readonly read: () => Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
    readonly cancel: () => Promise<void>
  }
}

/** The key of an object: as text, or as the parts of one that an upload has made. */
export type ObjectKey = string | StorageKey

/** How S3 encrypts an object at rest: with its own keys, or with a key of KMS (that of the account without an id). */
export type Encryption = "AES256" | { readonly kmsKeyId?: string | undefined; readonly bucketKey?: boolean | undefined }

/** What S3 checks the bytes with, and keeps. CRC32 costs least; the others but SHA are computed in JavaScript. */
export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256"

/** What is stored with a file, and how. */
export interface WriteOptions {
  /**
   * How many bytes there are, where it is known but the data does not say: of a stream. The size of the parts is chosen
   * by it, and an upload that has more or fewer bytes is refused.
   */
  readonly size?: number | undefined
  /** The `Cache-Control` that the file is served with; printable ASCII. */
  readonly cacheControl?: string | undefined
  /** The `Content-Disposition` that the file is served with; a text is printable ASCII. */
  readonly contentDisposition?: string | Disposition | undefined
  /** Texts that S3 keeps and serves with the file: printable ASCII, at most 2 KiB. S3 makes the names lower case. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** At most 10 (S3's limit), with names of 1-128 and values of 0-256 characters. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** As S3 names them: `STANDARD_IA`, `INTELLIGENT_TIERING`, … Default: the bucket's own. */
  readonly storageClass?: string | undefined
  /** Default: the bucket's own. */
  readonly encryption?: Encryption | undefined
  /** Default: CRC32, or none with AWS_S3_CHECKSUMS=required. */
  readonly checksum?: ChecksumAlgorithm | undefined
  /**
   * Whether the first bytes are compared with the content type: `InvalidInput` if they are of another type. It needs
   * the package `file-type`; `NotConfigured` without it. Default: false.
   */
  readonly verifyContent?: boolean | undefined
  /**
   * Called with the bytes that were sent so far: one call at a time, with numbers that never decrease; at the end with
   * all of them, once S3 has confirmed. Calls are left out while one runs.
   */
  readonly onProgress?: ((bytes: number) => Effect.Effect<void>) | undefined
}

/** The options of `put`. */
export interface PutOptions extends WriteOptions {
  /** Default: the type that belongs to the key's extension, or `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** `"*"`: only if there is no object of that key, else `PreconditionFailed`. */
  readonly ifNoneMatch?: "*" | undefined
  /** Only if the object of that key has this ETag, else `PreconditionFailed`, or `ObjectNotFound` if there is none. */
  readonly ifMatch?: string | undefined
}

/** The bytes from `start` to `end`, both included, counted from 0; or the last `last` bytes. */
export type Range =
  | { readonly start: number; readonly end?: number | undefined }
  | { readonly last: number }

export interface ReadOptions {
  /** A range that begins after the last byte is refused with `InvalidRequest`. Default: all bytes. */
  readonly range?: Range | undefined
  /** Only the object with this ETag, else `PreconditionFailed`. */
  readonly ifMatch?: string | undefined
}

export interface ReadBytesOptions extends ReadOptions {
  /** More bytes than these are refused with `PayloadTooLarge`. Default: 64 MiB. */
  readonly maxBytes?: number | undefined
}

/** A file that is stored. */
export interface StoredObject {
  readonly key: string
  /** The public URL. It can be read if the bucket or the CDN permits public access. */
  readonly url: string
  readonly bucket: string
  readonly contentType: string
  /** Bytes. */
  readonly size: number
  /** In double quotes. The MD5 of the bytes after a single request without KMS encryption; otherwise opaque. */
  readonly etag: string
}

/** What is known of an object. `list` tells key, size, ETag, time and storage class only. */
export interface ObjectInfo {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** In double quotes. */
  readonly etag: string
  readonly lastModified: Date
  readonly storageClass?: string | undefined
  readonly contentType?: string | undefined
  readonly cacheControl?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

export interface ListOptions {
  /** Only keys that begin with it. */
  readonly prefix?: string | undefined
  /** Only keys after this one, in the order of their UTF-8 bytes. */
  readonly startAfter?: string | undefined
}

export interface ListPagesOptions extends ListOptions {
  /** Keys that have it after the prefix are rolled up into `prefixes`: `/` lists one folder. */
  readonly delimiter?: string | undefined
  /** How many keys and prefixes a page has at most, 1-1000 (S3's limit). Default: 1000. */
  readonly pageSize?: number | undefined
}

/** A part of a list: what one request gives. */
export interface ListPage {
  readonly objects: ReadonlyArray<ObjectInfo>
  /** The beginnings of the keys that were rolled up, up to and with the delimiter. */
  readonly prefixes: ReadonlyArray<string>
}

export interface CopyOptions extends Omit<WriteOptions, "size" | "verifyContent" | "onProgress" | "checksum"> {
  /** With it, or any other option that is stored, the copy has the options given here and none of the original's. */
  readonly contentType?: string | undefined
  /** Only if the original has this ETag, else `PreconditionFailed`. */
  readonly ifMatch?: string | undefined
}

/** What became of each key. A key that was not there counts as deleted. */
export interface DeleteReport<Failure> {
  readonly deleted: ReadonlyArray<string>
  readonly failed: ReadonlyArray<{ readonly key: string; readonly error: Failure }>
}

export interface PresignOptions {
  /**
   * How long the URL is valid: 1 second to 7 days (Signature Version 4). Default: 15 minutes. With temporary credentials
   * it ends when they do, if that is earlier: `expiresAt` says when, where their provider tells (AWS_SESSION_TOKEN has
   * no time).
   */
  readonly expiresIn?: Duration.DurationInput | undefined
}

export interface PresignReadOptions extends PresignOptions {
  /** The `Content-Disposition` of the answer, instead of the stored one. */
  readonly contentDisposition?: string | Disposition | undefined
  /** The `Content-Type` of the answer, instead of the stored one. */
  readonly contentType?: string | undefined
}

/** A URL with which anyone may read the object until it expires. */
export interface PresignedRead {
  readonly url: string
  readonly expiresAt: Date
}

export interface PresignPutOptions extends PresignOptions {
  /**
   * Whether the request stores a file only if there is none of that key: the first one, and none after it until the file
   * is deleted. S3 refuses the others with the status 412. Default: false, and each use replaces the file.
   */
  readonly onlyOnce?: boolean | undefined
}

/**
 * A request with which anyone may store exactly that many bytes of that type under that key until it expires.
 *
 * `x-amz-` headers other than these are refused. Others are not: who has the request may add `Cache-Control`,
 * `Content-Disposition`, `Content-Encoding`, `Content-Language` and `Expires`, which S3 stores, unless they are among
 * these and so have a value that is signed.
 */
export interface PresignedPut {
  readonly key: string
  readonly url: string
  readonly method: "PUT"
  /** All of them must be sent. A browser sets `content-length` itself. */
  readonly headers: Readonly<Record<string, string>>
  readonly expiresAt: Date
}

/** A form with which anyone may store a file under that key until it expires: the fields, then `file`. */
export interface PresignedPost {
  readonly key: string
  readonly url: string
  readonly fields: Readonly<Record<string, string>>
  readonly expiresAt: Date
}
