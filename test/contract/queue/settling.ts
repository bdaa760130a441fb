import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  bodies,
  makeQueue,
  type Needing,
  only,
  pass,
  receipts,
  receiveAll,
  sendAll,
  type TestQueue,
  type Tests
} from "./subject.ts"

const refused = { _tag: "ServiceError", reason: "InvalidRequest", retryable: false }

const nothingIsLeft = (queue: TestQueue) =>
  Effect.gen(function*() {
    yield* pass(1.1)
    expect(yield* receiveAll(queue)).toEqual([])
  })

export const settling = (it: Tests, needs: Needing): void => {
  it.effect("deletes messages, again too, as after a lost reply", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2, 3])
      const received = receipts(yield* receiveAll(queue, 1))
      for (let time = 0; time < 2; time++) {
        expect(yield* queue.backend.delete(received)).toEqual([undefined, undefined, undefined])
      }
      yield* nothingIsLeft(queue)
    }))

  needs("deletesTwiceAtOnce", "deletes a message that a batch has twice", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2, 3])
      const received = receipts(yield* receiveAll(queue, 1))
      expect(yield* queue.backend.delete([...received, ...received])).toEqual(
        Array.from({ length: 6 }, () => undefined)
      )
      yield* nothingIsLeft(queue)
    }))

  needs("ignoresOldReceipts", "says yes to an old receipt, and deletes nothing", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, ["a"])
      const old = receipts(yield* receiveAll(queue, 1))
      yield* pass(1.1)
      const valid = receipts(yield* receiveAll(queue, 1))
      expect(yield* queue.backend.delete(old)).toEqual([undefined])
      yield* pass(1.1)
      expect(bodies(yield* receiveAll(queue, 1))).toEqual(["a"])
      expect(valid).not.toEqual(old)
    }))

  needs("namesBadReceipts", "tells for each message whether it was deleted", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2])
      const [one = "", two = ""] = receipts(yield* receiveAll(queue, 1))
      expect(yield* queue.backend.delete([one, "nonsense", two])).toMatchObject([undefined, refused, undefined])
      yield* nothingIsLeft(queue)
    }))

  it.effect("deletes a message whose visibility has ended, if nobody has it", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, ["a"])
      const received = receipts(yield* receiveAll(queue, 1))
      yield* pass(1.1)
      expect(yield* queue.backend.delete(received)).toEqual([undefined])
      yield* nothingIsLeft(queue)
    }))

  it.effect("changes how long messages stay invisible: shorter, at once and longer", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, ["now", "soon", "later"])
      const received = yield* receiveAll(queue, 2)
      const seconds: Readonly<Record<string, number>> = { now: 0, soon: 1, later: 30 }
      const changes = received.map(({ body, receipt }) => ({ receipt, seconds: seconds[JSON.parse(body)] ?? 0 }))
      expect(yield* queue.backend.setVisibility(changes)).toEqual([undefined, undefined, undefined])
      expect(bodies(yield* receiveAll(queue))).toEqual(["now"])
      yield* pass(1.1)
      expect(bodies(yield* receiveAll(queue))).toEqual(["soon"])
      yield* pass(1.1)
      expect(yield* receiveAll(queue)).toEqual([])
    }))

  it.effect("does not change the visibility of what was deleted, and tells so for each", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, [1, 2])
      const [one = "", two = ""] = receipts(yield* receiveAll(queue))
      yield* queue.backend.delete([one])
      const changes = [one, two].map((receipt) => ({ receipt, seconds: 0 }))
      expect(yield* queue.backend.setVisibility(changes)).toMatchObject([refused, undefined])
      yield* only(yield* receiveAll(queue))
    }))

  needs("refusesVisibleMessages", "does not change the visibility of what is visible", () =>
    Effect.gen(function*() {
      const queue = yield* makeQueue({ fifo: false })
      yield* sendAll(queue, ["a"])
      const [receipt = ""] = receipts(yield* receiveAll(queue, 1))
      yield* pass(1.1)
      expect(yield* queue.backend.setVisibility([{ receipt, seconds: 30 }])).toMatchObject([refused])
      yield* only(yield* receiveAll(queue))
    }))
}
