import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { QueueBackend } from "../../../../../src/aws/internal/queue/backend.ts"
import { internals } from "../../../../../src/aws/internal/queue/service.ts"
import { Queue } from "../../../../../src/aws/Queue.ts"
import { interruptAt, interruptEverywhere } from "../../../../support/interruptAt.ts"

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

  it.effect("wakes polls that do not let themselves be interrupted, and lets them end", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      const poll = Effect.uninterruptible(port.receive({ ...now, waitSeconds: 20 }))
      const empty = yield* Effect.fork(poll)
      yield* TestClock.adjust("20 seconds")
      expect(yield* Fiber.join(empty)).toEqual([])
      const fiber = yield* Effect.fork(poll)
      yield* TestClock.adjust("1 seconds")
      yield* queue.enqueue(1)
      expect(yield* Fiber.join(fiber)).toHaveLength(1)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("gives the header of X-Ray", () =>
    Effect.gen(function*() {
      const traceHeader = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
      const queue = yield* Queue
      yield* queue.enqueue(1, { traceHeader })
      yield* queue.enqueue(2)
      const received = yield* Effect.flatMap(backend, (port) => port.receive(now))
      expect(received.map((message) => message.traceHeader)).toEqual([traceHeader, undefined])
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

  it.live("loses no message to an interruption of whoever does not let itself be interrupted", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      let sent = 0
      const seen: Array<string> = []
      const step = Effect.sync(() => sent++).pipe(
        Effect.flatMap((n) => queue.enqueue(n)),
        Effect.zipRight(
          Effect.uninterruptible(Effect.map(port.receive({ ...now, waitSeconds: 0 }), (messages) => {
            for (const { body } of messages) seen.push(body)
          }))
        )
      )
      yield* interruptEverywhere(step)
      seen.push(...(yield* port.receive(now)).map(({ body }) => body))
      expect(new Set(seen).size).toBe(seen.length)
      const { inFlight, visible } = yield* queue.attributes
      expect([visible, inFlight]).toEqual([0, seen.length])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.live("leaves nothing behind of polls that are interrupted while they wait", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      for (let steps = 1; steps < 60; steps++) yield* interruptAt(port.receive({ ...now, waitSeconds: 0.01 }), steps)
      yield* queue.enqueue(1)
      expect(yield* port.receive(now)).toHaveLength(1)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("keeps a message invisible for 12 hours after a receive at most", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      yield* queue.enqueue(1)
      const [message] = yield* port.receive({ ...now, visibilitySeconds: 43_200 })
      const receipt = message?.receipt ?? ""
      expect(yield* port.setVisibility([{ receipt, seconds: 43_200 }])).toEqual([undefined])
      yield* TestClock.adjust("1 seconds")
      expect(yield* port.setVisibility([{ receipt, seconds: 43_200 }, { receipt, seconds: 43_199 }])).toMatchObject([
        { reason: "InvalidRequest" },
        undefined
      ])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("makes no dead letters of what it purges", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const port = yield* backend
      yield* queue.enqueue(1, { messageGroupId: "g" })
      yield* queue.enqueue(2, { messageGroupId: "g" })
      const [, second] = yield* port.receive(now)
      yield* port.setVisibility([{ receipt: second?.receipt ?? "", seconds: 0 }])
      yield* port.purge
      expect(yield* Queue.deadLetters).toEqual([])
    }).pipe(Effect.provide(Queue.layerMemoryWith({ kind: "fifo", maxReceiveCount: 1 }))))
})
