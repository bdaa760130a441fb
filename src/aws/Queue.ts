/** Messages to an SQS queue, standard or FIFO, as JSON. */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { ConfigurationError, ServiceError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { Sqs } from "./Clients.ts"
import { invalidInput } from "./internal/errors/classify.ts"
import * as Memory from "./internal/queue/memoryBackend.ts"
import * as Driver from "./internal/queue/sqsBackend.ts"
import * as Message from "./internal/queue/message.ts"
import { loadSqs } from "./internal/client/sdk.ts"
import * as AwsSettings from "./internal/settings/settings.ts"

/** Which queue. A URL that ends in `.fifo` is that of a FIFO queue. */
export interface QueueConfig {
  readonly url: string
}

export interface EnqueueOptions {
  /**
   * Messages of one group stay in order on a FIFO queue, which requires it; on a standard queue it makes for fair
   * shares. 1-128 ASCII letters, digits and punctuation marks, as is the next.
   */
  readonly messageGroupId?: string | undefined
  /**
   * FIFO queues only, which take a message with the same id once in 5 minutes. It may be left out if the queue
   * deduplicates by content.
   */
  readonly messageDeduplicationId?: string | undefined
  /** 0-900 s, rounded up to a whole second. Standard queues only. */
  readonly delay?: Duration.DurationInput | undefined
  /** At most 10, sent as the types String, Number and Binary. */
  readonly attributes?: Readonly<Record<string, string | number | Uint8Array>> | undefined
}

/** A message that SQS has accepted, or that it knew already by its deduplication id. */
export interface Enqueued {
  readonly messageId: string
  /** FIFO queues only. */
  readonly sequenceNumber?: string | undefined
}

/** The queue. */
export class Queue extends Context.Tag("@betterai/infrastructure/Queue")<Queue, Queue.Service>() {
  /** A queue with that URL, over the client in the context: for queues with a client of their own. */
  static readonly make = (config: QueueConfig): Effect.Effect<Queue.Service, ConfigurationError, Sqs> =>
    Effect.gen(function*() {
      const { url } = yield* Settings.load("Queue", Config.mapOrFail(Config.succeed(config), checkedConfig))
      const client = yield* Sqs
      const sdk = yield* loadSqs("Queue")
      return service(Driver.make(client, sdk, url))
    })

  /** From the environment: AWS_* (see {@link Sqs.layer}) and AWS_SQS_QUEUE_URL. */
  static readonly layer: Layer.Layer<Queue, ConfigurationError> = Layer.suspend(() => withClient(fromEnvironment))

  /** AWS_SQS_QUEUE_URL from the environment, over a client that is there already. */
  static readonly layerNoDeps: Layer.Layer<Queue, ConfigurationError, Sqs> = Layer.effect(
    this,
    Effect.suspend(() => Effect.flatMap(Settings.load("Queue", fromEnvironment), Queue.make))
  )

  /** Another queue, over the client of {@link Sqs.layer}; see {@link make} for another client. */
  static readonly layerConfig = (config: Config.Config.Wrap<QueueConfig>): Layer.Layer<Queue, ConfigurationError> =>
    withClient(Config.mapOrFail(Config.unwrap(config), checkedConfig))

  /**
   * In memory, for tests: the same refusals, the order, the delays and the deduplication of SQS by the Clock. It takes
   * what a queue of either kind would take; a message with a deduplication id is one for a FIFO queue.
   * {@link messages} shows what is in it.
   */
  static readonly layerMemory: Layer.Layer<Queue> = Layer.suspend(() => inMemory("either"))

  /** In memory, as strict as a standard queue. */
  static readonly layerMemoryStandard: Layer.Layer<Queue> = Layer.suspend(() => inMemory("standard"))

  /** In memory, as strict as a FIFO queue that deduplicates by content. */
  static readonly layerMemoryFifo: Layer.Layer<Queue> = Layer.suspend(() => inMemory("fifo"))

  /**
   * What a queue in memory would have handed out by now, in that order: delayed messages appear when their time has
   * come. A defect with any other queue.
   */
  static readonly messages: Effect.Effect<ReadonlyArray<Memory.MemoryMessage>, never, Queue> = Effect.flatMap(
    this,
    (queue) =>
      queue[messagesOf] ?? Effect.dieMessage("Queue.messages shows what Queue.layerMemory holds, and this is another")
  )

  /** The queue in the context with payloads of that schema, sent as it encodes them. */
  static override readonly of: Queue.Of =
    ((schema: Schema.Schema.AnyNoContext | Queue.Service) =>
      Schema.isSchema(schema) ? Effect.map(Queue, typed(schema)) : schema) as Queue.Of
}

const messagesOf: unique symbol = Symbol.for("@betterai/infrastructure/Queue/messages")

export declare namespace Queue {
  /**
   * Arguments that break a rule of SQS are refused with the reason `InvalidInput` before anything is sent, and more
   * than 1 MiB with attributes as `PayloadTooLarge`. A failure whose `outcome` is `unknown` may have been delivered;
   * repeat it only if the consumer, or a deduplication id, can bear it.
   */
  interface Service extends Typed<unknown> {
    /** Whether the queue is there and may be used. */
    readonly check: Effect.Effect<void, ServiceError>
    /** @internal */
    readonly [messagesOf]?: Effect.Effect<ReadonlyArray<Memory.MemoryMessage>>
  }

  interface Typed<A, R = never> {
    /** Sends a payload as JSON. */
    readonly enqueue: (payload: A, options?: EnqueueOptions) => Effect.Effect<Enqueued, ServiceError, R>
    /**
     * Sends an object with a `created_at`, the time by the Clock in ISO 8601, UTC. A `created_at` that is there already
     * is replaced. What is not an object in JSON is refused.
     */
    readonly enqueueTimestamped: (payload: A, options?: EnqueueOptions) => Effect.Effect<Enqueued, ServiceError, R>
  }

  interface Of {
    <A, I, R>(schema: Schema.Schema<A, I, R>): Effect.Effect<Typed<A, R>, never, Queue>
    /** As with any tag: the service, typed. */
    (service: Service): Service
  }
}

const fromEnvironment: Config.Config<QueueConfig> = Config.all({
  url: Settings.checked("AWS_SQS_QUEUE_URL", Settings.text("AWS_SQS_QUEUE_URL"), AwsSettings.queueUrl)
})

const checkedConfig = (config: QueueConfig): Either.Either<QueueConfig, ConfigError.ConfigError> =>
  AwsSettings.together({ url: AwsSettings.queueUrl(config.url) })

/** The client's settings are read along with the queue's own, so that the problems of both are reported at once. */
const withClient = (config: Config.Config<QueueConfig>): Layer.Layer<Queue, ConfigurationError> =>
  Layer.unwrapEffect(
    Effect.map(
      Settings.load("Queue", Config.all({ own: config, client: AwsSettings.client("SQS") })),
      ({ own }) => Layer.provide(Layer.effect(Queue, Queue.make(own)), Sqs.layer)
    )
  )

const inMemory = (kind: Message.QueueKind): Layer.Layer<Queue> =>
  Layer.sync(Queue, () => {
    const queue = Memory.make(kind)
    return { ...service(queue), [messagesOf]: queue.messages }
  })

const service = (driver: Driver.QueueDriver): Queue.Service => ({
  enqueue: Effect.fn("Queue.enqueue")(function*(payload: unknown, options: EnqueueOptions = {}) {
    const body = yield* Message.encode("enqueue", payload)
    return yield* driver.send(yield* Message.check("enqueue", driver.kind, body, options))
  }),
  enqueueTimestamped: Effect.fn("Queue.enqueueTimestamped")(function*(payload: unknown, options: EnqueueOptions = {}) {
    const created_at = DateTime.formatIso(yield* DateTime.now)
    const body = yield* Message.encodeWith("enqueueTimestamped", payload, { created_at })
    return yield* driver.send(yield* Message.check("enqueueTimestamped", driver.kind, body, options))
  }),
  check: Effect.withSpan(driver.check, "Queue.check")
})

const typed = <A, I, R>(schema: Schema.Schema<A, I, R>) => (queue: Queue.Service): Queue.Typed<A, R> => {
  const encode = Schema.encode(schema)
  const encoded = (operation: string, payload: A): Effect.Effect<I, ServiceError, R> =>
    Effect.mapError(encode(payload), (error) => invalidInput("SQS", operation, "payload", places(error)))
  return {
    enqueue: (payload, options) => Effect.flatMap(encoded("enqueue", payload), (json) => queue.enqueue(json, options)),
    enqueueTimestamped: (payload, options) =>
      Effect.flatMap(encoded("enqueueTimestamped", payload), (json) => queue.enqueueTimestamped(json, options))
  }
}

/** Where a payload does not fit its schema. The schema's own words would quote the payload. */
const places = (error: ParseResult.ParseError): string => {
  const paths = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) =>
    path.length === 0 ? "the top" : path.map(String).join(".")
  )
  return `does not fit its schema at ${Array.from(new Set(paths)).join(", ")}`
}
