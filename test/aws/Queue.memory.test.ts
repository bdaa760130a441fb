import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { Queue } from "../../src/aws/Queue.ts"
import { queueContract } from "../contract/Queue.ts"

const bodies = Effect.map(Queue.messages, (messages) => messages.map(({ body }) => body))

queueContract("Queue.layerMemoryStandard", { layer: Queue.layerMemoryStandard, fifo: false, bodies })
queueContract("Queue.layerMemoryFifo", { layer: Queue.layerMemoryFifo, fifo: true, bodies })

describe("Queue.layerMemory", () => {
  const payloads = Effect.map(Queue.messages, (messages) => messages.map(({ payload }) => payload))

  it.effect("delivers delayed messages when their time has come", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("later", { delay: "1 minute" })
      yield* queue.enqueue("soon", { delay: 1 })
      yield* queue.enqueue("now")
      expect(yield* payloads).toEqual(["now"])
      yield* TestClock.adjust("1 seconds")
      expect(yield* payloads).toEqual(["now", "soon"])
      yield* TestClock.adjust("59 seconds")
      expect(yield* payloads).toEqual(["now", "soon", "later"])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("accepts a deduplication id once in five minutes, and gives each duplicate the first reply", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const options = { messageGroupId: "g", messageDeduplicationId: "d" }
      const first = yield* queue.enqueue(1, options)
      yield* TestClock.adjust("299 seconds")
      expect(yield* queue.enqueue(2, options)).toEqual(first)
      yield* TestClock.adjust("1 seconds")
      const second = yield* queue.enqueue(3, options)
      expect(second.messageId).not.toBe(first.messageId)
      expect(second.sequenceNumber! > first.sequenceNumber!).toBe(true)
      expect(yield* payloads).toEqual([1, 3])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("deduplicates by content if it is FIFO and gets no id", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const payload of ["a", "a", "b"]) yield* queue.enqueue(payload, { messageGroupId: "g" })
      expect(yield* payloads).toEqual(["a", "b"])
    }).pipe(Effect.provide(Queue.layerMemoryFifo)))

  it.effect("takes the time from the Clock, and shows every field", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(new Date("2026-11-23T14:47:02.123Z"))
      const queue = yield* Queue
      const { messageId } = yield* queue.enqueueTimestamped({ a: 1 }, { messageGroupId: "g", attributes: { n: 1 } })
      expect(yield* Queue.messages).toEqual([{
        messageId,
        sequenceNumber: undefined,
        body: "{\"a\":1,\"created_at\":\"2026-11-23T14:47:02.123Z\"}",
        payload: { a: 1, created_at: "2026-11-23T14:47:02.123Z" },
        messageGroupId: "g",
        messageDeduplicationId: undefined,
        delaySeconds: 0,
        attributes: { n: { type: "Number", value: "1" } },
        receiveCount: 0,
        sentAt: Date.parse("2026-11-23T14:47:02.123Z"),
        visibleAt: Date.parse("2026-11-23T14:47:02.123Z")
      }])
    }).pipe(Effect.provide(Queue.layerMemory)))
})
