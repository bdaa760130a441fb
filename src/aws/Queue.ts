/** Messages to an SQS queue, standard or FIFO, as JSON. */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { ConfigurationError, ServiceError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { Sqs } from "./Clients.ts"
import { loadSqs } from "./internal/client/sdk.ts"
import { invalidInput } from "./internal/errors/invalidInput.ts"
import type { Enqueued, QueueBackend } from "./internal/queue/backend.ts"
import * as MemoryBackend from "./internal/queue/memoryBackend.ts"
import type { MemoryMessage } from "./internal/queue/memoryBackend.ts"
import * as Message from "./internal/queue/message.ts"
import type { EnqueueOptions, QueueKind } from "./internal/queue/message.ts"
import * as SqsBackend from "./internal/queue/sqsBackend.ts"
import * as AwsSettings from "./internal/settings/settings.ts"
import type { QueueConfig } from "./internal/settings/settings.ts"

export type { Enqueued } from "./internal/queue/backend.ts"
export type { MemoryMessage } from "./internal/queue/memoryBackend.ts"
export type { EnqueueOptions } from "./internal/queue/message.ts"
export type { AttributeValue, MessageAttribute } from "./internal/queue/messageAttributes.ts"
export type { QueueConfig } from "./internal/settings/settings.ts"

const messagesOf: unique symbol = Symbol.for("@betterai/infrastructure/Queue/messages")

export declare namespace Queue {
  /**
   * Arguments that break a rule of SQS are refused with the reason `InvalidInput` before anything is sent, and more
   * than 1 MiB, attributes included, as `PayloadTooLarge`. After a failure whose `outcome` is `unknown` the message may
   * have been delivered; repeat the call only if the consumer tolerates a duplicate, or a deduplication id prevents it.
   */
  interface Service extends Typed<unknown> {
    /** Succeeds if the queue exists and may be used. */
    readonly check: Effect.Effect<void, ServiceError>
    /** @internal */
    readonly [messagesOf]?: Effect.Effect<ReadonlyArray<MemoryMessage>>
  }

  interface Typed<A, R = never> {
    /** Sends a payload as JSON. */
    readonly enqueue: (payload: A, options?: EnqueueOptions) => Effect.Effect<Enqueued, ServiceError, R>
    /**
     * Sends an object with a `created_at`, the time by the Clock in ISO 8601, UTC. It replaces a `created_at` of the
     * payload. A payload that is not an object in JSON is refused.
     */
    readonly enqueueTimestamped: (
      payload: A,
      options?: EnqueueOptions
    ) => Effect.Effect<Enqueued, ServiceError, R>
  }

  interface Of {
    <A, I, R>(schema: Schema.Schema<A, I, R>): Effect.Effect<Typed<A, R>, never, Queue>
    /** Returns the service unchanged, as the `of` of any tag does. */
    (service: Service): Service
  }
}

/** The queue. */
export class Queue extends Context.Tag("@betterai/infrastructure/Queue")<Queue, Queue.Service>() {
  /** A queue with that URL, over the client in the context: for queues with a client of their own. */
  static readonly make = (config: QueueConfig): Effect.Effect<Queue.Service, ConfigurationError, Sqs> =>
    Effect.gen(function*() {
      const { url } = yield* Settings.load("Queue", Config.mapOrFail(Config.succeed(config), AwsSettings.checkedQueue))
      const client = yield* Sqs
      const sdk = yield* loadSqs("Queue")
      return service(SqsBackend.make(client, sdk, url))
    })

  /** From the environment: AWS_* (see {@link Sqs.layer}) and AWS_SQS_QUEUE_URL. */
  static readonly layer: Layer.Layer<Queue, ConfigurationError> = Layer.suspend(() =>
    withClient(AwsSettings.queue, AwsSettings.QUEUE_URL)
  )

  /** AWS_SQS_QUEUE_URL from the environment, over the client in the context. */
  static readonly layerNoDeps: Layer.Layer<Queue, ConfigurationError, Sqs> = Layer.effect(
    this,
    Effect.suspend(() => Effect.flatMap(Settings.load("Queue", AwsSettings.queue), Queue.make))
  )

  /** Another queue, over the client of {@link Sqs.layer}; see {@link make} for another client. */
  static readonly layerConfig = (
    config: Config.Config.Wrap<QueueConfig>
  ): Layer.Layer<Queue, ConfigurationError> =>
    withClient(Config.mapOrFail(Config.unwrap(config), AwsSettings.checkedQueue), "url")

  /**
   * In memory, for tests: the same refusals, and the order, delays and deduplication of SQS, by the Clock. It accepts
   * what a queue of either kind would accept; a message with a deduplication id counts as one for a FIFO queue.
   * {@link messages} shows what it holds.
   */
  static readonly layerMemory: Layer.Layer<Queue> = Layer.suspend(() => inMemory("either"))

  /** In memory, as strict as a standard queue. */
  static readonly layerMemoryStandard: Layer.Layer<Queue> = Layer.suspend(() => inMemory("standard"))

  /** In memory, as strict as a FIFO queue that deduplicates by content. */
  static readonly layerMemoryFifo: Layer.Layer<Queue> = Layer.suspend(() => inMemory("fifo"))

  /**
   * What a queue in memory would have delivered by now, in the order of delivery. A delayed message appears after its
   * delay. Dies (a defect) with any other queue.
   */
  static readonly messages: Effect.Effect<ReadonlyArray<MemoryMessage>, never, Queue> = Effect.flatMap(
    this,
    (queue) =>
      queue[messagesOf] ??
        Effect.dieMessage("Queue.messages shows what Queue.layerMemory holds, and this is another queue")
  )

  /** The queue in the context with payloads of that schema, sent as the schema encodes them. */
  static override readonly of: Queue.Of =
    ((schema: Schema.Schema.AnyNoContext | Queue.Service) =>
      Schema.isSchema(schema) ? Effect.map(Queue, typed(schema)) : schema) as Queue.Of
}

/** The client's settings are read along with the queue's own, so that the problems of both are reported at once. */
const withClient = (config: Config.Config<QueueConfig>, setting: string): Layer.Layer<Queue, ConfigurationError> =>
  Layer.unwrapEffect(
    Effect.map(
      Settings.load("Queue", AwsSettings.queueAndClient(config, setting)),
      (own) => Layer.provide(Layer.effect(Queue, Queue.make(own)), Sqs.layer)
    )
  )

const inMemory = (kind: QueueKind): Layer.Layer<Queue> =>
  Layer.sync(Queue, () => {
    const backend = MemoryBackend.make(kind)
    return { ...service(backend), [messagesOf]: backend.messages }
  })

const service = (backend: QueueBackend): Queue.Service => {
  const sending = (
    method: Method,
    encode: (operation: string, payload: unknown) => Effect.Effect<string, ServiceError>
  ): Queue.Service["enqueue"] =>
    Effect.fn(spanName(method))(function*(payload: unknown, options: EnqueueOptions = {}) {
      const body = yield* encode(method, payload)
      return yield* backend.send(yield* Message.check(method, backend.kind, body, options))
    })

  return {
    enqueue: sending("enqueue", Message.encode),
    enqueueTimestamped: sending(
      "enqueueTimestamped",
      (operation, payload) =>
        Effect.flatMap(
          DateTime.now,
          (now) => Message.encodeWith(operation, payload, { created_at: DateTime.formatIso(now) })
        )
    ),
    check: Effect.withSpan(backend.check, spanName("check"))
  }
}

type Method = Extract<keyof Queue.Service, string>

const spanName = (method: Method): string => `Queue.${method}`

const typed = <A, I, R>(schema: Schema.Schema<A, I, R>) => (queue: Queue.Service): Queue.Typed<A, R> => {
  const encode = Schema.encode(schema)
  const through = (method: keyof Queue.Typed<A, R>): Queue.Typed<A, R>["enqueue"] => (payload, options) =>
    encode(payload).pipe(
      Effect.mapError((error) => invalidInput("SQS", method, { field: "payload", detail: places(error) })),
      Effect.flatMap((json) => queue[method](json, options))
    )
  return { enqueue: through("enqueue"), enqueueTimestamped: through("enqueueTimestamped") }
}

/** Where a payload does not fit its schema. The schema's own message would quote the payload. */
const places = (error: ParseResult.ParseError): string => {
  const paths = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) =>
    path.length === 0 ? "the top" : path.map(String).join(".")
  )
  return `does not fit its schema at ${Array.from(new Set(paths)).join(", ")}`
}
