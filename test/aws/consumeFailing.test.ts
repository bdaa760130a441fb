/** Consumers whose handlers, options and queues fail in ways that nobody meant. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as Service from "../../src/aws/internal/queue/service.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { scriptedBackend } from "../support/aws/scriptedQueue.ts"

/** What is logged, without what it is annotated with. */
const logs = () => {
  const lines: Array<string> = []
  const layer = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ message }) => void lines.push(String(Array.isArray(message) ? message[0] : message)))
  )
  return { lines, layer }
}

const settle = TestClock.adjust("1 seconds")
const quiet = { retry: Schedule.spaced("10 seconds") }

/** Seconds of the Clock, whenever it runs. */
const times = () => {
  const seen: Array<number> = []
  return { seen, note: Effect.map(TestClock.currentTimeMillis, (now) => void seen.push(Math.round(now / 1000))) }
}

describe("a handler", () => {
  it.effect("whose isPoison throws has failed, and that is what is logged", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const { note, seen } = times()
      yield* Effect.fork(Effect.provide(
        queue.consume(() => Effect.zipRight(note, Effect.fail("no")), {
          ...quiet,
          isPoison: () => {
            throw new Error("isPoison is wrong")
          }
        }),
        layer
      ))
      yield* TestClock.adjust("11 seconds")
      expect(seen).toEqual([0, 10])
      expect(lines.filter((line) => line.startsWith("A message was not handled"))).toEqual([])
      expect(lines).toContain("A message failed, and comes again")
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("whose payload cannot be decoded because of a defect has failed", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const plain = yield* Queue
      const queue = yield* Queue.of(
        Schema.transform(Schema.Number, Schema.Number, {
          strict: true,
          decode: (n) => {
            if (n === 1) throw new Error("a defect")
            return n
          },
          encode: (n) => n
        })
      )
      yield* plain.enqueue(1)
      yield* Effect.fork(Effect.provide(queue.consume(() => Effect.void, quiet), layer))
      yield* Effect.fork(Effect.provide(queue.consumeBatch(() => Effect.void, quiet), layer))
      yield* TestClock.adjust("15 seconds")
      expect(lines.filter((line) => line.startsWith("A message was not handled"))).toEqual([])
      expect(lines).toContain("A message failed, and comes again")
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("whose retry is a defect leaves the message to its visibility", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const { note, seen } = times()
      const retry = Schedule.mapEffect(Schedule.forever, () => Effect.die("the schedule is wrong"))
      yield* Effect.fork(queue.consume(() => Effect.zipRight(note, Effect.fail("no")), { retry }))
      yield* TestClock.adjust("45 seconds")
      expect(seen).toEqual([0, 30])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("is waited for as long as the longest retry asks", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const { note, seen } = times()
      yield* Effect.fork(
        queue.consume(() => Effect.zipRight(note, Effect.zipRight(Effect.sleep("5 minutes"), Effect.fail("no"))), {
          retry: Schedule.spaced("1 day")
        })
      )
      // A day is more than SQS accepts, and 12 hours are too: of those some have passed.
      yield* TestClock.adjust("1 hour")
      expect(seen).toEqual([0])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("that does not end at its deadline keeps its message no longer than one visibility", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      yield* Effect.fork(
        queue.consume(() => Effect.uninterruptible(Effect.never), { deadline: "60 seconds", ...quiet })
      )
      yield* TestClock.adjust("10 minutes")
      expect(yield* Queue.deadLetters).toHaveLength(1)
    }).pipe(Effect.provide(Queue.layerMemoryWith({ maxReceiveCount: 3 }))))

  it.effect("is not even called for what has taken effect before", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      let calls = 0
      yield* Effect.fork(queue.consume(() => {
        calls++
        return Effect.void
      }, { dedupe: { once: () => Effect.succeedNone } }))
      yield* settle
      expect((yield* queue.attributes).inFlight).toBe(0)
      expect(calls).toBe(0)
    }).pipe(Effect.provide(Queue.layerMemory)))
})

describe("a poll that is a defect", () => {
  it.effect("ends a consumer with an error", () =>
    Effect.gen(function*() {
      const { backend } = scriptedBackend({ answer: () => Effect.never })
      const broken = Service.make({
        ...backend,
        attributes: Effect.never,
        receive: () => Effect.die(new Error("a defect"))
      })
      expect(yield* Effect.flip(broken.consume(() => Effect.void))).toMatchObject({
        reason: "Unknown",
        retryable: false,
        cause: { message: "a defect" }
      })
    }))
})

describe("the inbox of a consumer", () => {
  const busy = new DatabaseError({ database: "MainDb", reason: "LockWaitTimeout", retryable: true, detail: "busy" })

  it.effect("that fails lets the message come again, whatever isPoison says of the errors of the handler", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const { note, seen } = times()
      const asked: Array<unknown> = []
      yield* Effect.fork(queue.consume(() => Effect.fail("refused"), {
        ...quiet,
        dedupe: {
          once: (_, work) => {
            const enter = Effect.tap(note, () => seen.length < 4 ? Effect.fail(busy) : Effect.void)
            return Effect.zipRight(enter, Effect.asSome(work))
          }
        },
        isPoison: (error) => (asked.push(error), true),
        onPoison: () => Effect.succeed("delete")
      }))
      yield* TestClock.adjust("15 seconds")
      expect(seen).toEqual([0, 10])
      expect(asked).toEqual([])
      yield* TestClock.adjust("20 seconds")
      expect(seen).toEqual([0, 10, 20, 30])
      expect(asked).toEqual(["refused"])
      expect(yield* Queue.messages).toEqual([])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("that fails after the handler has, and could not undo it, is no failure of the handler", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      yield* Effect.fork(queue.consume(() => Effect.fail("refused"), {
        ...quiet,
        dedupe: { once: (_, work) => Effect.zipRight(Effect.ignore(work), Effect.fail(busy)) },
        isPoison: () => true,
        onPoison: () => Effect.succeed("delete")
      }))
      yield* settle
      expect((yield* queue.attributes).inFlight).toBe(1)
    }).pipe(Effect.provide(Queue.layerMemory)))
})

describe("a group whose first message fails for good", () => {
  it.effect("goes to the dead letters in order, and not before it could be received again", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2, 3]) yield* queue.enqueue(n, { messageGroupId: "g" })
      const handled: Array<unknown> = []
      yield* Effect.fork(queue.consume(({ payload }) => {
        handled.push(payload)
        return Effect.fail("no")
      }, quiet))
      yield* TestClock.adjust("15 seconds")
      // The second time it was received all three were: they wait for the first.
      expect(handled).toEqual([1, 1])
      expect(yield* Queue.deadLetters).toEqual([])
      yield* TestClock.adjust("10 seconds")
      expect((yield* Queue.deadLetters).map(({ payload }) => payload)).toEqual([1, 2, 3])
      expect(yield* Queue.messages).toEqual([])
    }).pipe(Effect.provide(Queue.layerMemoryWith({ kind: "fifo", maxReceiveCount: 2 }))))
})

describe("a batch of a FIFO queue", () => {
  it.effect("ends for a group where a message of it cannot be decoded", () =>
    Effect.gen(function*() {
      const plain = yield* Queue
      const queue = yield* Queue.of(Schema.Number)
      for (const payload of [1, "bad", 3]) yield* plain.enqueue(payload, { messageGroupId: "g" })
      yield* plain.enqueue(4, { messageGroupId: "other" })
      const batches: Array<ReadonlyArray<number>> = []
      yield* Effect.fork(queue.consumeBatch(
        (messages) => Effect.sync(() => void batches.push(messages.map(({ payload }) => payload))),
        quiet
      ))
      yield* settle
      expect(batches).toEqual([[1, 4]])
      expect((yield* plain.attributes).inFlight).toBe(1)
    }).pipe(Effect.provide(Queue.layerMemoryFifo)))

  it.effect("goes on for a group where onPoison has deleted it", () =>
    Effect.gen(function*() {
      const plain = yield* Queue
      const queue = yield* Queue.of(Schema.Number)
      for (const payload of [1, "bad", 3]) yield* plain.enqueue(payload, { messageGroupId: "g" })
      const batches: Array<ReadonlyArray<number>> = []
      yield* Effect.fork(queue.consumeBatch(
        (messages) => Effect.sync(() => void batches.push(messages.map(({ payload }) => payload))),
        { ...quiet, onPoison: () => Effect.succeed("delete") }
      ))
      yield* settle
      expect(batches).toEqual([[1, 3]])
    }).pipe(Effect.provide(Queue.layerMemoryFifo)))
})

describe("an interrupted consumer", () => {
  it.effect("that has no time interrupts its handlers all the same, and gives their messages back", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const fiber = yield* Effect.fork(Effect.provide(queue.consume(() => Effect.never), layer))
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(lines.filter((line) => line.includes("given back"))).toEqual([])
      expect(yield* Queue.messages).toHaveLength(1)
    }).pipe(Effect.provide(Queue.layerMemoryWith({ maxReceiveCount: 3 }))))
})

describe("times that are no whole milliseconds", () => {
  it.effect("do not keep a poll in memory from waiting", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      // As doubles, 0.3 + (1000.1 - 0.3) is less than 1000.1: a poll that waits for that wakes up too early.
      yield* TestClock.adjust(Duration.millis(0.1))
      yield* queue.enqueue("x", { delay: "1 seconds" })
      yield* TestClock.adjust(Duration.millis(0.2))
      const { note, seen } = times()
      yield* Effect.fork(queue.consume(() => note))
      yield* TestClock.adjust("2 seconds")
      expect(seen).toEqual([1])
    }).pipe(Effect.provide(Queue.layerMemory)))
})
