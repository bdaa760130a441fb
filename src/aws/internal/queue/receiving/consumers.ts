/** The consumers of one queue in this process. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend } from "../backend.ts"
import type { Codec } from "../codec.ts"
import type * as Model from "../model.ts"
import * as Consumer from "./consumer.ts"
import * as Handling from "./handling.ts"
import * as Options from "./options.ts"
import * as Source from "./stream.ts"

export interface Consumers {
  readonly status: Effect.Effect<ReadonlyArray<Model.ConsumerStatus>>
  readonly consume: <A, R, E, R2, R3>(
    codec: Codec<A, R>,
    handler: (message: Model.Received<A>) => Effect.Effect<unknown, E, R2>,
    options?: Model.ConsumeOptions<E, R3>
  ) => Effect.Effect<never, ServiceError, R | R2 | R3>
  readonly consumeBatch: <A, R, E, R2, R3>(
    codec: Codec<A, R>,
    handler: (messages: Model.Batch<A>) => Effect.Effect<Model.BatchResult, E, R2>,
    options?: Model.ConsumeBatchOptions<E, R3>
  ) => Effect.Effect<never, ServiceError, R | R2 | R3>
  readonly stream: <A, R>(
    codec: Codec<A, R>,
    options?: Model.ReceiveOptions
  ) => Stream.Stream<Model.Delivery<A>, ServiceError, R>
}

export const make = (backend: QueueBackend): Consumers => {
  const running = new Set<() => Model.ConsumerStatus>()
  return {
    status: Effect.sync(() => [...running].map((status) => status())),
    consume: (codec, handler, options = {}) =>
      Effect.flatMap(
        Options.one(backend, options),
        (settings) => Consumer.run(backend, settings, Handling.one(backend, codec, settings, handler, options), running)
      ),
    consumeBatch: (codec, handler, options = {}) =>
      Effect.flatMap(
        Options.batches(backend, options),
        (settings) =>
          Consumer.run(backend, settings, Handling.batch(backend, codec, settings, handler, options), running)
      ),
    stream: (codec, options) =>
      Stream.unwrap(
        Effect.map(Options.receiving("stream", options), (settings) => Source.make(backend, codec, settings))
      )
  }
}
