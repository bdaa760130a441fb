/**
 * Messages to and from an SQS queue, standard or FIFO, as JSON.
 *
 * What does the work is loaded when a layer is built, as the SDK is, so that importing this module costs little.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { ConfigurationError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { Sqs } from "./Clients.ts"
import { loadSqs } from "./internal/client/sdk.ts"
import type { MemoryBackend, MemoryMessage } from "./internal/queue/memoryBackend.ts"
import type { QueueKind } from "./internal/queue/message.ts"
import type { LargePayloadOptions } from "./internal/queue/model.ts"
import type { QueueService, TypedQueue } from "./internal/queue/service.ts"
import * as AwsSettings from "./internal/settings/settings.ts"
import type { QueueConfig } from "./internal/settings/settings.ts"
import { Storage } from "./Storage.ts"

export type { Enqueued } from "./internal/queue/backend.ts"
export type { MemoryMessage } from "./internal/queue/memoryBackend.ts"
export type { EnqueueOptions, QueueKind } from "./internal/queue/message.ts"
export type { AttributeValue, MessageAttribute } from "./internal/queue/messageAttributes.ts"
export type {
  Batch,
  BatchResult,
  ConsumeBatchOptions,
  ConsumeOptions,
  ConsumerOptions,
  ConsumerStatus,
  Dedupe,
  Delivery,
  EnqueueAllOptions,
  LargePayloadOptions,
  Outgoing,
  Poison,
  PoisonVerdict,
  QueueAttributes,
  Received,
  ReceiveOptions,
  RedriveOptions,
  RedrivePolicy,
  RedriveProgress
} from "./internal/queue/model.ts"
export type { QueueService, TypedQueue } from "./internal/queue/service.ts"
export type { QueueConfig } from "./internal/settings/settings.ts"

const memoryOf: unique symbol = Symbol.for("@betterai/infrastructure/Queue/memory")

/** How a queue in memory is set up. */
export interface MemoryQueueOptions {
  /** What it accepts: what queues of that kind accept. Default `"either"`; see {@link QueueTag.layerMemory}. */
  readonly kind?: QueueKind | undefined
  /**
   * How often a message is received before it is a dead letter, 1 - 1,000: one that is then not deleted in time goes to
   * {@link QueueTag.deadLetters}. Default: it comes again for ever.
   */
  readonly maxReceiveCount?: number | undefined
}

export declare namespace Queue {
  /**
   * Arguments that break a rule of SQS are refused with the reason `InvalidInput` before anything is sent, and more
   * than 1 MiB, attributes included, as `PayloadTooLarge`. After a failure whose `outcome` is `unknown` the message may
   * have been delivered; repeat the call only if the consumer tolerates a duplicate, or a deduplication id prevents it.
   */
  interface Service extends QueueService {
    /** @internal */
    readonly [memoryOf]?: Pick<MemoryBackend, "messages" | "deadLetters">
  }

  interface Typed<A, R = never> extends TypedQueue<A, R> {}

  interface Of<Self> {
    <A, I, R>(schema: Schema.Schema<A, I, R>): Effect.Effect<Typed<A, R>, never, Self>
    /** Returns the service unchanged, as the `of` of any tag does. */
    (service: Service): Service
  }
}

/** The tag of one queue, and everything that can be done with that queue without naming it again. */
export interface QueueTag<Self, Id extends string> extends Context.TagClass<Self, Id, Queue.Service> {
  /** What the names of its settings begin with: `AWS_SQS` for `AWS_SQS_QUEUE_URL`. */
  readonly prefix: string

  /** A queue with that URL, over the client in the context: for queues with a client of their own. */
  readonly make: (config: QueueConfig) => Effect.Effect<Queue.Service, ConfigurationError, Sqs>

  /** From the environment: AWS_* (see {@link Sqs.layer}) and `{PREFIX}_QUEUE_URL`. */
  readonly layer: Layer.Layer<Self, ConfigurationError>

  /** `{PREFIX}_QUEUE_URL` from the environment, over the client in the context. */
  readonly layerNoDeps: Layer.Layer<Self, ConfigurationError, Sqs>

  /** Another queue, over the client of {@link Sqs.layer}; see {@link make} for another client. */
  readonly layerConfig: (config: Config.Config.Wrap<QueueConfig>) => Layer.Layer<Self, ConfigurationError>

  /**
   * In memory, for tests: the same refusals, and the order, delays, visibility, groups and deduplication of SQS, by the
   * Clock; nothing expires. It accepts what a queue of either kind would accept; a message with a deduplication id counts
   * as one for a FIFO queue. {@link messages} shows what it holds.
   */
  readonly layerMemory: Layer.Layer<Self>

  /** In memory, of one kind or with dead letters. */
  readonly layerMemoryWith: (options: MemoryQueueOptions) => Layer.Layer<Self>

  /** In memory, as strict as a standard queue. */
  readonly layerMemoryStandard: Layer.Layer<Self>

  /** In memory, as strict as a FIFO queue that deduplicates by content. */
  readonly layerMemoryFifo: Layer.Layer<Self>

  /**
   * What a consumer of a queue in memory would receive now, in the order of delivery: a delayed message appears after its
   * delay, and one that was received when its visibility has ended. Dies (a defect) with any other queue.
   */
  readonly messages: Effect.Effect<ReadonlyArray<MemoryMessage>, never, Self>

  /**
   * The dead letters of a queue in memory, the oldest first. `redrive` moves them back. Dies (a defect) with any other
   * queue.
   */
  readonly deadLetters: Effect.Effect<ReadonlyArray<MemoryMessage>, never, Self>

  /**
   * The queue in the context with payloads beyond the 1 MiB of SQS: they are stored in Storage, and messages point to
   * them. Senders and receivers both need it.
   *
   * ```ts
   * const layer = Queue.layerLargePayloads().pipe(Layer.provide(Queue.layer), Layer.provide(Storage.layer))
   * ```
   *
   * What was stored for a message that was certainly not sent is deleted; of one that may have been, and of a process
   * that ends in between, it stays: a lifecycle rule for the prefix, longer than the retention of the queue, removes it.
   */
  readonly layerLargePayloads: (
    options?: LargePayloadOptions
  ) => Layer.Layer<Self, ConfigurationError, Self | Storage>

  /** The queue in the context with payloads of that schema, sent as the schema encodes them. */
  readonly of: Queue.Of<Self>
}

/**
 * Makes the tag of a queue; `prefix` begins the names of its settings. All queues from the environment share one client.
 *
 * ```ts
 * class EmailQueue extends Queue.Tag("EmailQueue", { prefix: "EMAIL_SQS" })<EmailQueue>() {}
 * ```
 */
const Tag = <const Name extends string>(
  name: Name,
  { prefix }: { readonly prefix: string }
) =>
<Self>(): QueueTag<Self, `@betterai/infrastructure/${Name}`> => {
  const tag = Context.Tag(`@betterai/infrastructure/${name}`)<Self, Queue.Service>()
  const setting = `${prefix}_QUEUE_URL`
  const settings = AwsSettings.queue(setting)

  const make = (config: QueueConfig): Effect.Effect<Queue.Service, ConfigurationError, Sqs> =>
    Effect.gen(function*() {
      const { url } = yield* Settings.load(name, Config.mapOrFail(Config.succeed(config), AwsSettings.checkedQueue))
      const client = yield* Sqs
      const sdk = yield* loadSqs(name)
      const { service, sqsBackend } = yield* loadQueue
      return service.make(sqsBackend.make(client, sdk, url))
    })

  /** The client's settings are read along with the queue's own, so that the problems of both are reported at once. */
  const withClient = (config: Config.Config<QueueConfig>, setting: string): Layer.Layer<Self, ConfigurationError> =>
    Layer.unwrapEffect(
      Effect.map(
        Settings.load(name, AwsSettings.queueAndClient(config, setting)),
        (own) => Layer.provide(Layer.effect(tag, make(own)), Sqs.layer)
      )
    )

  const inMemory = ({ kind = "either", maxReceiveCount }: MemoryQueueOptions): Layer.Layer<Self> =>
    Layer.effect(
      tag,
      Effect.gen(function*() {
        if (
          maxReceiveCount !== undefined &&
          !(Number.isInteger(maxReceiveCount) && maxReceiveCount >= 1 && maxReceiveCount <= 1000)
        ) {
          return yield* Effect.dieMessage("maxReceiveCount must be a whole number, 1 - 1,000")
        }
        const { service } = yield* loadQueue
        const MemoryBackend = yield* Effect.promise(() => import("./internal/queue/memoryBackend.ts"))
        const backend = MemoryBackend.make(kind, maxReceiveCount)
        return { ...service.make(backend), [memoryOf]: backend }
      })
    )

  const ofMemory = (what: "messages" | "deadLetters"): Effect.Effect<ReadonlyArray<MemoryMessage>, never, Self> =>
    Effect.flatMap(
      tag,
      (queue) =>
        queue[memoryOf]?.[what]
          ?? Effect.dieMessage(`Queue.${what} shows what Queue.layerMemory holds, and this is another queue`)
    )

  const largePayloads = (
    options?: LargePayloadOptions
  ): Effect.Effect<Queue.Service, ConfigurationError, Self | Storage> =>
    Effect.gen(function*() {
      const checked = yield* Settings.load(
        name,
        Config.mapOrFail(Config.succeed(options ?? {}), AwsSettings.checkedLargePayloads)
      )
      const queue = yield* tag
      const storage = yield* Storage
      const { service } = yield* loadQueue
      const LargePayloads = yield* Effect.promise(() => import("./internal/queue/sending/largePayloads.ts"))
      const memory = queue[memoryOf]
      return {
        ...service.make(LargePayloads.wrap(queue[service.internals].backend, storage, checked)),
        ...(memory === undefined ? {} : { [memoryOf]: memory })
      }
    })

  const ofSchema = <A, I, R>(schema: Schema.Schema<A, I, R>): Effect.Effect<Queue.Typed<A, R>, never, Self> =>
    Effect.gen(function*() {
      const queue = yield* tag
      const { codec, service } = yield* loadQueue
      return service.typed(queue, codec.ofSchema(schema))
    })

  const statics:
    & Omit<
      QueueTag<Self, `@betterai/infrastructure/${Name}`>,
      keyof Context.TagClass<Self, string, Queue.Service>
    >
    & { readonly of: Queue.Of<Self> } = {
      prefix,
      make,
      layer: Layer.suspend(() => withClient(settings, setting)),
      layerNoDeps: Layer.effect(tag, Effect.suspend(() => Effect.flatMap(Settings.load(name, settings), make))),
      layerConfig: (config) => withClient(Config.mapOrFail(Config.unwrap(config), AwsSettings.checkedQueue), "url"),
      layerMemory: Layer.suspend(() => inMemory({})),
      layerMemoryWith: inMemory,
      layerMemoryStandard: Layer.suspend(() => inMemory({ kind: "standard" })),
      layerMemoryFifo: Layer.suspend(() => inMemory({ kind: "fifo" })),
      layerLargePayloads: (options) => Layer.effect(tag, largePayloads(options)),
      messages: ofMemory("messages"),
      deadLetters: ofMemory("deadLetters"),
      of:
        ((schema: Schema.Schema.AnyNoContext | Queue.Service) =>
          Schema.isSchema(schema) ? ofSchema(schema) : schema) as Queue.Of<Self>
    }
  return Object.assign(tag, statics) as unknown as QueueTag<Self, `@betterai/infrastructure/${Name}`>
}

const loadQueue = Effect.promise(async () => {
  const [service, sqsBackend, codec] = await Promise.all([
    import("./internal/queue/service.ts"),
    import("./internal/queue/sqsBackend.ts"),
    import("./internal/queue/codec.ts")
  ])
  return { service, sqsBackend, codec }
})

/** The queue. Settings: `AWS_SQS_QUEUE_URL`. */
export class Queue extends Tag("Queue", { prefix: "AWS_SQS" })<Queue>() {
  static readonly Tag: typeof Tag = Tag
}
