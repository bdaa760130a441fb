/**
 * Files of customers in S3: images, videos, sound and attachments of chats.
 *
 * What does the work is loaded when a layer is built, as the SDK is, so that importing this module costs little.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import type { PlatformError } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import { ConfigurationError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { S3 } from "./Clients.ts"
import { loadS3 } from "./internal/client/sdk.ts"
import { toConfigurationError } from "./internal/errors/classify.ts"
import * as AwsSettings from "./internal/settings/settings.ts"
import type { StorageConfig } from "./internal/settings/settings.ts"
import type { MemoryObject } from "./internal/storage/memoryBackend.ts"
import { type Source, SourceTypeId, type StoredObject } from "./internal/storage/model.ts"
import * as Progress from "./internal/storage/progress.ts"
import type { UploadProgress } from "./internal/storage/progress.ts"
import { publicUrl } from "./internal/storage/publicUrl.ts"
import type { StorageService, UploadMethod } from "./internal/storage/service.ts"

export type { StorageConfig } from "./internal/settings/settings.ts"
export type { FileInput, PresignInput, UploadInput } from "./internal/storage/input/uploadInput.ts"
export type { MemoryObject } from "./internal/storage/memoryBackend.ts"
export type {
  ChecksumAlgorithm,
  CopyOptions,
  Data,
  DeleteReport,
  Disposition,
  Encryption,
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
  Range,
  ReadBytesOptions,
  ReadOptions,
  Source,
  StoredObject,
  WebReadable,
  WriteOptions
} from "./internal/storage/model.ts"
export type { UploadProgress } from "./internal/storage/progress.ts"
export type { StorageService, UploadMethod } from "./internal/storage/service.ts"

const objectsOf: unique symbol = Symbol.for("@betterai/infrastructure/Storage/objects")

export declare namespace Storage {
  interface Service extends StorageService {
    /** @internal */
    readonly [objectsOf]?: Effect.Effect<ReadonlyArray<MemoryObject>>
  }

  type Upload = UploadMethod
}

/** The files of customers. */
export class Storage extends Context.Tag("@betterai/infrastructure/Storage")<Storage, Storage.Service>() {
  /** A storage in that bucket, over the client in the context: for buckets with a client of their own. */
  static readonly make = (
    config: StorageConfig
  ): Effect.Effect<Storage.Service, ConfigurationError, S3> =>
    Effect.gen(function*() {
      const checked = yield* Settings.load(
        "Storage",
        Config.mapOrFail(Config.succeed(config), AwsSettings.checkedStorage)
      )
      const client = yield* S3
      const sdk = yield* loadS3("Storage")
      const service = yield* loadService
      const S3Backend = yield* Effect.promise(() => import("./internal/storage/s3/s3Backend.ts"))
      const region = yield* regionOf(client)
      const { bucket, publicBaseUrl = yield* bucketUrl(client, region, bucket), uploadMemoryMiB = 256 } = checked
      return service.make(S3Backend.make(client, sdk, { bucket, uploadMemory: uploadMemoryMiB * 1024 * 1024 }), {
        bucket,
        urlOf: publicUrl(publicBaseUrl)
      })
    })

  /** From the environment: AWS_* (see {@link S3.layer}), IMAGE_S3_BUCKET, STORAGE_*. */
  static readonly layer: Layer.Layer<Storage, ConfigurationError> = Layer.suspend(() => withClient(AwsSettings.storage))

  /** IMAGE_S3_BUCKET and STORAGE_* from the environment, over the client in the context. */
  static readonly layerNoDeps: Layer.Layer<Storage, ConfigurationError, S3> = Layer.effect(
    this,
    Effect.suspend(() => Effect.flatMap(Settings.load("Storage", AwsSettings.storage), Storage.make))
  )

  /** Another bucket, over the client of {@link S3.layer}; see {@link make} for another client. */
  static readonly layerConfig = (
    config: Config.Config.Wrap<StorageConfig>
  ): Layer.Layer<Storage, ConfigurationError> =>
    withClient(Config.mapOrFail(Config.unwrap(config), AwsSettings.checkedStorage))

  /** In memory, for tests: the same refusals, keys and URLs, in a bucket named `memory`. {@link objects} shows it. */
  static readonly layerMemory: Layer.Layer<Storage> = Layer.effect(
    this,
    Effect.gen(function*() {
      const service = yield* loadService
      const MemoryBackend = yield* Effect.promise(() => import("./internal/storage/memoryBackend.ts"))
      const urlOf = publicUrl("https://memory.s3.us-east-1.amazonaws.com")
      const backend = MemoryBackend.make(urlOf)
      return { ...service.make(backend, { bucket: "memory", urlOf }), [objectsOf]: backend.objects }
    })
  )

  /**
   * In a folder, for development: the files of a former run are there again. One process at a time. What it needs of
   * S3 it does, in a bucket named `files`; it is not made for production.
   */
  static readonly layerFileSystem = (
    directory: string
  ): Layer.Layer<Storage, ConfigurationError, FileSystem> =>
    Layer.effect(
      this,
      Effect.gen(function*() {
        const service = yield* loadService
        const FileSystemBackend = yield* Effect.promise(() => import("./internal/storage/fileSystemBackend.ts"))
        const urlOf = publicUrl("http://files.invalid")
        return service.make(yield* FileSystemBackend.make(directory, urlOf), { bucket: "files", urlOf })
      })
    )

  /** The data of a file, for an upload: its size is known, and it is read while it is sent. */
  static readonly file = (path: string): Source<PlatformError, FileSystem> => ({
    [SourceTypeId]: true,
    open: Effect.flatMap(
      Effect.promise(() => import("@effect/platform/FileSystem")),
      ({ FileSystem }) =>
        Effect.flatMap(FileSystem, (fs) =>
          Effect.map(fs.stat(path), ({ size }) => ({
            size: Number(size),
            stream: fs.stream(path, { chunkSize: FILE_CHUNK })
          })))
    )
  })

  /**
   * An upload as a stream: how many bytes were sent so far, and at last the file that is stored. Ending the stream early
   * interrupts the upload. A reader who is slow misses numbers, and does not slow the upload.
   *
   * @param upload the call of a method, with this `onProgress` among its options
   */
  static readonly progress = <E, R>(
    upload: (onProgress: (bytes: number) => Effect.Effect<void>) => Effect.Effect<StoredObject, E, R>
  ): Stream.Stream<UploadProgress, E, R> => Progress.streamed(upload)

  /** What a {@link layerMemory} holds, in the order of storing. Dies (a defect) with any other storage. */
  static readonly objects: Effect.Effect<ReadonlyArray<MemoryObject>, never, Storage> = Effect.flatMap(
    this,
    (storage) =>
      storage[objectsOf] ??
        Effect.dieMessage("Storage.objects shows what Storage.layerMemory holds, and this is another storage")
  )
}

/** Bytes that are read from a file at a time. */
const FILE_CHUNK = 256 * 1024

const loadService = Effect.promise(() => import("./internal/storage/service.ts"))

/** The client's settings are read along with the storage's own, so that the problems of both are reported at once. */
const withClient = (config: Config.Config<StorageConfig>): Layer.Layer<Storage, ConfigurationError> =>
  Layer.unwrapEffect(
    Effect.map(
      Settings.load("Storage", Config.all({ own: config, s3: AwsSettings.s3 })),
      ({ own }) => Layer.provide(Layer.effect(Storage, Storage.make(own)), S3.layer)
    )
  )

const regionOf = (client: S3Client): Effect.Effect<string, ConfigurationError> =>
  Effect.tryPromise({ try: () => client.config.region(), catch: notKnown("Region", "AWS_REGION") })

/**
 * Where AWS serves the bucket, as the SDK's own table of partitions says: whatever endpoint the client has, and neither
 * FIPS nor dual-stack. A certificate of `*.s3.{region}` does not match a name with more dots, so such a bucket is in the path.
 */
const bucketUrl = (client: S3Client, region: string, bucket: string): Effect.Effect<string, ConfigurationError> =>
  Effect.try({
    try: () =>
      client.config.endpointProvider({ Bucket: bucket, Region: region, ForcePathStyle: bucket.includes(".") })
        .url.href.replace(/\/$/, ""),
    catch: notKnown("Endpoint", "AWS_REGION")
  })

const notKnown = (reason: "Region" | "Endpoint", setting: string) => (cause: unknown): ConfigurationError =>
  Option.getOrElse(
    toConfigurationError("S3", cause),
    () =>
      new ConfigurationError({ service: "S3", reason, problems: [{ setting, detail: "is not known to the client" }] })
  )
