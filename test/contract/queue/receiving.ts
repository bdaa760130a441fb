import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { bodies, makeQueue, type Needing, now, only, pass, receiveAll, sendAll, type Tests } from "./subject.ts"

export const receiving = (it: Tests, needs: Needing): void => {
  it.effect("gives what was sent, with all that belongs to it", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      const hash = new Uint8Array([0, 255])
      const sent = yield* queue.service.enqueue({ a: ["é", 1] }, {
        attributes: { kind: "scan", size: 1.5, big: "12345678901234567890", hash }
      })
      const message = yield* only(yield* receiveAll(queue))
      expect(message).toEqual({
        messageId: sent.messageId,
        receipt: expect.stringMatching(/./),
        body: "{\"a\":[\"é\",1]}",
        attributes: {
          kind: { type: "String", value: "scan" },
          size: { type: "Number", value: "1.5" },
          big: { type: "String", value: "12345678901234567890" },
          hash: { type: "Binary", value: expect.any(Uint8Array) }
        },
        receiveCount: 1,
        sentAt: expect.any(Number),
        messageGroupId: undefined,
        messageDeduplicationId: undefined,
        sequenceNumber: undefined,
        traceHeader: undefined
      })
      expect(Array.from(message.attributes["hash"]?.value as Uint8Array)).toEqual([0, 255])
    }))

  it.effect("gives no more than is asked for, and nothing where there is nothing", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      expect(yield* queue.backend.receive(now)).toEqual([])
      const payloads = Array.from({ length: 12 }, (_, index) => index)
      yield* sendAll(queue, payloads)
      expect(yield* queue.backend.receive({ ...now, max: 1 })).toHaveLength(1)
      expect((yield* queue.backend.receive(now)).length).toBeLessThanOrEqual(10)
      yield* receiveAll(queue)
      yield* queue.backend.purge
      yield* sendAll(queue, payloads)
      expect(new Set(bodies(yield* receiveAll(queue)))).toEqual(new Set(payloads))
    }))

  it.effect("gives a message again when its visibility has ended", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, ["a"])
      const first = yield* only(yield* receiveAll(queue, 1))
      expect(yield* receiveAll(queue)).toEqual([])
      yield* pass(1.1)
      const second = yield* only(yield* receiveAll(queue))
      expect(second.messageId).toBe(first.messageId)
      expect(second.sentAt).toBe(first.sentAt)
      expect(second.receipt).not.toBe(first.receipt)
      expect([first.receiveCount, second.receiveCount]).toEqual([1, 2])
    }))

  it.effect("waits for a first message, and no longer than asked", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      const empty = yield* Effect.fork(queue.backend.receive({ ...now, waitSeconds: 1 }))
      yield* pass(1.1)
      expect(yield* Fiber.join(empty)).toEqual([])
      const poll = yield* Effect.fork(queue.backend.receive({ ...now, waitSeconds: 3 }))
      yield* pass(0.2)
      expect(yield* Fiber.poll(poll)).toMatchObject({ _tag: "None" })
      yield* sendAll(queue, ["came"])
      expect(bodies(yield* Fiber.join(poll))).toEqual(["came"])
    }))

  it.effect("keeps a delayed message back", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* queue.service.enqueue("later", { delay: "1 seconds" })
      expect(yield* receiveAll(queue)).toEqual([])
      yield* pass(1.1)
      expect(bodies(yield* receiveAll(queue))).toEqual(["later"])
    }))

  needs(
    "endsAbortedPolls",
    "may be interrupted while it waits; the next poll gets the message",
    () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo: false })
        const poll = yield* Effect.fork(queue.backend.receive({ ...now, waitSeconds: 20 }))
        yield* pass(0.2)
        yield* Fiber.interrupt(poll)
        // A server may notice only now that nobody waits.
        yield* pass(0.2)
        yield* sendAll(queue, ["a"])
        expect(bodies(yield* receiveAll(queue))).toEqual(["a"])
      })
  )
}
