/** Messages in batches, and messages to be settled by hand. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Queue } from "../../src/aws/Queue.ts"

const payloads = Effect.map(Queue.messages, (messages) => messages.map(({ payload }) => payload))

const fifo = Queue.layerMemoryFifo
const quiet = { retry: Schedule.spaced("10 seconds") }

describe("consumeBatch", () => {
  it.effect("collects, and lets what failed come again", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* Effect.forEach(Array.from({ length: 25 }, (_, i) => i), (i) => queue.enqueue(i))
      const batches: Array<ReadonlyArray<unknown>> = []
      yield* Effect.fork(queue.consumeBatch((messages) =>
        Effect.sync(() => {
          batches.push(messages.map(({ payload }) => payload))
          const bad = messages.filter(({ payload, receiveCount }) => payload === 7 && receiveCount === 1)
          return { failed: bad.map(({ messageId }) => messageId) }
        }), { ...quiet, batchSize: 20, batchWithin: "2 seconds" }))
      yield* TestClock.adjust("1 seconds")
      expect(batches.map(({ length }) => length)).toEqual([20])
      yield* TestClock.adjust("2 seconds")
      expect(batches.map(({ length }) => length)).toEqual([20, 5])
      yield* TestClock.adjust("15 seconds")
      expect(batches.slice(2)).toEqual([[7]])
      expect((yield* queue.attributes).inFlight).toBe(0)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("takes a result that it does not understand for the failure of all", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2]) yield* queue.enqueue(n)
      let runs = 0
      yield* Effect.fork(
        queue.consumeBatch(() => Effect.sync(() => ++runs === 1 ? { failed: ["unknown"] } : undefined), quiet)
      )
      yield* TestClock.adjust("1 seconds")
      expect((yield* queue.attributes).inFlight).toBe(2)
      yield* TestClock.adjust("11 seconds")
      expect(runs).toBe(2)
      expect((yield* queue.attributes).inFlight).toBe(0)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("counts what follows a failed message in its group as failed", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2, 3]) yield* queue.enqueue(n, { messageGroupId: "g" })
      const batches: Array<ReadonlyArray<unknown>> = []
      yield* Effect.fork(queue.consumeBatch((messages) =>
        Effect.sync(() => {
          batches.push(messages.map(({ payload }) => payload))
          return batches.length === 1 ? { failed: [messages[1]!.messageId] } : undefined
        }), quiet))
      yield* TestClock.adjust("30 seconds")
      expect(batches).toEqual([[1, 2, 3], [2, 3]])
    }).pipe(Effect.provide(fifo)))
})

describe("stream", () => {
  it.effect("gives messages to be settled by hand", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2, 3, 4, 5]) yield* queue.enqueue(n)
      const got: Array<unknown> = []
      const fiber = yield* Effect.fork(Stream.runForEach(Stream.take(queue.stream(), 3), (delivery) => {
        got.push(delivery.payload)
        return delivery.payload === 1
          ? delivery.ack
          : delivery.payload === 2
          ? delivery.release("1 minute")
          : delivery.extend(Duration.hours(1))
      }))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(fiber)
      expect(got).toEqual([1, 2, 3])
      // What was received and not given is visible again.
      expect(yield* payloads).toEqual([4, 5])
      yield* TestClock.adjust("1 minute")
      expect(yield* payloads).toEqual([4, 5, 2])
      yield* TestClock.adjust("1 hour")
      expect(yield* payloads).toEqual([4, 5, 2, 3])
    }).pipe(Effect.provide(Queue.layerMemory)))
})
