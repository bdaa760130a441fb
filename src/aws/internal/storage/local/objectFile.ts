/**
 * The file of an object: its bytes; then what is kept with them, as JSON; then the length of that JSON and a mark. As
 * all of an object is one file, it is replaced by one rename, and who has it open keeps all of it.
 */
import type { PlatformError } from "@effect/platform/Error"
import type { File } from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { ServiceError } from "../../../../Errors.ts"
import { fileError } from "./fileError.ts"
import type { Found, Kept } from "./store.ts"

const Text = Schema.UndefinedOr(Schema.String)
const Texts = Schema.UndefinedOr(Schema.Record({ key: Schema.String, value: Schema.String }))

const Trailer = Schema.parseJson(Schema.Struct({
  head: Schema.Struct({
    key: Schema.String,
    contentType: Schema.String,
    cacheControl: Text,
    contentDisposition: Text,
    metadata: Texts,
    tags: Texts,
    storageClass: Text,
    encryption: Schema.UndefinedOr(Schema.Union(
      Schema.Literal("AES256"),
      Schema.Struct({ kmsKeyId: Schema.optional(Schema.String), bucketKey: Schema.optional(Schema.Boolean) })
    )),
    checksum: Schema.UndefinedOr(Schema.Literal("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"))
  }),
  size: Schema.NonNegativeInt,
  etag: Schema.String,
  lastModified: Schema.Date
}))
const encode = Schema.encodeSync(Trailer)
// JSON leaves out what is undefined.
const decode = Schema.decodeUnknownEither(Trailer, { exact: false })

const MARK = "/object1"
/** The length has 8 digits. */
const FOOTER = 8 + MARK.length

/** Most trailers are shorter: one read is enough for them. */
const TAIL = 4096

/** Bytes that are read at a time. */
const CHUNK = 256 * 1024

/** What follows the bytes. */
export const trailer = (kept: Kept): Uint8Array => {
  const json = Buffer.from(encode(kept))
  return Buffer.concat([json, Buffer.from(String(json.byteLength).padStart(8, "0") + MARK)])
}

/** `name` is that of the file, for errors. */
export const open = (operation: string, name: string, file: File): Effect.Effect<Found, ServiceError> =>
  Effect.gen(function*() {
    const length = Number((yield* file.stat).size)
    const tail = yield* readAll(file, Math.max(0, length - TAIL), length)
    const footer = tail.toString("latin1", tail.byteLength - FOOTER)
    if (!/^\d{8}$/.test(footer.slice(0, 8)) || footer.slice(8) !== MARK) return yield* damaged(operation, name)
    const end = length - FOOTER
    const start = end - Number(footer.slice(0, 8))
    if (start < 0) return yield* damaged(operation, name)
    const inTail = start - (length - tail.byteLength)
    const json = inTail >= 0
      ? tail.subarray(inTail, tail.byteLength - FOOTER)
      : yield* readAll(file, start, end)
    const kept = decode(json.toString())
    if (Either.isLeft(kept) || kept.right.size !== start) return yield* damaged(operation, name)
    const { etag, size } = kept.right
    return {
      ...kept.right,
      bytes: (from: number, to: number) => {
        const some = bytes(operation, name, file, from, to)
        return from === 0 && to === size ? verified(some, etag, damaged(operation, name)) : some
      }
    }
  }).pipe(Effect.catchTags({
    SystemError: (error) => Effect.fail(fileError(operation)(error)),
    BadArgument: (error) => Effect.fail(fileError(operation)(error))
  }))

/** All of the bytes, failing at their end if they are not those that were stored. */
const verified = (
  all: Stream.Stream<Uint8Array, ServiceError>,
  etag: string,
  otherwise: Effect.Effect<never, ServiceError>
): Stream.Stream<Uint8Array, ServiceError> =>
  Stream.suspend(() => {
    const hash = createHash("md5")
    return Stream.concat(
      Stream.tap(all, (chunk) => Effect.sync(() => hash.update(chunk))),
      Stream.execute(Effect.suspend(() => `"${hash.digest("hex")}"` === etag ? Effect.void : otherwise))
    )
  })

const bytes = (
  operation: string,
  name: string,
  file: File,
  start: number,
  end: number
): Stream.Stream<Uint8Array, ServiceError> =>
  Stream.unfoldEffect(
    start,
    (position) =>
      position >= end ? Effect.succeedNone : Effect.matchEffect(read(file, position, end), {
        onFailure: (error) => Effect.fail(fileError(operation)(error)),
        onSuccess: (chunk) =>
          chunk.byteLength === 0
            ? damaged(operation, name)
            : Effect.succeedSome([chunk, position + chunk.byteLength] as const)
      })
  )

/** Fewer bytes where the file has no more. */
const readAll = (file: File, start: number, end: number): Effect.Effect<Buffer, PlatformError> =>
  Effect.gen(function*() {
    const chunks: Array<Uint8Array> = []
    for (let position = start; position < end;) {
      const chunk = yield* read(file, position, end)
      if (chunk.byteLength === 0) break
      chunks.push(chunk)
      position += chunk.byteLength
    }
    return Buffer.concat(chunks)
  })

/** Some of the bytes; none at the end of the file. */
const read = (file: File, start: number, end: number): Effect.Effect<Uint8Array, PlatformError> =>
  Effect.zipRight(
    file.seek(BigInt(start), "start"),
    Effect.map(file.readAlloc(Math.min(CHUNK, end - start)), Option.getOrElse(() => new Uint8Array(0)))
  )

const damaged = (operation: string, name: string): Effect.Effect<never, ServiceError> =>
  Effect.fail(
    new ServiceError({
      service: "S3",
      operation,
      reason: "UnreadableData",
      retryable: false,
      attempts: 1,
      detail: `the object's file is damaged: ${name}`,
      hint: "delete that file, or store the object again"
    })
  )
