import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bodies, makeQueue, type Needing, now, pass, receipts, receiveAll, sendAll, type Tests } from "./subject.ts"

export const fifo = (it: Tests, needs: Needing): void => {
  it.effect("gives the messages of a group in order, and group and ids with them", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: true })
      yield* queue.service.enqueue(0, { messageGroupId: "g", messageDeduplicationId: "d-0" })
      yield* sendAll(queue, [1, 2, 3, 4])
      const seen: Array<unknown> = []
      while (seen.length < 5) {
        const received = yield* queue.backend.receive(now)
        expect(received.length).toBeGreaterThan(0)
        seen.push(...bodies(received))
        for (const message of received) {
          expect(message.messageGroupId).toBe("g")
          expect(message.messageDeduplicationId).toMatch(seen.length === 1 ? /^d-0$/ : /^(d-0|[0-9a-f]{64})$/)
        }
        expect(yield* queue.backend.delete(receipts(received))).toEqual(received.map(() => undefined))
      }
      expect(seen).toEqual([0, 1, 2, 3, 4])
    }))

  needs("numbersInOrder", "numbers messages in the order in which they were sent", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: true })
      const numbers: Array<bigint> = []
      for (let n = 0; n < 5; n++) {
        const { sequenceNumber } = yield* queue.service.enqueue(n, { messageGroupId: n % 2 === 0 ? "a" : "b" })
        const [message] = yield* queue.backend.receive({ ...now, max: 1 })
        expect(message?.sequenceNumber).toBe(sequenceNumber)
        yield* queue.backend.delete([message?.receipt ?? ""])
        numbers.push(BigInt(sequenceNumber ?? "0"))
      }
      expect(numbers.every((number, index) => number > (numbers[index - 1] ?? 0n))).toBe(true)
    }))

  needs(
    "blocksGroups",
    "gives no other message of a group while one is in flight, and those of other groups",
    () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo: true })
        yield* sendAll(queue, ["a1", "a2"], "a")
        const [first] = yield* queue.backend.receive({ ...now, max: 1 })
        expect(first?.body).toBe("\"a1\"")
        yield* sendAll(queue, ["a3"], "a")
        expect(yield* receiveAll(queue)).toEqual([])
        yield* sendAll(queue, ["b1"], "b")
        expect(bodies(yield* receiveAll(queue))).toEqual(["b1"])
        yield* queue.backend.delete([first?.receipt ?? ""])
        const [second] = yield* queue.backend.receive({ ...now, max: 1 })
        expect(second?.body).toBe("\"a2\"")
      })
  )

  it.effect("gives the first message of a group again before the others", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: true })
      yield* sendAll(queue, ["a1", "a2"])
      const [first] = yield* queue.backend.receive({ ...now, max: 1, visibilitySeconds: 1 })
      yield* pass(1.1)
      const [again] = yield* queue.backend.receive({ ...now, max: 1 })
      expect([first?.body, again?.body]).toEqual(["\"a1\"", "\"a1\""])
      expect(yield* queue.backend.setVisibility([{ receipt: again?.receipt ?? "", seconds: 0 }])).toEqual([undefined])
      const [third] = yield* queue.backend.receive({ ...now, max: 1 })
      expect(third?.body).toBe("\"a1\"")
    }))

  needs("severalOfOneGroup", "gives several of one group at once", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: true })
      yield* sendAll(queue, [1, 2, 3])
      expect(bodies(yield* queue.backend.receive({ ...now, max: 2 }))).toEqual([1, 2])
    }))

  needs("blocksGroups", "gives none of a group until all that it has given are settled", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: true })
      yield* sendAll(queue, [1, 2, 3])
      const received = yield* queue.backend.receive({ ...now, max: 2 })
      if (received.length < 2) return
      const [one = "", two = ""] = receipts(received)
      yield* queue.backend.delete([one])
      expect(yield* receiveAll(queue)).toEqual([])
      yield* queue.backend.setVisibility([{ receipt: two, seconds: 0 }])
      expect(bodies(yield* queue.backend.receive(now))).toEqual([2, 3])
    }))

  needs(
    "refusesLateFifoDeletes",
    "does not delete by a receipt whose visibility has ended",
    () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo: true })
        yield* sendAll(queue, ["a"])
        const late = receipts(yield* receiveAll(queue, 1))
        yield* pass(1.1)
        expect(yield* queue.backend.delete(late)).toMatchObject([{ reason: "InvalidRequest", retryable: false }])
        expect(bodies(yield* receiveAll(queue))).toEqual(["a"])
      })
  )

  needs(
    "answersDuplicates",
    "accepts one of the messages with one deduplication id, also when it was deleted",
    () =>
      Effect.gen(function*() {
        const queue = yield* makeQueue({ fifo: true })
        const options = { messageGroupId: "g", messageDeduplicationId: "d" }
        const first = yield* queue.service.enqueue(1, options)
        yield* queue.backend.delete(receipts(yield* receiveAll(queue)))
        const second = yield* queue.service.enqueue(2, options)
        expect(second.messageId).toBe(first.messageId)
        expect(yield* receiveAll(queue)).toEqual([])
      })
  )
}
