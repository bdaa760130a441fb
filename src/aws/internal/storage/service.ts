/** The methods of Storage over a backend: arguments are checked, then sent. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { ServiceError } from "../../../Errors.ts"
import { isTraced } from "../../../internal/tracing.ts"
import * as StorageKey from "../../StorageKey.ts"
import { invalidInput, type Refusal } from "../errors/invalidInput.ts"
import type { Body, Condition, Listing, ObjectHead, StorageBackend } from "./backend.ts"
import { essence } from "./content/essence.ts"
import * as Data from "./input/data.ts"
import * as Key from "./input/key.ts"
import { object } from "./input/object.ts"
import * as Options from "./input/options.ts"
import { check, type PresignInput, type UploadInput } from "./input/uploadInput.ts"
import { verified } from "./input/verify.ts"
import * as MediaTypes from "./mediaTypes.ts"
import type {
  CopyOptions,
  DeleteReport,
  ListOptions,
  ListPage,
  ListPagesOptions,
  ObjectInfo,
  ObjectKey,
  PresignedPost,
  PresignedPut,
  PresignedRead,
  PresignOptions,
  PresignPutOptions,
  PresignReadOptions,
  PutOptions,
  ReadBytesOptions,
  ReadOptions,
  StoredObject,
  WriteOptions
} from "./model.ts"

/**
 * A call is refused with the reason `InvalidInput`, before anything is sent, if an argument is not as its type says.
 * Every method fails with a ServiceError, and uploads also with what their stream fails with, unchanged.
 */
export interface StorageService {
  /** The name of the bucket. */
  readonly bucket: string
  /**
   * Stores a file under a new key. Refused if its content type is of another kind of media. The extensions webm, mp4,
   * ogg, 3gp and 3g2 can mean video or audio: without a `contentType` they get the type of the method.
   *
   * A small file is sent as one request, a larger one by parts. An upload that fails or is interrupted leaves nothing.
   * Where a reply was lost, S3 is asked whether the file is there. After a stream has been read, a failure is not
   * `retryable`.
   */
  readonly uploadImage: UploadMethod
  readonly uploadVideo: UploadMethod
  readonly uploadAudio: UploadMethod
  /** Any type of file. */
  readonly uploadChatAttachment: UploadMethod
  /** Stores an object under a key of yours, in place of what is there, or under a condition. */
  readonly put: <E = never, R = never>(
    key: ObjectKey,
    data: UploadInput<E, R>["data"],
    options?: PutOptions
  ) => Effect.Effect<StoredObject, ServiceError | E, R>
  /**
   * The bytes of an object; `ObjectNotFound` if there is none. A connection that is cut is resumed where it ended, on
   * the same version of the object. Bytes are asked for as they are read: a reader may be as slow as it likes.
   */
  readonly read: (key: ObjectKey, options?: ReadOptions) => Stream.Stream<Uint8Array, ServiceError>
  /** The same as one array. */
  readonly readBytes: (key: ObjectKey, options?: ReadBytesOptions) => Effect.Effect<Uint8Array, ServiceError>
  /** What is stored with an object; `ObjectNotFound` if there is none. */
  readonly head: (key: ObjectKey) => Effect.Effect<ObjectInfo, ServiceError>
  /** Whether there is an object of that key. S3 does not tell a missing bucket from a missing object here. */
  readonly exists: (key: ObjectKey) => Effect.Effect<boolean, ServiceError>
  /** Every object, in the order of the keys' UTF-8 bytes. A page is asked for when it is read. */
  readonly list: (options?: ListOptions) => Stream.Stream<ObjectInfo, ServiceError>
  /** The same by pages, with keys rolled up into prefixes. */
  readonly listPages: (options?: ListPagesOptions) => Stream.Stream<ListPage, ServiceError>
  /** Copies within the bucket, without the bytes passing through this process. */
  readonly copy: (from: ObjectKey, to: ObjectKey, options?: CopyOptions) => Effect.Effect<StoredObject, ServiceError>
  /** Also succeeds if there is no such object. */
  readonly delete: (key: ObjectKey) => Effect.Effect<void, ServiceError>
  /** Any number of keys, 1,000 with one request (S3's limit). It fails if no request could be sent. */
  readonly deleteMany: (keys: Iterable<ObjectKey>) => Effect.Effect<DeleteReport<ServiceError>, ServiceError>
  /** A URL with which anyone may read the object for a while. */
  readonly presignRead: (key: ObjectKey, options?: PresignReadOptions) => Effect.Effect<PresignedRead, ServiceError>
  /** A request with which anyone may store one file of exactly that type and size, under a new key. */
  readonly presignPut: (
    input: PresignInput & PresignPutOptions & { readonly size: number }
  ) => Effect.Effect<PresignedPut, ServiceError>
  /** A form with which anyone may store one file of that type, within these sizes, under a new key. */
  readonly presignPost: (
    input: PresignInput & PresignOptions & { readonly maxSize: number; readonly minSize?: number | undefined }
  ) => Effect.Effect<PresignedPost, ServiceError>
  /** The public URL of a key. It says nothing of whether there is an object. */
  readonly url: (key: string) => string
  /** Succeeds if the bucket exists and may be listed; else the error says what is wrong: keys, region, bucket, rights. */
  readonly check: Effect.Effect<void, ServiceError>
  /** @internal */
  readonly [internals]: Internals
}

/** What the rest of this package needs of a storage beyond its methods. */
export const internals: unique symbol = Symbol.for("@betterai/infrastructure/Storage/internals")

export interface Internals {
  readonly backend: StorageBackend
  readonly bucket: string
  readonly urlOf: (key: string) => string
}

export type UploadMethod = <E = never, R = never>(
  input: UploadInput<E, R>
) => Effect.Effect<StoredObject, ServiceError | E, R>

export const make = (
  backend: StorageBackend,
  { bucket, urlOf }: { readonly bucket: string; readonly urlOf: (key: string) => string }
): StorageService => {
  const store = <E, R>(
    operation: Method,
    data: UploadInput<E, R>["data"],
    options: WriteOptions,
    head: ObjectHead,
    condition: Condition,
    ownKey: boolean
  ): Effect.Effect<StoredObject, ServiceError | E, R> =>
    Effect.flatMap(opened(operation, data, options, head), (body) =>
      Effect.map(
        backend.put({ operation, head, body, condition, ownKey, onProgress: options.onProgress }),
        ({ etag, size }) => ({
          key: head.key,
          url: urlOf(head.key),
          bucket,
          contentType: head.contentType,
          size,
          etag
        })
      ))

  const upload = (operation: Method, category: StorageKey.Category): UploadMethod => (input) =>
    traced(
      operation,
      checked(operation, () => check(category, input), ({ head, key }) =>
        Effect.flatMap(
          StorageKey.make(key),
          (key) => store(operation, input.data, input, { key, ...head }, {}, true)
        ))
    )

  const presigned = <Size, Reply>(
    operation: Method,
    input: PresignInput & PresignOptions,
    size: () => Either.Either<Size, Refusal>,
    sign: (head: ObjectHead, size: Size, expiresIn: number) => Effect.Effect<Reply, ServiceError>
  ): Effect.Effect<Reply & { readonly key: string }, ServiceError> =>
    traced(
      operation,
      checked(
        operation,
        () =>
          Either.flatMap(object("input", input), () =>
            Either.all({
              upload: check(input.category ?? "attachment", input),
              size: size(),
              expiry: Options.expiry(input)
            })),
        ({ expiry, size, upload }) =>
          Effect.flatMap(StorageKey.make(upload.key), (key) =>
            Effect.map(sign({ key, ...upload.head }, size, expiry), (reply) => ({ key, ...reply })))
      )
    )

  const listPages = (
    operation: Method,
    check: () => Either.Either<Listing, Refusal>
  ): Stream.Stream<ListPage, ServiceError> =>
    streamed(operation, Effect.map(checked(operation, check, Effect.succeed), backend.list))

  const readStream = (
    operation: Method,
    key: ObjectKey,
    options: ReadOptions
  ): Stream.Stream<Uint8Array, ServiceError> =>
    streamed(
      operation,
      checked(
        operation,
        () => Either.all([Key.key("key", key), Options.read(options)]),
        ([key, reading]) => Effect.sync(() => backend.read(key, reading))
      )
    )

  const head = (operation: Method, key: ObjectKey): Effect.Effect<ObjectInfo, ServiceError> =>
    traced(operation, checked(operation, () => Key.key("key", key), backend.head))

  return {
    bucket,

    uploadImage: upload("uploadImage", "image"),
    uploadVideo: upload("uploadVideo", "video"),
    uploadAudio: upload("uploadAudio", "audio"),
    uploadChatAttachment: upload("uploadChatAttachment", "attachment"),

    put: (key, data, options = {}) =>
      traced(
        "put",
        checked("put", () =>
          Options.put(key, options), ({ condition, head }) =>
          store("put", data, options, head, condition, false))
      ),

    read: (key, options = {}) => readStream("read", key, options),

    readBytes: (key, options = {}) =>
      checked(
        "readBytes",
        () => Options.maxBytes(options),
        (maxBytes) => gather(readStream("readBytes", key, options), maxBytes)
      ),

    head: (key) => head("head", key),

    exists: (key) =>
      Effect.catchIf(
        Effect.as(head("exists", key), true),
        ({ reason }) => reason === "ObjectNotFound",
        () => Effect.succeed(false)
      ),

    list: (options = {}) =>
      Stream.mapConcat(
        // What is rolled up by a delimiter would be left out.
        listPages("list", () => Either.map(Options.list(options), (listing) => ({ ...listing, delimiter: undefined }))),
        ({ objects }) => objects
      ),

    listPages: (options = {}) => listPages("listPages", () => Options.list(options)),

    copy: (from, to, options = {}) =>
      traced(
        "copy",
        checked("copy", () =>
          Options.copy(from, to, options), (copy) =>
          Effect.map(backend.copy(copy), (stored) => ({ key: copy.to, url: urlOf(copy.to), bucket, ...stored })))
      ),

    delete: (key) => traced("delete", checked("delete", () => Key.key("key", key), backend.remove)),

    deleteMany: (keys) =>
      traced(
        "deleteMany",
        checked("deleteMany", () => Key.keys("keys", keys), backend.removeMany)
      ),

    presignRead: (key, options = {}) =>
      traced(
        "presignRead",
        checked(
          "presignRead",
          () =>
            Either.flatMap(object("options", options), () =>
              Either.all({
                key: Key.key("key", key),
                reply: Options.reply(options),
                expiresIn: Options.expiry(options)
              })),
          ({ expiresIn, key, reply }) => backend.presignRead(key, reply, expiresIn)
        )
      ),

    presignPut: (input) =>
      Effect.map(
        presigned(
          "presignPut",
          input,
          () => Either.all({ size: Options.size("size", input.size, 1), onlyOnce: Options.onlyOnce(input) }),
          (head, { onlyOnce, size }, expiresIn) => backend.presignPut(head, size, expiresIn, onlyOnce)
        ),
        (reply) => ({ ...reply, method: "PUT" as const })
      ),

    presignPost: (input) => presigned("presignPost", input, () => Options.sizes(input), backend.presignPost),

    url: urlOf,

    [internals]: { backend, bucket, urlOf },

    check: traced("check", backend.check)
  }
}

const opened = <E, R>(
  operation: Method,
  data: UploadInput<E, R>["data"],
  { size, verifyContent }: WriteOptions,
  { contentType, key }: ObjectHead
): Effect.Effect<Body<ServiceError | E, R>, ServiceError | E, R> => {
  const body = Data.open(operation, data, size)
  if (verifyContent !== true) return body
  // Octets say nothing, but the extension may.
  const claimed = essence(contentType) === OCTETS ? MediaTypes.ofKey(key) : contentType
  return Effect.flatMap(body, (body) => verified(operation, claimed, body))
}

const OCTETS = "application/octet-stream"

type Method = Exclude<Extract<keyof StorageService, string>, "bucket">

/** Runs the checks when the effect runs; what they refuse becomes an error that names the argument. */
const checked = <A, B, E, R>(
  operation: Method,
  check: () => Either.Either<A, Refusal>,
  use: (value: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, ServiceError | E, R> =>
  Effect.suspend((): Effect.Effect<B, ServiceError | E, R> => {
    const result = check()
    return Either.isRight(result) ? use(result.right) : Effect.fail(invalidInput("S3", operation, result.left))
  })

const spanName = (operation: Method): string => `Storage.${operation}`

const traced = <A, E, R>(operation: Method, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    isTraced(fiber) ? Effect.withSpan(effect, spanName(operation), { captureStackTrace: false }) : effect
  )

const streamed = <A, E, R>(
  operation: Method,
  stream: Effect.Effect<Stream.Stream<A, E, R>, E, R>
): Stream.Stream<A, E, R> => Stream.withSpan(Stream.unwrap(stream), spanName(operation), { captureStackTrace: false })

const gather = (
  stream: Stream.Stream<Uint8Array, ServiceError>,
  maxBytes: number
): Effect.Effect<Uint8Array, ServiceError> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let length = 0
    return Effect.map(
      Stream.runForEach(stream, (chunk) => {
        length += chunk.byteLength
        if (length > maxBytes) return Effect.fail(tooManyBytes(maxBytes))
        chunks.push(chunk)
        return Effect.void
      }),
      () => {
        const bytes = new Uint8Array(length)
        let offset = 0
        for (const chunk of chunks) {
          bytes.set(chunk, offset)
          offset += chunk.byteLength
        }
        return bytes
      }
    )
  })

const tooManyBytes = (maxBytes: number): ServiceError =>
  new ServiceError({
    service: "S3",
    operation: "readBytes",
    reason: "PayloadTooLarge",
    retryable: false,
    attempts: 1,
    detail: `the object has more than ${maxBytes} bytes`,
    hint: "raise maxBytes, or read it as a stream"
  })
