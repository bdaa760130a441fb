/** What callers give to `enqueueAll`, checked one by one. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import { invalidInput } from "../../errors/invalidInput.ts"
import type { Codec } from "../codec.ts"
import * as Message from "../message.ts"
import type { EnqueueAllOptions, Outgoing } from "../model.ts"
import * as SendAll from "./sendAll.ts"
import * as Tracing from "./tracing.ts"
import type { Result } from "./window.ts"

const METHOD = "enqueueAll"

export const make = <A, R>(queue: SendAll.Queue, codec: Codec<A, R>) =>
<E = never, R2 = never>(
  messages: Iterable<Outgoing<A>> | Stream.Stream<Outgoing<A>, E, R2>,
  options?: EnqueueAllOptions
): Stream.Stream<Result, E, R | R2> =>
  Tracing.stream(
    `Queue.${METHOD}`,
    queue.backend.name,
    Stream.unwrap(Effect.map(Tracing.carry(queue.backend), (carry) => {
      const accept = accepting(queue, codec, carry)
      return SendAll.make<E, R | R2>(
        queue,
        isStream(messages) ? SendAll.fromStream(messages, accept) : SendAll.fromIterable(messages, accept),
        SendAll.concurrencyOf(options)
      )
    }))
  )

const isStream = <A, E, R>(messages: Iterable<A> | Stream.Stream<A, E, R>): messages is Stream.Stream<A, E, R> =>
  Predicate.hasProperty(messages, Stream.StreamTypeId)

/** What is wrong with a message becomes its result. */
const accepting = <A, R>(
  { backend }: SendAll.Queue,
  codec: Codec<A, R>,
  carry: Tracing.Carry
): SendAll.Accept<Outgoing<A>, R> =>
(outgoing, window) => {
  if (!Predicate.isRecord(outgoing)) {
    window.pushFailed(invalidInput("SQS", METHOD, { field: "message", detail: "must be an object with a payload" }))
    return undefined
  }
  const take = (encoded: Either.Either<unknown, ServiceError>): void => {
    const message = Either.flatMap(
      encoded,
      (json) => Either.flatMap(Message.encode(METHOD, json), (body) => Message.check(METHOD, backend, body, outgoing))
    )
    if (Either.isRight(message)) window.push(carry(message.right))
    else window.pushFailed(message.left, outgoing.messageGroupId)
  }
  const encoded = codec.encode(METHOD, outgoing.payload)
  if (!Either.isEither(encoded)) return Effect.map(Effect.either(encoded), take)
  take(encoded as Either.Either<unknown, ServiceError>)
  return undefined
}
