import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Queue, type Received } from "../../src/aws/Queue.ts"

/** What is logged, without what it is annotated with. */
const logs = () => {
  const lines: Array<string> = []
  const layer = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ message }) => void lines.push(String(Array.isArray(message) ? message[0] : message)))
  )
  return { lines, layer }
}

const payloads = Effect.map(Queue.messages, (messages) => messages.map(({ payload }) => payload))

const settle = TestClock.adjust("1 seconds")

/** A handler that notes what it gets. */
const noting = () => {
  const seen: Array<unknown> = []
  return { seen, handler: (message: Received<unknown>) => Effect.sync(() => void seen.push(message.payload)) }
}

const fifo = Queue.layerMemoryFifo
const quiet = { retry: Schedule.spaced("10 seconds") }

describe("consume", () => {
  it.effect("hands each message to the handler, and deletes it", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue({ a: 1 }, { attributes: { n: 1.5, t: "x", big: "1" } })
      const got: Array<Received<unknown>> = []
      const fiber = yield* Effect.fork(queue.consume((message) => Effect.sync(() => void got.push(message))))
      yield* settle
      yield* queue.enqueue("later")
      yield* settle
      expect(got.map(({ payload }) => payload)).toEqual([{ a: 1 }, "later"])
      expect(got[0]).toMatchObject({ receiveCount: 1, attributes: { n: 1.5, t: "x" }, sentAt: new Date(0) })
      expect((yield* queue.attributes).inFlight).toBe(0)
      yield* TestClock.adjust("5 minutes")
      expect(got).toHaveLength(2)
      expect(yield* queue.consumers).toMatchObject([{ state: "running", inFlight: 0, polls: 1, succeeded: 2 }])
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(yield* queue.consumers).toEqual([])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("runs as many handlers as it may, and polls for no more", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) => queue.enqueue(i))
      let running = 0
      let most = 0
      const handler = () =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++running)
          }),
          () => Effect.sleep("10 seconds"),
          () => Effect.sync(() => void running--)
        )
      yield* Effect.fork(queue.consume(handler, { concurrency: 25 }))
      yield* settle
      expect(running).toBe(25)
      expect((yield* queue.attributes).inFlight).toBe(25)
      yield* TestClock.adjust("45 seconds")
      expect(most).toBe(25)
      expect(yield* payloads).toEqual([])
      expect((yield* queue.attributes).inFlight).toBe(0)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("keeps a message invisible for as long as its handler runs", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("long")
      const { handler, seen } = noting()
      yield* Effect.fork(
        queue.consume((message) => Effect.zipRight(handler(message), Effect.sleep("10 minutes")), {
          visibility: "30 seconds"
        })
      )
      yield* TestClock.adjust("599 seconds")
      expect(seen).toEqual(["long"])
      expect((yield* queue.attributes).inFlight).toBe(1)
      yield* TestClock.adjust("2 seconds")
      expect((yield* queue.attributes).inFlight).toBe(0)
      yield* TestClock.adjust("5 minutes")
      expect(seen).toEqual(["long"])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("lets a failed message come again when the schedule says so, by its receive count", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const counts: Array<readonly [number, number]> = []
      yield* Effect.fork(
        queue.consume(({ receiveCount }) =>
          Effect.flatMap(TestClock.currentTimeMillis, (now) => {
            counts.push([receiveCount, now / 1000])
            return receiveCount === 2 ? Effect.die("a defect") : receiveCount < 5 ? Effect.fail("no") : Effect.void
          }), { retry: Schedule.exponential("10 seconds") })
      )
      yield* TestClock.adjust("10 minutes")
      expect(counts.map(([count]) => count)).toEqual([1, 2, 3, 4, 5])
      const pauses = counts.slice(1).map(([, at], index) => Math.round(at - counts[index]![1]))
      expect(pauses).toEqual([10, 20, 40, 80])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("leaves a message to its visibility where the schedule has ended", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("x")
      const times: Array<number> = []
      yield* Effect.fork(
        queue.consume(() =>
          Effect.flatMap(TestClock.currentTimeMillis, (now) => {
            times.push(now / 1000)
            return Effect.fail("no")
          }), { retry: Schedule.recurs(0), visibility: "60 seconds" })
      )
      yield* TestClock.adjust("130 seconds")
      expect(times.map(Math.round)).toEqual([0, 60, 120])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("interrupts a handler at its deadline, which is a failure", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const queue = yield* Queue
      yield* queue.enqueue("slow")
      const interrupted: Array<number> = []
      yield* Effect.fork(Effect.provide(
        queue.consume(
          ({ receiveCount }) =>
            receiveCount > 1 ?
              Effect.void :
              Effect.onInterrupt(
                Effect.never,
                () => Effect.map(TestClock.currentTimeMillis, (now) => void interrupted.push(now))
              ),
          { deadline: "95 seconds", ...quiet }
        ),
        layer
      ))
      yield* TestClock.adjust("94 seconds")
      expect(interrupted).toEqual([])
      yield* TestClock.adjust("1 seconds")
      expect(interrupted).toEqual([95_000])
      expect(yield* queue.consumers).toMatchObject([{ failed: 1, succeeded: 0 }])
      yield* TestClock.adjust("12 seconds")
      expect(yield* queue.consumers).toMatchObject([{ failed: 1, succeeded: 1 }])
      expect(lines).toContain("A message was not handled within 95000 ms, and comes again")
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("keeps the order of each group, and hands the rest of a group back when one fails", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const send = (group: string, n: number) => queue.enqueue(`${group}${n}`, { messageGroupId: group })
      for (const n of [1, 2, 3, 4]) for (const group of ["a", "b", "c"]) yield* send(group, n)
      const seen: Array<string> = []
      yield* Effect.fork(queue.consume((message) => {
        const name = String(message.payload)
        seen.push(name)
        return name === "b2" && message.receiveCount === 1
          ? Effect.zipRight(Effect.sleep("50 millis"), Effect.fail("no"))
          : Effect.sleep("50 millis")
      }, { ...quiet, concurrency: 10 }))
      yield* TestClock.adjust("5 seconds")
      const of = (group: string) => seen.filter((name) => name.startsWith(group))
      expect(of("a")).toEqual(["a1", "a2", "a3", "a4"])
      expect(of("c")).toEqual(["c1", "c2", "c3", "c4"])
      expect(of("b")).toEqual(["b1", "b2"])
      // Those that were handed back wait in the queue, and not in flight.
      expect((yield* queue.attributes).inFlight).toBe(1)
      yield* TestClock.adjust("10 seconds")
      expect(of("b")).toEqual(["b1", "b2", "b2", "b3", "b4"])
      expect((yield* queue.attributes).inFlight).toBe(0)
    }).pipe(Effect.provide(fifo)))

  it.effect("works on groups at the same time", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2, 3]) {
        for (const group of ["a", "b", "c", "d"]) yield* queue.enqueue({ group, n }, { messageGroupId: group })
      }
      let done = 0
      yield* Effect.fork(
        queue.consume(() => Effect.map(Effect.sleep("10 seconds"), () => void done++), { concurrency: 4 })
      )
      yield* TestClock.adjust("31 seconds")
      expect(done).toBe(12)
    }).pipe(Effect.provide(fifo)))

  it.effect("never takes the end of what does not decode: it is logged once and left to the redrive policy", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const queue = yield* Queue.of(Schema.Struct({ secret: Schema.Number }))
      const plain = yield* Queue
      yield* plain.enqueue({ secret: "4111-1111" })
      yield* queue.enqueue({ secret: 1 })
      const { handler, seen } = noting()
      yield* Effect.fork(Effect.provide(queue.consume(handler, quiet), layer))
      yield* TestClock.adjust("60 seconds")
      expect(seen).toEqual([{ secret: 1 }])
      expect((yield* Queue.deadLetters).map(({ payload }) => payload)).toEqual([{ secret: "4111-1111" }])
      const errors = lines.filter((line) => line.startsWith("A message cannot be handled"))
      expect(errors).toEqual(["A message cannot be handled: the body does not fit its schema at secret"])
      expect(lines.join()).not.toContain("4111")
    }).pipe(Effect.provide(Queue.layerMemoryWith({ maxReceiveCount: 3 }))))

  it.effect("asks onPoison what becomes of a message that failed for good", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const payload of ["delete", "leave", "throw", "fine"]) yield* queue.enqueue(payload)
      const poison: Array<unknown> = []
      yield* Effect.fork(queue.consume(
        ({ payload }) => payload === "fine" ? Effect.void : Effect.fail({ _tag: "Gone", payload } as const),
        {
          ...quiet,
          isPoison: (error) => error._tag === "Gone",
          onPoison: ({ body, error, messageId, reason }) =>
            Effect.suspend(() => {
              poison.push([reason, body, Option.getOrNull(error), typeof messageId])
              return body === "\"throw\""
                ? Effect.fail("db")
                : Effect.succeed(body === "\"delete\"" ? "delete" : "leave")
            })
        }
      ))
      yield* settle
      expect(poison).toEqual(
        ["delete", "leave", "throw"].map((payload) => [
          "Failed",
          JSON.stringify(payload),
          { _tag: "Gone", payload },
          "string"
        ])
      )
      yield* TestClock.adjust("10 seconds")
      expect(poison).toHaveLength(5)
      expect((yield* queue.attributes).inFlight).toBe(2)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("makes each message take effect once where dedupe says it has before", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("a", { attributes: { "outbox-id": "1" } })
      yield* queue.enqueue("a", { attributes: { "outbox-id": "1" } })
      const { messageId } = yield* queue.enqueue("b")
      const known = new Set<string>()
      const { handler, seen } = noting()
      yield* Effect.fork(queue.consume(handler, {
        dedupe: {
          once: (id, effect) => {
            if (known.has(id)) return Effect.succeedNone
            known.add(id)
            return Effect.asSome(effect)
          }
        }
      }))
      yield* settle
      expect(seen).toEqual(["a", "b"])
      expect([...known]).toEqual(["1", messageId])
      expect((yield* queue.attributes).inFlight).toBe(0)
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const refused = (options: object, field: string) =>
        Effect.map(Effect.flip(queue.consume(() => Effect.void, options)), (error) =>
          expect(error).toMatchObject({ reason: "InvalidInput", operation: "consume", field }))
      for (const concurrency of [0, -1, 1.5, NaN, "5", 1e9]) {
        yield* refused({ concurrency }, "concurrency")
      }
      for (const visibility of ["0 seconds", -5, "13 hours", "soon"]) {
        yield* refused({ visibility }, "visibility")
      }
      yield* refused({ waitTime: "21 seconds" }, "waitTime")
      yield* refused({ deadline: "13 hours" }, "deadline")
      yield* refused({ retry: 5 }, "retry")
      expect(
        yield* Effect.flip(queue.consumeBatch(() =>
          Effect.void, { batchSize: 0 }))
      ).toMatchObject({
        field: "batchSize"
      })
    }).pipe(Effect.provide(Queue.layerMemory)))
})

describe("an interrupted consumer", () => {
  it.effect("waits for its handlers, and gives back what it has not begun", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      for (const n of [1, 2, 3]) yield* queue.enqueue(n, { messageGroupId: "g" })
      const { handler, seen } = noting()
      const fiber = yield* Effect.fork(
        queue.consume((message) => Effect.zipRight(Effect.sleep("15 seconds"), handler(message)), {
          drainTimeout: "30 seconds"
        })
      )
      yield* settle
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 seconds")
      expect(yield* queue.consumers).toMatchObject([{ state: "draining", inFlight: 1 }])
      yield* TestClock.adjust("14 seconds")
      expect(Option.isSome(yield* Fiber.poll(fiber))).toBe(true)
      expect(seen).toEqual([1])
      expect(yield* payloads).toEqual([2, 3])
    }).pipe(Effect.provide(fifo)))

  it.effect("interrupts what does not end in time, and gives it back", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue("endless")
      const fiber = yield* Effect.fork(queue.consume(() => Effect.never, { drainTimeout: "12 seconds" }))
      yield* settle
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("7 seconds")
      expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(true)
      yield* TestClock.adjust("2 seconds")
      expect(Option.isSome(yield* Fiber.poll(fiber))).toBe(true)
      expect(yield* payloads).toEqual(["endless"])
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("does not wait for what does not end at all", () =>
    Effect.gen(function*() {
      const { layer, lines } = logs()
      const queue = yield* Queue
      yield* queue.enqueue("stubborn")
      const fiber = yield* Effect.fork(Effect.provide(
        queue.consume(() => Effect.uninterruptible(Effect.never), { drainTimeout: "12 seconds" }),
        layer
      ))
      yield* settle
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("11 seconds")
      expect(Option.isSome(yield* Fiber.poll(fiber))).toBe(true)
      expect(yield* payloads).toEqual(["stubborn"])
      expect(lines).toContain("A handler has not ended, and its message is given back")
    }).pipe(Effect.provide(Queue.layerMemory)))
})
