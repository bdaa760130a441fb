import { expect, it } from "@effect/vitest"
import { Chunk, Effect, Either, Layer, Ref, Stream, TestClock } from "effect"
import { Queue } from "../../src/aws/Queue.ts"
import { Testing } from "../../src/testing/index.ts"

const { QueueFault } = Testing

const withFaults =
  (...plan: ReadonlyArray<Testing.QueueFault.QueueFault>) => <A, E>(test: Effect.Effect<A, E, Queue>) =>
    Effect.provide(test, Layer.provideMerge(Testing.faults(Queue, plan), Queue.layerMemory))

const enqueue = (job: number) => Effect.flatMap(Queue, (queue) => queue.enqueue({ job }))

it.effect("after a lost connection the message may be in the queue", () =>
  Effect.gen(function*() {
    const sent = yield* Effect.flip(enqueue(1))
    expect(sent).toMatchObject({
      service: "SQS",
      operation: "SendMessage",
      reason: "ConnectionLost",
      outcome: "unknown",
      attempts: 3
    })
    const lost = yield* Effect.flip(enqueue(2))
    expect({ ...lost, cause: undefined }).toEqual({ ...sent, cause: undefined })
    expect(yield* Queue.messages).toMatchObject([{ payload: { job: 1 } }])
  }).pipe(withFaults(QueueFault.connectionLost(), QueueFault.connectionLost({ carriedOut: false }))))

it.effect("throttling and missing rights are told as in production", () =>
  Effect.gen(function*() {
    expect(yield* Effect.flip(enqueue(1))).toMatchObject({ reason: "Throttled", retryable: true })
    expect(yield* Effect.flip(enqueue(1))).toMatchObject({ reason: "AccessDenied", retryable: false })
    expect(yield* Queue.messages).toEqual([])
  }).pipe(withFaults(QueueFault.throttled({ method: "enqueue" }), QueueFault.accessDenied())))

it.effect("a part of a batch is refused", () =>
  Effect.gen(function*() {
    const queue = yield* Queue
    const results = yield* Stream.runCollect(queue.enqueueAll([1, 2, 3].map((job) => ({ payload: { job } }))))
    expect(Chunk.toReadonlyArray(results).map(Either.isRight)).toEqual([true, false, true])
    expect(Chunk.toReadonlyArray(results)[1]).toMatchObject({ left: { reason: "InvalidRequest", retryable: false } })
    expect(yield* Queue.messages).toMatchObject([{ payload: { job: 1 } }, { payload: { job: 3 } }])
  }).pipe(withFaults(QueueFault.partOfBatch({ entries: [1] }))))

/** Which jobs a consumer has handled. */
const consumed = (seconds: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const queue = yield* Queue
    const handled = yield* Ref.make<ReadonlyArray<unknown>>([])
    yield* Effect.forkScoped(
      queue.consume(({ payload }) => Ref.update(handled, (all) => [...all, payload]), { concurrency: 1 })
    )
    return yield* Effect.forEach(seconds, (count) => Effect.zipRight(TestClock.adjust(`${count} seconds`), handled))
  })

it.scoped("a message is received twice", () =>
  Effect.gen(function*() {
    yield* enqueue(1)
    expect(yield* consumed([1])).toEqual([[{ job: 1 }, { job: 1 }]])
  }).pipe(Effect.scoped, withFaults(QueueFault.receivedTwice())))

it.scoped("a message is received late, the others are not", () =>
  Effect.gen(function*() {
    yield* enqueue(1)
    yield* enqueue(2)
    expect(yield* consumed([59, 2])).toEqual([[{ job: 2 }], [{ job: 2 }, { job: 1 }]])
  }).pipe(Effect.scoped, withFaults(QueueFault.receivedLate("1 minute"))))

it.scoped("a message whose delivery was lost comes again when its visibility has ended", () =>
  Effect.gen(function*() {
    yield* enqueue(1)
    expect(yield* consumed([29, 2])).toEqual([[], [{ job: 1 }]])
  }).pipe(Effect.scoped, withFaults(QueueFault.notReceived())))

it.effect("a plan that cannot be meant is refused", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(
      withFaults(QueueFault.partOfBatch({ entries: [10] }), QueueFault.receivedLate("13 hours"))(enqueue(1))
    )
    expect(error.message).toContain("plan[0] (partOfBatch): entries must be whole numbers from 0 to 9")
    expect(error.message).toContain("plan[1] (receivedLate): by must be 1 s - 12 h, in whole seconds")
  }))
