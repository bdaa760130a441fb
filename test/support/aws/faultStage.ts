/** Storage and Queue on the fault server. */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3"
import { SQSClient, type SQSClientConfig } from "@aws-sdk/client-sqs"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { S3, Sqs } from "../../../src/aws/Clients.ts"
import * as OwnClient from "../../../src/aws/internal/client/ownClient.ts"
import { Queue } from "../../../src/aws/Queue.ts"
import { Storage, type UploadInput } from "../../../src/aws/Storage.ts"
import { Faults, type FaultServer } from "./faultServer.ts"
import { accessKeyId, bucket, secretAccessKey, settings } from "./settings.ts"

export const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
export const mebibyte = 1024 * 1024
export const input: UploadInput = { data: new Uint8Array([1, 2, 3]), customerId: 1, fileExtension: "png" }
export const chunks = (count: number): Stream.Stream<Uint8Array> =>
  Stream.repeatValue(new Uint8Array(mebibyte).fill(7)).pipe(Stream.take(count))

type Run<Service> = <A, E>(
  run: (service: Service, server: FaultServer) => Effect.Effect<A, E>
) => Effect.Effect<A, E>

/** Storage as it is set up in production. */
export const withStorage: Run<Storage.Service> = (run) =>
  Effect.gen(function*() {
    const server = yield* Faults
    return yield* Effect.flatMap(Storage, (storage) => run(storage, server)).pipe(
      Effect.provide(Layer.orDie(Layer.provide(Storage.layer, settings(server.endpoint))))
    )
  }).pipe(Effect.provide(Faults.layer))

/** Queue as it is set up in production. */
export const withQueue: Run<Queue.Service> = (run) => queueAt(queueUrl)(run)

/** The same, with a FIFO queue. */
export const withFifoQueue: Run<Queue.Service> = (run) => queueAt(`${queueUrl}.fifo`)(run)

const queueAt = (url: string): Run<Queue.Service> => (run) =>
  Effect.gen(function*() {
    const server = yield* Faults
    return yield* Effect.flatMap(Queue, (queue) => run(queue, server)).pipe(
      Effect.provide(
        Layer.orDie(Layer.provide(Queue.layer, settings(server.endpoint, { AWS_SQS_QUEUE_URL: url })))
      )
    )
  }).pipe(Effect.provide(Faults.layer))

const oneAttempt = ({ endpoint }: FaultServer) => ({
  region: "eu-west-1",
  endpoint,
  credentials: { accessKeyId, secretAccessKey },
  maxAttempts: 1
})

const onClient = <A, E>(
  client: (server: FaultServer) => Effect.Effect<S3Client, never, Scope.Scope>,
  run: (storage: Storage.Service, server: FaultServer) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Faults
    const storage = yield* Effect.provide(Effect.orDie(Storage.make({ bucket })), S3.fromClient(yield* client(server)))
    return yield* run(storage, server)
  })).pipe(Effect.provide(Faults.layer))

/** Storage with a client of ours that makes one attempt, with short deadlines. */
export const impatientStorage: Run<Storage.Service> = (run) => ownStorage({})(run)

/** The same with one turn of each kind: whatever keeps one stops all others. */
export const narrowStorage: Run<Storage.Service> = (run) => ownStorage({}, { prompt: 1, lasting: 1 })(run)

export const ownStorage = (
  config: S3ClientConfig,
  turns: OwnClient.Turns = { prompt: 50, lasting: 100 }
): Run<Storage.Service> =>
(run) =>
  onClient((server) =>
    Effect.orDie(OwnClient.make(
      "S3",
      turns,
      { connectTimeout: 300, readTimeout: 600 },
      (own) => new S3Client({ ...own, ...oneAttempt(server), forcePathStyle: true, ...config })
    )), run)

/** Storage with an injected client, which has the SDK's own request handler, and makes one attempt. */
export const injectedStorage: Run<Storage.Service> = (run) =>
  onClient((server) => closing(() => new S3Client({ ...oneAttempt(server), forcePathStyle: true })), run)

/** Queue with an injected client that makes one attempt, with short deadlines. */
export const impatientQueue: Run<Queue.Service> = (run) =>
  queueOnClient({ requestHandler: { connectionTimeout: 300, socketTimeout: 600 } })(run)

/** Queue with an injected client, which has the SDK's own request handler, and makes one attempt. */
export const injectedQueue: Run<Queue.Service> = (run) => queueOnClient({})(run)

/** The same, of somebody who has no MD5. */
export const queueWithoutMd5: Run<Queue.Service> = (run) => queueOnClient({ md5: false })(run)

/** Queue with a client of ours that makes one attempt, with short deadlines. */
export const ownQueue: Run<Queue.Service> = (run) => ownQueueWith({})(run)

export const ownQueueWith = (config: SQSClientConfig): Run<Queue.Service> =>
  queueOn((server) =>
    Effect.orDie(OwnClient.make(
      "SQS",
      { prompt: 50, lasting: 200 },
      { connectTimeout: 300, readTimeout: 600 },
      (own) => new SQSClient({ ...own, ...oneAttempt(server), ...config })
    ))
  )

/** What goes wrong reaches both, by ways of their own. */
export const impatientQueues: ReadonlyArray<readonly [string, Run<Queue.Service>]> = [
  ["with an injected client", impatientQueue],
  ["with a client of ours", ownQueue]
]

const queueOnClient = (config: SQSClientConfig): Run<Queue.Service> =>
  queueOn((server) => closing(() => new SQSClient({ ...oneAttempt(server), ...config })))

const queueOn = (
  make: (server: FaultServer) => Effect.Effect<SQSClient, never, Scope.Scope>
): Run<Queue.Service> =>
(run) =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Faults
    const client = yield* make(server)
    return yield* Effect.orDie(Queue.make({ url: queueUrl })).pipe(
      Effect.flatMap((queue) => run(queue, server)),
      Effect.provide(Sqs.fromClient(client))
    )
  })).pipe(Effect.provide(Faults.layer))

const closing = <Client extends { readonly destroy: () => void }>(
  make: () => Client
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(make), (client) => Effect.sync(() => client.destroy()))

/** A reader that is interrupted after its first bytes. */
export const interruptedReader = (storage: Storage.Service): Effect.Effect<void> =>
  Effect.gen(function*() {
    const reading = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      Stream.runForEach(storage.read("k"), () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never))
    )
    yield* Deferred.await(reading)
    yield* Fiber.interrupt(fiber)
  })
