/** The methods of Queue over a backend. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import * as Admin from "./admin.ts"
import type { Enqueued, QueueBackend } from "./backend.ts"
import { anything, type Codec } from "./codec.ts"
import * as Message from "./message.ts"
import type { EnqueueOptions } from "./message.ts"
import type * as Model from "./model.ts"
import * as Consumers from "./receiving/consumers.ts"
import * as Deduplication from "./sending/deduplication.ts"
import type { Sender } from "./sending/deduplication.ts"
import * as Enqueue from "./sending/enqueue.ts"
import * as EnqueueAll from "./sending/enqueueAll.ts"
import * as Tracing from "./sending/tracing.ts"

/** What the rest of this package needs of a queue beyond its methods. */
export const internals: unique symbol = Symbol.for("@betterai/infrastructure/Queue/internals")

export interface Internals {
  readonly backend: QueueBackend
  /** The message that `enqueue` would send, checked. */
  readonly prepare: (
    operation: string,
    payload: unknown,
    options: EnqueueOptions
  ) => Effect.Effect<Message.Message, ServiceError>
  readonly sender: Sender
  readonly consumers: Consumers.Consumers
}

/** Sends and receives payloads of one type. */
export interface TypedQueue<A, R = never> {
  /**
   * Sends a payload as JSON. On a FIFO queue the effect keeps its message, and the deduplication id that is made for it
   * where one is needed, until its success was seen, for five minutes: `Effect.retry` and `Effect.timeout` around it
   * deliver one message.
   */
  readonly enqueue: (payload: A, options?: EnqueueOptions) => Effect.Effect<Enqueued, ServiceError, R>
  /**
   * Sends an object with a `created_at`, the time by the Clock in ISO 8601, UTC. It replaces a `created_at` of the
   * payload. A payload that is not an object in JSON is refused. A message that is kept (see `enqueue`) keeps its time.
   */
  readonly enqueueTimestamped: (payload: A, options?: EnqueueOptions) => Effect.Effect<Enqueued, ServiceError, R>
  /**
   * Sends any number of messages in batches, and gives a result for each, in the order given. The source is read as the
   * results are; if it fails, what was read before is sent and reported first. What fails without being the sender's
   * fault is tried again, up to five times; what may have been delivered only on a FIFO queue, with the same
   * deduplication id. On a FIFO queue the messages of a group keep their order: after one that failed, the rest of its
   * group is not sent (`Conflict`).
   */
  readonly enqueueAll: <E = never, R2 = never>(
    messages: Iterable<Model.Outgoing<A>> | Stream.Stream<Model.Outgoing<A>, E, R2>,
    options?: Model.EnqueueAllOptions
  ) => Stream.Stream<Either.Either<Enqueued, ServiceError>, E, R | R2>
  /**
   * Receives messages and runs the handler for each, until it is interrupted; then it drains. Success deletes the message;
   * failure, defect and the deadline let it come again. At least once: a message can come twice, so handlers are
   * idempotent, or `dedupe` is given.
   *
   * It fails if the queue cannot be polled at all: a setting is wrong, the queue is missing, the client is closed. Once a
   * poll has ended well it backs off instead, and goes on.
   */
  readonly consume: <E, R2, R3 = never>(
    handler: (message: Model.Received<A>) => Effect.Effect<unknown, E, R2>,
    options?: Model.ConsumeOptions<E, R3>
  ) => Effect.Effect<never, ServiceError, R | R2 | R3>
  /** The same in batches, of which some messages may fail. */
  readonly consumeBatch: <E, R2, R3 = never>(
    handler: (messages: Model.Batch<A>) => Effect.Effect<Model.BatchResult, E, R2>,
    options?: Model.ConsumeBatchOptions<E, R3>
  ) => Effect.Effect<never, ServiceError, R | R2 | R3>
  /**
   * Messages as they are asked for, to be settled by hand; nothing extends their visibility. Those that do not decode are
   * logged and left to the redrive policy. When the stream ends, messages that it has received and not given become
   * visible again.
   */
  readonly stream: (options?: Model.ReceiveOptions) => Stream.Stream<Model.Delivery<A>, ServiceError, R>
}

export interface QueueService extends TypedQueue<unknown> {
  /** Succeeds if the queue exists and may be used. */
  readonly check: Effect.Effect<void, ServiceError>
  /** The queue as SQS describes it. */
  readonly attributes: Effect.Effect<Model.QueueAttributes, ServiceError>
  /**
   * Deletes every message of the queue, those in flight included; they cannot be recovered. `name` is the name of the
   * queue once more, as in `attributes` (`jobs.fifo`; `memory` in memory): with any other it is refused. SQS takes up to
   * 60 seconds, and allows it once in 60 seconds.
   */
  readonly purge: (name: string) => Effect.Effect<void, ServiceError>
  /**
   * Moves the messages of this queue's dead-letter queue back into it, and tells how far it is. An interruption cancels
   * the move; what was moved stays.
   */
  readonly redrive: (options?: Model.RedriveOptions) => Stream.Stream<Model.RedriveProgress, ServiceError>
  /** The consumers of this queue in this process. */
  readonly consumers: Effect.Effect<ReadonlyArray<Model.ConsumerStatus>>
  /** @internal */
  readonly [internals]: Internals
}

export const make = (backend: QueueBackend): QueueService => {
  const sender = Deduplication.make(backend)
  const own: Internals = {
    backend,
    sender,
    prepare: (operation, payload, options) =>
      Effect.flatMap(
        Message.encode(operation, payload),
        (body) => Message.check(operation, backend, body, options)
      ),
    consumers: Consumers.make(backend)
  }
  return {
    ...methods(own, anything),
    check: Effect.withSpan(backend.check, spanName("check")),
    attributes: Effect.withSpan(backend.attributes, spanName("attributes")),
    purge: (name) => Effect.withSpan(Admin.purge(backend, name), spanName("purge")),
    redrive: (options) => Stream.withSpan(Admin.redrive(backend, options), spanName("redrive")),
    consumers: own.consumers.status,
    [internals]: own
  }
}

/** The methods of that queue with payloads of another type. */
export const typed = <A, R>(queue: QueueService, codec: Codec<A, R>): TypedQueue<A, R> =>
  methods(queue[internals], codec)

type Method = Extract<keyof QueueService, string>

const spanName = (method: Method): string => `Queue.${method}`

const methods = <A, R>({ backend, consumers, sender }: Internals, codec: Codec<A, R>): TypedQueue<A, R> => {
  const sending = (
    method: Method,
    encode: (payload: unknown) => Effect.Effect<string, ServiceError>
  ): TypedQueue<A, R>["enqueue"] =>
  (payload, options = {}) => {
    const prepare = Effect.flatMap(
      Effect.suspend(() => codec.encode(method, payload)),
      (json) =>
        Effect.flatMap(encode(json), (body) => {
          const message = Message.check(method, backend, body, options)
          return Either.isLeft(message) ? message : Effect.map(Tracing.carry(backend), (carry) => carry(message.right))
        })
    )
    return Tracing.single(spanName(method), backend.name, Enqueue.make(backend.kind, sender, prepare))
  }

  return {
    enqueue: sending("enqueue", (payload) => Message.encode("enqueue", payload)),
    enqueueTimestamped: sending("enqueueTimestamped", (payload) =>
      Effect.flatMap(
        DateTime.now,
        (now) => Message.encodeWith("enqueueTimestamped", payload, { created_at: DateTime.formatIso(now) })
      )),
    enqueueAll: EnqueueAll.make({ backend, sender }, codec),
    consume: (handler, options) => consumers.consume(codec, handler, options),
    consumeBatch: (handler, options) => consumers.consumeBatch(codec, handler, options),
    stream: (options) => consumers.stream(codec, options)
  }
}
