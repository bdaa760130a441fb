import { expect } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { bodies, makeQueue, type Needing, pass, receiveAll, sendAll, type TestQueue, type Tests } from "./subject.ts"

/** Receives all that is there, twice with a visibility that ends at once, and then looks again. */
const wearOut = (queue: TestQueue) =>
  Effect.gen(function*() {
    for (let time = 0; time < 2; time++) {
      yield* receiveAll(queue, 1)
      yield* pass(1.1)
    }
    expect(yield* receiveAll(queue)).toEqual([])
  })

export const admin = (it: Tests, needs: Needing): void => {
  for (const fifo of [false, true]) {
    it.effect(`describes a ${fifo ? "FIFO" : "standard"} queue`, () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo, maxReceiveCount: 7 })
        yield* sendAll(queue, [1, 2, 3], "a")
        if (!fifo) yield* queue.service.enqueue(4, { delay: "15 minutes" })
        yield* queue.backend.receive({ max: 1, waitSeconds: 0, visibilitySeconds: 30 })
        const attributes = yield* queue.service.attributes
        expect(attributes).toMatchObject({
          name: queue.backend.name,
          arn: expect.stringMatching(new RegExp(`^arn:aws:sqs:[^:]*:\\d{12}:${queue.backend.name}$`)),
          fifo,
          contentBasedDeduplication: fifo ? true : undefined,
          redrivePolicy: { deadLetterQueueArn: expect.stringMatching(/^arn:aws:sqs:/), maxReceiveCount: 7 }
        })
        expect(Duration.toSeconds(attributes.visibilityTimeout)).toBe(30)
        expect(Duration.toDays(attributes.retention)).toBe(4)
        expect(Duration.toSeconds(attributes.delay)).toBe(0)
      }))
  }

  it.effect("answers the same effect again", () =>
    Effect.gen(function*() {
      const { backend, service } = yield* makeQueue({ fifo: false })
      const { check } = service
      const remove = backend.delete(["nonsense"])
      for (let time = 0; time < 3; time++) {
        yield* check
        expect((yield* service.attributes).name).toBe(backend.name)
        expect(yield* remove).toHaveLength(1)
      }
    }))

  it.effect("has no redrive policy where there is none, and then nothing to redrive", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      expect((yield* queue.service.attributes).redrivePolicy).toBeUndefined()
      expect(yield* Effect.flip(Stream.runDrain(queue.service.redrive()))).toMatchObject({
        reason: "ResourceNotFound",
        operation: "redrive",
        detail: expect.stringContaining("no dead-letter queue")
      })
    }))

  needs("mebibytes", "knows how large a message may be", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      expect((yield* queue.service.attributes).maxMessageSize).toBe(1_048_576)
    }))

  needs("counts", "counts what is visible, in flight and delayed", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2, 3])
      yield* queue.service.enqueue(4, { delay: "15 minutes" })
      yield* queue.backend.receive({ max: 1, waitSeconds: 0, visibilitySeconds: 30 })
      expect(yield* queue.service.attributes).toMatchObject({ visible: 2, inFlight: 1, delayed: 1 })
    }))

  needs("purgesInFlight", "is emptied by purge, with what is in flight, if it is named", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2, 3])
      yield* queue.backend.receive({ max: 1, waitSeconds: 0, visibilitySeconds: 1 })
      for (const name of ["", "other", queue.backend.name.toUpperCase()]) {
        expect(yield* Effect.flip(queue.service.purge(name))).toMatchObject({
          reason: "InvalidInput",
          field: "name",
          attempts: 0
        })
      }
      expect(yield* receiveAll(queue, 1)).toHaveLength(2)
      yield* queue.service.purge(queue.backend.name)
      yield* pass(1.1)
      expect(yield* receiveAll(queue)).toEqual([])
      yield* sendAll(queue, ["after"])
      expect(bodies(yield* receiveAll(queue))).toEqual(["after"])
    }))

  for (const fifo of [false, true]) {
    it.effect(`puts aside what was received too often (${fifo ? "FIFO" : "standard"})`, () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo, maxReceiveCount: 2 })
        yield* sendAll(queue, ["a"])
        yield* wearOut(queue)
        expect(yield* queue.deadLetters).toEqual(["\"a\""])
        yield* sendAll(queue, ["b"])
        expect(bodies(yield* receiveAll(queue))).toEqual(["b"])
      }))
  }

  needs("moves", "moves dead letters back, and tells how far it is", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false, maxReceiveCount: 2 })
      yield* sendAll(queue, [1, 2, 3])
      yield* wearOut(queue)
      const fiber = yield* Effect.fork(Stream.runCollect(queue.service.redrive({ interval: "100 millis" })))
      // The second time by the clock of the test, if it has one.
      for (let time = 0; time < 20; time++) yield* pass(0.1)
      const progress = Array.from(yield* Fiber.join(fiber))
      expect(progress.at(-1)).toEqual({ status: "completed", moved: 3, toMove: 3 })
      expect(progress.slice(0, -1).every(({ status }) => status === "running")).toBe(true)
      const back = yield* receiveAll(queue)
      expect(new Set(bodies(back))).toEqual(new Set([1, 2, 3]))
      // It can be done again; there is nothing.
      const again = yield* Effect.fork(Stream.runCollect(queue.service.redrive({ interval: "100 millis" })))
      for (let time = 0; time < 20; time++) yield* pass(0.1)
      expect(Array.from(yield* Fiber.join(again)).at(-1)).toMatchObject({ status: "completed", moved: 0 })
    }))
}
