/** The consumers of one queue in this process. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend } from "../backend.ts"
import type { Codec } from "../codec.ts"
import type * as Model from "../model.ts"

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

export const make = (_backend: QueueBackend): Consumers => ({
  status: Effect.succeed([]),
  consume: () => Effect.dieMessage("later"),
  consumeBatch: () => Effect.dieMessage("later"),
  stream: () => Stream.dieMessage("later")
})
