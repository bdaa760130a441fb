/** Files of customers in S3: pictures, videos, sound and attachments of chats. */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ConfigurationError, type ServiceError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { S3 } from "./Clients.ts"
import { toConfigurationError } from "./internal/errors/classify.ts"
import * as Memory from "./internal/storage/memoryBackend.ts"
import type { ObjectStore } from "./internal/storage/backend.ts"
import * as S3Store from "./internal/storage/s3Backend.ts"
import { loadS3 } from "./internal/client/sdk.ts"
import * as AwsSettings from "./internal/settings/settings.ts"
import { check, checkKey } from "./internal/storage/uploadInput.ts"
import * as StorageKey from "./StorageKey.ts"

/** Where files go and how their URLs read. */
export interface StorageConfig {
  readonly bucket: string
  /** Stands for `https://{bucket}.s3.{region}.amazonaws.com` in public URLs; a CDN in front of the bucket. */
  readonly publicBaseUrl?: string | undefined
}

/** A file to store. The `E` and `R` are those of the stream that it comes from. */
export interface UploadInput<E = never, R = never> {
  /**
   * The bytes, at least one. Bytes in memory must not change while they are sent; up to 16 MiB they go as one request.
   * A stream may be of any length up to 10,000 parts of 8 MiB; five parts of it are held at a time, and memory stays
   * at some 120 MiB whatever its length.
   */
  readonly data: Uint8Array | Stream.Stream<Uint8Array, E, R>
  /** A positive integer. */
  readonly customerId: number
  /** A positive integer, or 1-128 letters, digits, `-` and `_`. */
  readonly discussionId?: number | string | undefined
  /** 1-16 letters and digits; a leading dot and upper case are tolerated. */
  readonly fileExtension: string
  /** Default: the type that belongs to the extension, or `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** The `Cache-Control` that the file is served with; printable ASCII. */
  readonly cacheControl?: string | undefined
  /** The `Content-Disposition` that the file is served with; printable ASCII. */
  readonly contentDisposition?: string | undefined
  /** Texts that S3 keeps with the file and sends with it: printable ASCII, at most 2 KiB, names in lower case. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Told how many bytes S3 has confirmed so far, after each part. */
  readonly onProgress?: ((bytes: number) => Effect.Effect<void>) | undefined
}

/** A file that is stored. */
export interface StoredObject {
  readonly key: string
  /** Where the public finds it, if the bucket or the CDN lets it. */
  readonly url: string
  readonly bucket: string
  readonly contentType: string
  /** Bytes. */
  readonly size: number
  /** With its quotes. The MD5 of the bytes if they went as one request without KMS encryption, and opaque otherwise. */
  readonly etag: string
}

const objectsOf: unique symbol = Symbol.for("@betterai/infrastructure/Storage/objects")

/** The files of customers. */
export class Storage extends Context.Tag("@betterai/infrastructure/Storage")<Storage, Storage.Service>() {
  /** From the environment: AWS_* (see {@link S3.layer}), IMAGE_S3_BUCKET, STORAGE_PUBLIC_BASE_URL. */
  static readonly layer: Layer.Layer<Storage, ConfigurationError> = Layer.suspend(() => withClient(fromEnvironment))

  /** IMAGE_S3_BUCKET and STORAGE_PUBLIC_BASE_URL from the environment, over a client that is there already. */
  static readonly layerNoDeps: Layer.Layer<Storage, ConfigurationError, S3> = Layer.effect(
    this,
    Effect.suspend(() => Effect.flatMap(Settings.load("Storage", fromEnvironment), Storage.make))
  )

  /** A storage in that bucket, over the client in the context: for buckets with a client of their own. */
  static readonly make = (config: StorageConfig): Effect.Effect<Storage.Service, ConfigurationError, S3> =>
    Effect.gen(function*() {
      const checked = yield* Settings.load("Storage", Config.mapOrFail(Config.succeed(config), checkedConfig))
      const client = yield* S3
      const sdk = yield* loadS3("Storage")
      const region = yield* regionOf(client)
      return service(S3Store.make(client, sdk, checked.bucket), checked, region)
    })

  /** Another bucket, over the client of {@link S3.layer}; see {@link make} for another client. */
  static readonly layerConfig = (config: Config.Config.Wrap<StorageConfig>): Layer.Layer<Storage, ConfigurationError> =>
    withClient(Config.mapOrFail(Config.unwrap(config), checkedConfig))

  /** In memory, for tests: the same refusals, keys and URLs, in a bucket named `memory`. {@link objects} shows it. */
  static readonly layerMemory: Layer.Layer<Storage> = Layer.sync(this, () => {
    const store = Memory.make()
    return { ...service(store, { bucket: "memory" }, "us-east-1"), [objectsOf]: store.objects }
  })

  /** What a {@link layerMemory} holds, in the order of storing. A defect with any other storage. */
  static readonly objects: Effect.Effect<ReadonlyArray<Memory.MemoryObject>, never, Storage> = Effect.flatMap(
    this,
    (storage) =>
      storage[objectsOf] ??
        Effect.dieMessage("Storage.objects shows what Storage.layerMemory holds, and this is another")
  )
}

export declare namespace Storage {
  /**
   * Uploads are refused with the reason `InvalidInput`, before anything is sent, if an argument is not as
   * {@link UploadInput} says, or if an image, a video or sound is known by its type to be another of the three. Files
   * that hold sound as well as pictures (webm, mp4, ogg, 3gp) pass as either, and get the type of the method.
   *
   * A failure of the stream comes through as it is. Up to 8 MiB of a stream go as one request, more go by parts; a
   * failed or interrupted upload leaves no parts, and its failure is not `retryable` once the stream was read.
   */
  interface Service {
    readonly uploadImage: Upload
    readonly uploadVideo: Upload
    readonly uploadAudio: Upload
    /** Any type of file. */
    readonly uploadChatAttachment: Upload
    /** The bytes of a stored file; `ObjectNotFound` if there is none. */
    readonly read: (key: string) => Stream.Stream<Uint8Array, ServiceError>
    /** Succeeds too where there is no such file. */
    readonly delete: (key: string) => Effect.Effect<void, ServiceError>
    /** Whether the bucket is there and may be used. */
    readonly check: Effect.Effect<void, ServiceError>
    /** @internal */
    readonly [objectsOf]?: Effect.Effect<ReadonlyArray<Memory.MemoryObject>>
  }

  type Upload = <E = never, R = never>(input: UploadInput<E, R>) => Effect.Effect<StoredObject, ServiceError | E, R>
}

const fromEnvironment: Config.Config<StorageConfig> = Config.all({
  bucket: Settings.checked("IMAGE_S3_BUCKET", Settings.text("IMAGE_S3_BUCKET"), AwsSettings.bucketName),
  publicBaseUrl: AwsSettings.optionalText("STORAGE_PUBLIC_BASE_URL", AwsSettings.publicBaseUrl)
})

const checkedConfig = (config: StorageConfig): Either.Either<StorageConfig, ConfigError.ConfigError> => {
  const bucket = AwsSettings.bucketName(config.bucket)
  const publicBaseUrl = config.publicBaseUrl === undefined
    ? Either.right(undefined)
    : AwsSettings.publicBaseUrl(config.publicBaseUrl)
  return AwsSettings.together({ bucket, publicBaseUrl })
}

/** The client's settings are read along with the storage's own, so that the problems of both are reported at once. */
const withClient = (config: Config.Config<StorageConfig>): Layer.Layer<Storage, ConfigurationError> =>
  Layer.unwrapEffect(
    Effect.map(
      Settings.load("Storage", Config.all({ own: config, s3: AwsSettings.s3 })),
      ({ own }) => Layer.provide(Layer.effect(Storage, Storage.make(own)), S3.layer)
    )
  )

const regionOf = (client: S3Client): Effect.Effect<string, ConfigurationError> =>
  Effect.tryPromise({
    try: () => client.config.region(),
    catch: (cause) =>
      Option.getOrElse(toConfigurationError("S3", cause), () =>
        new ConfigurationError({
          service: "S3",
          reason: "Region",
          problems: [{ setting: "AWS_REGION", detail: "is not known to the client" }]
        }))
  })

const service = (store: ObjectStore, { bucket, publicBaseUrl }: StorageConfig, region: string): Storage.Service => {
  const base = publicBaseUrl ?? `https://${bucket}.s3.${region}.amazonaws.com`

  const upload = (operation: string, category: StorageKey.Category): Storage.Upload =>
    Effect.fn(`Storage.${operation}`)(function*<E, R>(input: UploadInput<E, R>) {
      const checked = yield* check(operation, category, input)
      const key = yield* StorageKey.make(checked.key)
      const { contentType } = checked
      const { cacheControl, contentDisposition, data, metadata } = input
      const stored = yield* store.put({
        operation,
        head: { key, contentType, cacheControl, contentDisposition, metadata },
        data,
        onProgress: input.onProgress ?? (() => Effect.void)
      })
      return { key, url: `${base}/${encodeKey(key)}`, bucket, contentType, ...stored }
    })

  return {
    uploadImage: upload("uploadImage", "image"),
    uploadVideo: upload("uploadVideo", "video"),
    uploadAudio: upload("uploadAudio", "audio"),
    uploadChatAttachment: upload("uploadChatAttachment", "attachment"),
    read: (key) => Stream.unwrap(Effect.map(checkKey("read", key), store.read)).pipe(Stream.withSpan("Storage.read")),
    delete: Effect.fn("Storage.delete")(function*(key: string) {
      yield* store.remove(yield* checkKey("delete", key))
    }),
    check: Effect.withSpan(store.check, "Storage.check")
  }
}

/** RFC 3986: all but letters, digits and `-._~`, segment by segment. */
const encodeKey = (key: string): string =>
  key.split("/").map((segment) =>
    encodeURIComponent(segment).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  ).join("/")
