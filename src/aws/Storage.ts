/** Files of customers in S3: images, videos, sound and attachments of chats. */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ConfigurationError, type ServiceError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { S3 } from "./Clients.ts"
import { loadS3 } from "./internal/client/sdk.ts"
import { toConfigurationError } from "./internal/errors/classify.ts"
import * as AwsSettings from "./internal/settings/settings.ts"
import type { StorageConfig } from "./internal/settings/settings.ts"
import type { StorageBackend } from "./internal/storage/backend.ts"
import * as MemoryBackend from "./internal/storage/memoryBackend.ts"
import type { MemoryObject } from "./internal/storage/memoryBackend.ts"
import * as S3Backend from "./internal/storage/s3Backend.ts"
import { check, checkKey, type UploadInput } from "./internal/storage/uploadInput.ts"
import * as StorageKey from "./StorageKey.ts"

export type { StorageConfig } from "./internal/settings/settings.ts"
export type { MemoryObject } from "./internal/storage/memoryBackend.ts"
export type { UploadInput } from "./internal/storage/uploadInput.ts"

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

const objectsOf: unique symbol = Symbol.for("@betterai/infrastructure/Storage/objects")

export declare namespace Storage {
  /**
   * An upload is refused with the reason `InvalidInput`, before anything is sent, if an argument is not as
   * {@link UploadInput} says, or if its content type is an image, video or audio type of another method. The extensions
   * webm, mp4, ogg, 3gp and 3g2 can mean video or audio: without a `contentType` they get the type of the method.
   *
   * A failure of the stream is passed on unchanged. Up to 8 MiB of a stream are sent as one request, more by parts. An
   * upload that fails or is interrupted leaves no parts. After a stream has been read, a failure is not `retryable`.
   */
  interface Service {
    readonly uploadImage: Upload
    readonly uploadVideo: Upload
    readonly uploadAudio: Upload
    /** Any type of file. */
    readonly uploadChatAttachment: Upload
    /** The bytes of a stored file; `ObjectNotFound` if there is none. */
    readonly read: (key: string) => Stream.Stream<Uint8Array, ServiceError>
    /** Also succeeds if there is no such file. */
    readonly delete: (key: string) => Effect.Effect<void, ServiceError>
    /** Succeeds if the bucket exists and may be used. */
    readonly check: Effect.Effect<void, ServiceError>
    /** @internal */
    readonly [objectsOf]?: Effect.Effect<ReadonlyArray<MemoryObject>>
  }

  type Upload = <E = never, R = never>(input: UploadInput<E, R>) => Effect.Effect<StoredObject, ServiceError | E, R>
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
      const region = yield* regionOf(client)
      return service(S3Backend.make(client, sdk, checked.bucket), checked, region)
    })

  /** From the environment: AWS_* (see {@link S3.layer}), IMAGE_S3_BUCKET, STORAGE_PUBLIC_BASE_URL. */
  static readonly layer: Layer.Layer<Storage, ConfigurationError> = Layer.suspend(() => withClient(AwsSettings.storage))

  /** IMAGE_S3_BUCKET and STORAGE_PUBLIC_BASE_URL from the environment, over the client in the context. */
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
  static readonly layerMemory: Layer.Layer<Storage> = Layer.sync(this, () => {
    const backend = MemoryBackend.make()
    return { ...service(backend, { bucket: "memory" }, "us-east-1"), [objectsOf]: backend.objects }
  })

  /** What a {@link layerMemory} holds, in the order of storing. Dies (a defect) with any other storage. */
  static readonly objects: Effect.Effect<ReadonlyArray<MemoryObject>, never, Storage> = Effect.flatMap(
    this,
    (storage) =>
      storage[objectsOf] ??
        Effect.dieMessage("Storage.objects shows what Storage.layerMemory holds, and this is another storage")
  )
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

const service = (
  backend: StorageBackend,
  { bucket, publicBaseUrl }: StorageConfig,
  region: string
): Storage.Service => {
  const base = publicBaseUrl ?? `https://${bucket}.s3.${region}.amazonaws.com`

  const upload = (method: Method, category: StorageKey.Category): Storage.Upload =>
    Effect.fn(spanName(method))(function*<E, R>(input: UploadInput<E, R>) {
      const checked = yield* check(method, category, input)
      const key = yield* StorageKey.make(checked.key)
      const { contentType } = checked
      const { cacheControl, contentDisposition, data, metadata } = input
      const stored = yield* backend.put({
        operation: method,
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
    read: (key) =>
      Stream.unwrap(Effect.map(checkKey("read", key), backend.read)).pipe(Stream.withSpan(spanName("read"))),
    delete: Effect.fn(spanName("delete"))(function*(key: string) {
      yield* backend.remove(yield* checkKey("delete", key))
    }),
    check: Effect.withSpan(backend.check, spanName("check"))
  }
}

type Method = Extract<keyof Storage.Service, string>

const spanName = (method: Method): string => `Storage.${method}`

/** RFC 3986: all but letters, digits and `-._~`, segment by segment. */
const encodeKey = (key: string): string =>
  key.split("/").map((segment) =>
    encodeURIComponent(segment).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  ).join("/")
