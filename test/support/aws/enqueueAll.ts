/** Running `enqueueAll` in a test. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Enqueued } from "../../../src/aws/internal/queue/backend.ts"
import type { ServiceError } from "../../../src/Errors.ts"

export type Result = Either.Either<Enqueued, ServiceError>

/** All results, as time passes. */
export const results = <E>(stream: Stream.Stream<Result, E>): Effect.Effect<ReadonlyArray<Result>, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Stream.runCollect(stream))
    while ((yield* Fiber.poll(fiber))._tag === "None") yield* TestClock.adjust("1 minute")
    return Chunk.toReadonlyArray(yield* Fiber.join(fiber))
  })

/** The id of each message, or why it was not sent. */
export const told = (results: ReadonlyArray<Result>): ReadonlyArray<string> =>
  results.map(Either.match({ onLeft: ({ reason }) => reason, onRight: ({ messageId }) => messageId }))
