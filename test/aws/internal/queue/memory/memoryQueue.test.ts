import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { QueueBackend } from "../../../../../src/aws/internal/queue/backend.ts"
import { internals } from "../../../../../src/aws/internal/queue/service.ts"
import { Queue } from "../../../../../src/aws/Queue.ts"

const backend: Effect.Effect<QueueBackend, never, Queue> = Effect.map(Queue, (queue) => queue[internals].backend)
const now = { max: 10, waitSeconds: 0, visibilitySeconds: 30 }

describe("a queue in memory", () => {
  it.effect("wakes polls when there is something for them: sent, delayed, released, or no longer invisible", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      const poll = Effect.fork(port.receive({ max: 1, waitSeconds: 20, visibilitySeconds: 10 }))
      const came = (fiber: Fiber.RuntimeFiber<ReadonlyArray<{ readonly body: string }>, unknown>) =>
        Effect.map(Fiber.join(fiber), (messages) => messages.map(({ body }) => body))

      const first = yield* poll
      yield* TestClock.adjust("5 seconds")
      yield* queue.enqueue(1)
      expect(yield* came(first)).toEqual(["1"])

      const second = yield* poll
      yield* TestClock.adjust("10 seconds")
      expect(yield* came(second)).toEqual(["1"])

      const third = yield* poll
      yield* TestClock.adjust("1 seconds")
      yield* queue.enqueue(2, { delay: "3 seconds" })
      yield* TestClock.adjust("2999 millis")
      expect(yield* Fiber.poll(third)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 millis")
      expect(yield* came(third)).toEqual(["2"])
      yield* TestClock.adjust("1 seconds")

      const taken = yield* port.receive({ ...now, max: 1 })
      expect(taken).toEqual([])
      const fourth = yield* poll
      yield* TestClock.adjust("5 seconds")
      const [one] = yield* came(fourth)
      expect(one).toBe("1")

      const empty = yield* Effect.fork(port.receive({ max: 1, waitSeconds: 2, visibilitySeconds: 10 }))
      yield* TestClock.adjust("2 seconds")
      expect(yield* came(empty)).toEqual([])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("takes 10,000 messages through in no time", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      for (let n = 0; n < 10_000; n++) yield* queue.enqueue(n, { messageGroupId: "g" })
      const seen: Array<string> = []
      for (;;) {
        const messages = yield* port.receive(now)
        if (messages.length === 0) break
        seen.push(...messages.map(({ body }) => body))
        yield* port.delete(messages.map(({ receipt }) => receipt))
      }
      expect(seen.map(Number)).toEqual(Array.from({ length: 10_000 }, (_, n) => n))
    }).pipe(Effect.provide(Queue.layerMemoryFifo)))
})
