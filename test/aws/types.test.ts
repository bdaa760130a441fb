import type { S3Client } from "@aws-sdk/client-s3"
import type { SQSClient } from "@aws-sdk/client-sqs"
import type { FileSystem } from "@effect/platform/FileSystem"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { describe, expectTypeOf, it } from "vitest"
import { S3, Sqs } from "../../src/aws/Clients.ts"
import { type Enqueued, Queue } from "../../src/aws/Queue.ts"
import { Storage, type StoredObject } from "../../src/aws/Storage.ts"
import type { ConfigurationError, ServiceError } from "../../src/Errors.ts"

class Disk extends Context.Tag("test/Disk")<Disk, { readonly path: string }>() {}
class DiskError {
  readonly _tag = "DiskError"
}
declare const storage: Storage.Service
declare const queue: Queue.Service
declare const fromDisk: Stream.Stream<Uint8Array, DiskError, Disk>

describe("types", () => {
  it("of the layers", () => {
    expectTypeOf(S3.layer).toEqualTypeOf<Layer.Layer<S3, ConfigurationError>>()
    expectTypeOf(Sqs.layer).toEqualTypeOf<Layer.Layer<Sqs, ConfigurationError>>()
    expectTypeOf(S3.fromClient).toEqualTypeOf<(client: S3Client) => Layer.Layer<S3>>()
    expectTypeOf(Sqs.fromClient).toEqualTypeOf<(client: SQSClient) => Layer.Layer<Sqs>>()
    expectTypeOf(Storage.layer).toEqualTypeOf<Layer.Layer<Storage, ConfigurationError>>()
    expectTypeOf(Storage.layerNoDeps).toEqualTypeOf<Layer.Layer<Storage, ConfigurationError, S3>>()
    expectTypeOf(Storage.layerMemory).toEqualTypeOf<Layer.Layer<Storage>>()
    expectTypeOf(Storage.layerFileSystem).toEqualTypeOf<
      (directory: string) => Layer.Layer<Storage, ConfigurationError, FileSystem>
    >()
    expectTypeOf(Queue.layer).toEqualTypeOf<Layer.Layer<Queue, ConfigurationError>>()
    expectTypeOf(Queue.layerNoDeps).toEqualTypeOf<Layer.Layer<Queue, ConfigurationError, Sqs>>()
    expectTypeOf(Queue.layerMemory).toEqualTypeOf<Layer.Layer<Queue>>()
    expectTypeOf(Storage.layerConfig({ bucket: Config.string("B") })).toEqualTypeOf<
      Layer.Layer<Storage, ConfigurationError>
    >()
    expectTypeOf(Queue.layerConfig({ url: Config.string("Q") })).toEqualTypeOf<Layer.Layer<Queue, ConfigurationError>>()
    // @ts-expect-error a bucket is required
    void (() => Storage.layerConfig({ publicBaseUrl: Config.string("U") }))
  })

  it("of uploads: the stream's errors and requirements are added, and nothing else", () => {
    void (() => {
      const { uploadImage } = storage
      const bytes = { data: new Uint8Array(1), customerId: 1, fileExtension: "png" }
      expectTypeOf(uploadImage(bytes)).toEqualTypeOf<Effect.Effect<StoredObject, ServiceError>>()
      expectTypeOf(uploadImage({ ...bytes, data: Stream.empty })).toEqualTypeOf<
        Effect.Effect<StoredObject, ServiceError>
      >()
      expectTypeOf(uploadImage({ ...bytes, data: fromDisk }))
        .toEqualTypeOf<Effect.Effect<StoredObject, ServiceError | DiskError, Disk>>()
      expectTypeOf(storage.read("k")).toEqualTypeOf<Stream.Stream<Uint8Array, ServiceError>>()
      expectTypeOf(storage.delete("k")).toEqualTypeOf<Effect.Effect<void, ServiceError>>()
      // @ts-expect-error a text is not a file
      void uploadImage({ ...bytes, data: "text" })
      // @ts-expect-error the customer is missing
      void uploadImage({ data: bytes.data, fileExtension: "png" })
    })
  })

  it("of messages", () => {
    void (() => {
      expectTypeOf(queue.enqueue({ a: 1 })).toEqualTypeOf<Effect.Effect<Enqueued, ServiceError>>()
      expectTypeOf(queue.enqueueTimestamped({ a: 1 }, { delay: "1 second" })).toEqualTypeOf<
        Effect.Effect<Enqueued, ServiceError>
      >()
      const Job = Schema.Struct({ n: Schema.NumberFromString })
      expectTypeOf(Queue.of(Job)).toEqualTypeOf<Effect.Effect<Queue.Typed<{ readonly n: number }>, never, Queue>>()
      expectTypeOf(Queue.of(queue)).toEqualTypeOf<Queue.Service>()
      type Result = Either.Either<Enqueued, ServiceError>
      expectTypeOf(queue.enqueueAll([{ payload: 1 }])).toEqualTypeOf<Stream.Stream<Result>>()
      expectTypeOf(queue.enqueueAll(Stream.map(fromDisk, (payload) => ({ payload }))))
        .toEqualTypeOf<Stream.Stream<Result, DiskError, Disk>>()
      expectTypeOf(Queue.layerLargePayloads()).toEqualTypeOf<
        Layer.Layer<Queue, ConfigurationError, Queue | Storage>
      >()
      // @ts-expect-error a message is an object with a payload
      void queue.enqueueAll([1])
    })
  })
})
