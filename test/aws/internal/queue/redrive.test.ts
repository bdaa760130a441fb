import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { internals } from "../../../../src/aws/internal/queue/service.ts"
import { Queue, type RedriveOptions } from "../../../../src/aws/Queue.ts"
import { bodies, now, receipts } from "../../../contract/queue/subject.ts"

const layer = Queue.layerMemoryWith({ maxReceiveCount: 1 })

/** So many dead letters. */
const kill = (count: number) =>
  Effect.gen(function*() {
    const queue = yield* Queue
    const { backend } = queue[internals]
    for (let n = 0; n < count; n++) yield* queue.enqueue(n)
    while ((yield* backend.receive({ ...now, visibilitySeconds: 1 })).length > 0);
    yield* TestClock.adjust("1 seconds")
    expect(yield* Queue.deadLetters).toHaveLength(count)
    return { queue, backend }
  })

const visible = Effect.map(Queue.messages, (messages) => messages.map(({ payload }) => payload))

describe("redrive", () => {
  it.effect("moves so many messages a second, and tells how far it is", () =>
    Effect.gen(function*() {
      const { queue } = yield* kill(5)
      const seen: Array<unknown> = []
      const fiber = yield* Effect.fork(
        Stream.runForEach(queue.redrive({ maxPerSecond: 2 }), (progress) => Effect.sync(() => void seen.push(progress)))
      )
      yield* TestClock.adjust(0)
      expect(seen).toEqual([{ status: "running", moved: 2, toMove: 5 }])
      yield* TestClock.adjust("1 seconds")
      expect(seen.at(-1)).toEqual({ status: "running", moved: 4, toMove: 5 })
      expect(yield* visible).toEqual([0, 1, 2, 3])
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(fiber)
      expect(seen.at(-1)).toEqual({ status: "completed", moved: 5, toMove: 5 })
      expect(yield* visible).toEqual([0, 1, 2, 3, 4])
      expect(yield* Queue.deadLetters).toEqual([])
    }).pipe(Effect.provide(layer)))

  it.effect("wakes a poll with what it moves, as new messages that were never received", () =>
    Effect.gen(function*() {
      const { backend, queue } = yield* kill(1)
      const [dead] = yield* Queue.deadLetters
      expect(dead?.receiveCount).toBe(1)
      const poll = yield* Effect.fork(backend.receive({ ...now, waitSeconds: 20 }))
      yield* TestClock.adjust("1 seconds")
      yield* Stream.runDrain(queue.redrive())
      const [message] = yield* Fiber.join(poll)
      expect(message).toMatchObject({ body: "0", receiveCount: 1 })
      expect(message?.messageId).not.toBe(dead?.messageId)
      yield* backend.delete(receipts(message === undefined ? [] : [message]))
    }).pipe(Effect.provide(layer)))

  for (const [how, take] of [["interrupted", 100], ["not read to its end", 1]] as const) {
    it.effect(`cancels the move when it is ${how}; what was moved stays`, () =>
      Effect.gen(function*() {
        const { backend, queue } = yield* kill(5)
        const fiber = yield* Effect.fork(Stream.runDrain(Stream.take(queue.redrive({ maxPerSecond: 1 }), take)))
        yield* TestClock.adjust("100 millis")
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 minute")
        expect(yield* visible).toEqual([0])
        expect(yield* Queue.deadLetters).toHaveLength(4)
        const policy = (yield* queue.attributes).redrivePolicy
        expect(yield* backend.moves(policy?.deadLetterQueueArn ?? "")).toMatchObject([{
          status: "CANCELLED",
          moved: 1
        }])
        // And can begin again.
        yield* Stream.runDrain(queue.redrive())
        expect(yield* visible).toEqual([0, 1, 2, 3, 4])
      }).pipe(Effect.provide(layer)))
  }

  it.effect("is one at a time, and fails when another cancels it", () =>
    Effect.gen(function*() {
      const { backend, queue } = yield* kill(5)
      const fiber = yield* Effect.fork(Effect.flip(Stream.runDrain(queue.redrive({ maxPerSecond: 1 }))))
      yield* TestClock.adjust("100 millis")
      expect(yield* Effect.flip(Stream.runDrain(queue.redrive()))).toMatchObject({
        reason: "Conflict",
        retryable: true,
        attempts: 0,
        operation: "redrive"
      })
      const from = (yield* queue.attributes).redrivePolicy?.deadLetterQueueArn ?? ""
      const [task] = yield* backend.moves(from)
      yield* backend.cancelMove(task?.handle ?? "")
      yield* TestClock.adjust("1 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({
        reason: "Conflict",
        detail: "the move was cancelled by another"
      })
      expect(yield* Effect.flip(backend.cancelMove(task?.handle ?? ""))).toMatchObject({ reason: "ResourceNotFound" })
    }).pipe(Effect.provide(layer)))

  it.effect("refuses options that cannot be", () =>
    Effect.gen(function*() {
      const { queue } = yield* kill(0)
      const cases: ReadonlyArray<readonly [string, unknown]> = [
        ...[0, 501, 1.5, NaN, -1, "5", null].map((maxPerSecond) => ["maxPerSecond", { maxPerSecond }] as const),
        ...[0, -1, 99, "soon", Infinity, "-1 seconds"].map((interval) => ["interval", { interval }] as const)
      ]
      for (const [field, options] of cases) {
        expect(yield* Effect.flip(Stream.runDrain(queue.redrive(options as RedriveOptions))), JSON.stringify(options))
          .toMatchObject({ reason: "InvalidInput", field, attempts: 0 })
      }
    }).pipe(Effect.provide(layer)))
})

describe("a queue in memory", () => {
  it("refuses a maxReceiveCount that cannot be", async () => {
    for (const maxReceiveCount of [0, 1.5, NaN, 1001, -1]) {
      const exit = await Effect.runPromiseExit(
        Effect.provide(Effect.asVoid(Queue), Queue.layerMemoryWith({ maxReceiveCount }))
      )
      expect(exit).toMatchObject({ _tag: "Failure", cause: { _tag: "Die" } })
    }
  })

  it.effect("keeps dead letters of a FIFO queue in order, and lets the rest of their group follow", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const { backend } = queue[internals]
      for (const payload of ["a", "b", "c"]) yield* queue.enqueue(payload, { messageGroupId: "g" })
      yield* backend.receive({ ...now, max: 2, visibilitySeconds: 1 })
      yield* TestClock.adjust("1 seconds")
      expect((yield* Queue.deadLetters).map(({ payload }) => payload)).toEqual(["a", "b"])
      expect(bodies(yield* backend.receive(now))).toEqual(["c"])
      yield* Stream.runDrain(queue.redrive())
      expect(yield* Queue.messages).toEqual([])
      yield* TestClock.adjust("30 seconds")
      expect(yield* visible).toEqual(["a", "b"])
    }).pipe(Effect.provide(Queue.layerMemoryWith({ kind: "fifo", maxReceiveCount: 1 }))))
})
