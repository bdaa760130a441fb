/** One message: its id stays with its effect until its success was seen. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import type { Message } from "../../../../../src/aws/internal/queue/message.ts"
import { accepted, error, scripted, wantsId } from "../../../../support/aws/scriptedQueue.ts"
import { interruptAt } from "../../../../support/interruptAt.ts"

const group = { messageGroupId: "g" }
const lost = error({ reason: "ConnectionLost", outcome: "unknown" })

/** A FIFO queue that does not deduplicate by content, and what it delivers. */
const strict = (
  answer: (request: number, isNew: boolean) => Effect.Effect<"accept" | "lose"> = () => Effect.succeed("accept")
) => {
  const delivered = new Map<string, string>()
  const { queue, requests } = scripted({
    kind: "fifo",
    answer: (messages, request) =>
      Effect.map(
        answer(request, !messages.some(({ messageDeduplicationId }) => delivered.has(messageDeduplicationId ?? ""))),
        (what) => {
          if (messages.some(({ messageDeduplicationId }) => messageDeduplicationId === undefined)) return wantsId
          for (const { body, messageDeduplicationId } of messages) delivered.set(messageDeduplicationId ?? "", body)
          return what === "lose" ? lost : accepted(messages)
        }
      )
  })
  return { queue, requests, delivered: () => [...delivered.values()] }
}

const idsOf = (requests: ReadonlyArray<ReadonlyArray<Message>>): ReadonlyArray<string | undefined> =>
  requests.flat().map(({ messageDeduplicationId }) => messageDeduplicationId)

describe("a deduplication id", () => {
  it.effect("is made once a queue has refused a message without", () =>
    Effect.gen(function*() {
      const { delivered, queue, requests } = strict()
      yield* queue.enqueue(1, group)
      yield* queue.enqueue(2, group)
      yield* queue.enqueue(3, { ...group, messageDeduplicationId: "mine" })
      const [first, second, third, fourth] = idsOf(requests)
      expect([first, fourth]).toEqual([undefined, "mine"])
      for (const id of [second, third]) expect(id).toMatch(/^[0-9a-f-]{36}$/)
      expect(delivered()).toEqual(["1", "2", "3"])
    }))

  it.effect("is not made for a queue that deduplicates by content, nor for one that is not FIFO", () =>
    Effect.gen(function*() {
      for (const kind of ["fifo", "standard"] as const) {
        const { queue, requests } = scripted({ kind, answer: (messages) => Effect.succeed(accepted(messages)) })
        yield* queue.enqueue(1, group)
        expect(idsOf(requests)).toEqual([undefined])
      }
      const refused = scripted({ kind: "fifo", answer: () => Effect.succeed(error({ reason: "InvalidRequest" })) })
      expect(yield* Effect.flip(refused.queue.enqueue(1, group))).toMatchObject({ reason: "InvalidRequest" })
      expect(refused.requests).toHaveLength(1)
    }))

  it.effect("is the same in a retry, and the message too; a repeat is another message", () =>
    Effect.gen(function*() {
      const { delivered, queue, requests } = strict((request) => Effect.succeed(request === 1 ? "lose" : "accept"))
      const send = queue.enqueueTimestamped({ n: 1 }, group)
      yield* Effect.fork(Effect.retry(send, { times: 1, schedule: Schedule.spaced("2 minutes") }))
      yield* TestClock.adjust("2 minutes")
      const [, lostId, retriedId] = idsOf(requests)
      expect(retriedId).toBe(lostId)
      expect(requests[2]?.[0]?.body).toBe(requests[1]?.[0]?.body)
      expect(delivered()).toHaveLength(1)
      yield* Effect.repeatN(send, 1)
      expect(delivered()).toHaveLength(3)
      expect(JSON.parse(delivered()[2] ?? "")).toEqual({ n: 1, created_at: "1970-01-01T00:02:00.000Z" })
    }))

  it.effect("is forgotten when the queue has forgotten it", () =>
    Effect.gen(function*() {
      const { delivered, queue } = strict((request) => Effect.succeed(request === 1 ? "lose" : "accept"))
      const send = queue.enqueueTimestamped({ n: 1 }, group)
      expect(yield* Effect.flip(send)).toMatchObject({ outcome: "unknown" })
      yield* TestClock.adjust("5 minutes")
      yield* send
      expect(delivered()).toHaveLength(2)
    }))

  it.effect("stays after a timeout, also of one that fires as the reply arrives", () =>
    Effect.gen(function*() {
      const { delivered, queue } = strict((request) =>
        Effect.delay(Effect.succeed("accept"), request === 1 ? "1 minute" : 0)
      )
      const send = queue.enqueue(1, group)
      const fiber = yield* Effect.fork(
        Effect.retry(Effect.timeout(Effect.tap(send, Effect.yieldNow()), "1 minute"), { times: 3 })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      expect(delivered()).toHaveLength(1)
    }))

  it.effect("is another one for each run at the same time", () =>
    Effect.gen(function*() {
      const { delivered, queue, requests } = strict((request, isNew) =>
        Effect.succeed(request > 1 && isNew ? "lose" : "accept")
      )
      yield* queue.enqueue(0, group)
      const send = queue.enqueue(1, group)
      const results = yield* Effect.all([send, send, send].map((run) => Effect.retry(run, { times: 1 })), {
        concurrency: "unbounded"
      })
      expect(results).toHaveLength(3)
      expect(delivered()).toHaveLength(4)
      expect(new Set(idsOf(requests)).size).toBeGreaterThan(3)
    }))

  it.effect("is not kept by a finalizer of an interrupted fiber, which sees its success", () =>
    Effect.gen(function*() {
      const { delivered, queue } = strict()
      const send = queue.enqueue("bye", group)
      for (let run = 0; run < 2; run++) {
        const fiber = yield* Effect.fork(Effect.ensuring(Effect.never, Effect.orDie(send)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
      }
      expect(delivered()).toHaveLength(2)
    }))

  it.effect("stays after an interruption at any step, unless the success was seen", () =>
    Effect.gen(function*() {
      let interrupted = true
      let sent = 0
      let between = 0
      for (let steps = 1; interrupted; steps++) {
        const { delivered, queue } = strict(() => Effect.as(Effect.yieldNow(), "accept"))
        yield* queue.enqueue("first", group)
        const send = queue.enqueue("message", group)
        let seen = false
        interrupted = yield* interruptAt(
          Effect.flatMap(send, () => {
            seen = true
            return Effect.void
          }),
          steps
        )
        const before = delivered().length
        sent += before - 1
        if (!seen) yield* send
        if (delivered().length === 3) between++
        else expect(delivered()).toHaveLength(2)
      }
      // The one step between the end of the run and whoever asked for it.
      expect(between).toBeLessThanOrEqual(1)
      expect(sent).toBeGreaterThan(3)
    }))
})
describe("a message of a standard queue", () => {
  it.effect("is made anew for each run", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({
        answer: (messages, request) => Effect.succeed(request === 0 ? lost : accepted(messages))
      })
      const send = queue.enqueueTimestamped({ n: 1 })
      expect(yield* Effect.exit(send)).toSatisfy(Exit.isFailure)
      yield* TestClock.adjust("1 minute")
      yield* send
      expect(JSON.parse(requests[1]?.[0]?.body ?? "")).toEqual({ n: 1, created_at: "1970-01-01T00:01:00.000Z" })
    }))

  it.effect("carries the header of X-Ray", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({ answer: (messages) => Effect.succeed(accepted(messages)) })
      const traceHeader = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
      yield* queue.enqueue(1, { traceHeader })
      expect(requests[0]?.[0]?.traceHeader).toBe(traceHeader)
      for (const bad of ["", "Root=1", "x", `${traceHeader};=`, `a b;${traceHeader}`, "x".repeat(1025), 7 as never]) {
        expect(yield* Effect.flip(queue.enqueue(1, { traceHeader: bad }))).toMatchObject({
          reason: "InvalidInput",
          field: "traceHeader"
        })
      }
    }))
})
