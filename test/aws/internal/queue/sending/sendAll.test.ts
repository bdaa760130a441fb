/** Any number of messages, over a queue that answers as it is told. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { ofSchema } from "../../../../../src/aws/internal/queue/codec.ts"
import type { Message } from "../../../../../src/aws/internal/queue/message.ts"
import type { Outgoing } from "../../../../../src/aws/internal/queue/model.ts"
import * as Service from "../../../../../src/aws/internal/queue/service.ts"
import { type Result, results, told } from "../../../../support/aws/enqueueAll.ts"
import { accepted, error, scripted } from "../../../../support/aws/scriptedQueue.ts"
import { interruptEverywhere } from "../../../../support/interruptAt.ts"

/** Pauses end at once. */
const immediate: Clock.Clock = { ...Clock.make(), sleep: () => Effect.yieldNow() }

const numbers = (count: number): ReadonlyArray<Outgoing<unknown>> =>
  Array.from({ length: count }, (_, n) => ({ payload: n }))

const accepting = () => scripted({ answer: (messages) => Effect.succeed(accepted(messages)) })

const ids = (count: number) => Array.from({ length: count }, (_, n) => `id of ${n}`)
const size = ({ body }: Message): number => Buffer.byteLength(body)

describe("enqueueAll", () => {
  it.effect("sends none, one and many, and gives the results in order", () =>
    Effect.gen(function*() {
      for (const count of [0, 1, 10, 11, 1234]) {
        for (const source of [numbers(count), Stream.fromIterable(numbers(count)), new Set(numbers(count))]) {
          const { queue, requests } = accepting()
          expect(told(yield* results(queue.enqueueAll(source)))).toEqual(ids(count))
          expect(requests.flat().map(({ body }) => body)).toEqual(numbers(count).map(({ payload }) => String(payload)))
          expect(requests).toHaveLength(Math.ceil(count / 10))
        }
      }
    }))

  it.effect("fills batches by count and by bytes, attributes included", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const large = { payload: "x".repeat(300_000), attributes: { a: "y".repeat(50_000) } }
      const messages = [...numbers(3), ...Array.from({ length: 7 }, () => large), ...numbers(20)]
      expect(yield* results(queue.enqueueAll(messages))).toHaveLength(30)
      for (const request of requests) {
        expect(request.length).toBeLessThanOrEqual(10)
        expect(request.reduce((sum, one) => sum + size(one) + (size(one) > 100 ? 50_007 : 0), 0)).toBeLessThanOrEqual(
          1_048_576
        )
      }
      expect(requests.length).toBeLessThanOrEqual(6)
    }))

  it.effect("refuses what is wrong with one message, and sends the others", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const messages = [
        { payload: 1 },
        { payload: new Map() },
        { payload: "x".repeat(1_048_576) },
        null as never,
        { payload: 2, delay: "1 hour" as const },
        { payload: 3, messageDeduplicationId: "d" },
        { payload: 4 }
      ]
      const all = yield* results(queue.enqueueAll(messages))
      expect(told(all)).toEqual([
        "id of 1",
        "InvalidInput",
        "PayloadTooLarge",
        "InvalidInput",
        "InvalidInput",
        "InvalidInput",
        "id of 4"
      ])
      expect(all[1]).toMatchObject({ left: { operation: "enqueueAll", field: "payload", attempts: 0 } })
      expect(requests.flat()).toHaveLength(2)
    }))

  it.effect("encodes by a schema, also by one that waits", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const Slow = Schema.transformOrFail(Schema.String, Schema.Number, {
        strict: true,
        decode: (text) => Effect.succeed(Number(text)),
        encode: (number) => Effect.delay(Effect.succeed(`n${number}`), "1 second")
      })
      for (const schema of [Schema.NumberFromString, Slow]) {
        const typed = Service.typed(queue, ofSchema(schema))
        const messages = [{ payload: 1 }, { payload: "HIV" as never }, { payload: 3 }]
        for (const source of [messages, Stream.fromIterable(messages)]) {
          const all = yield* results(typed.enqueueAll(source))
          expect(all.map(Either.isRight)).toEqual([true, false, true])
          expect(JSON.stringify(all)).not.toContain("HIV")
        }
      }
      expect(requests.flat().map(({ body }) => body)).toEqual([
        ...["\"1\"", "\"3\"", "\"1\"", "\"3\""],
        ...["\"n1\"", "\"n3\"", "\"n1\"", "\"n3\""]
      ])
    }))

  it.effect("sends the bytes of an attribute as they were read, whatever becomes of their array", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const bytes = new Uint8Array(1)
      const source = function*() {
        for (let n = 0; n < 3; n++) {
          bytes[0] = n
          yield { payload: n, attributes: { bytes } }
        }
      }
      yield* Stream.runDrain(queue.enqueueAll(source()))
      expect(requests.flat().map(({ attributes }) => attributes["bytes"]?.value)).toEqual(
        [0, 1, 2].map((n) => new Uint8Array([n]))
      )
    }))

  it.effect("sends a batch as soon as it is encoded, also where encoding waits", () =>
    Effect.gen(function*() {
      const Slow = Schema.transformOrFail(Schema.String, Schema.Number, {
        strict: true,
        decode: (text) => Effect.succeed(Number(text)),
        encode: (number) => Effect.delay(Effect.succeed(`n${number}`), "1 second")
      })
      for (const kind of ["standard", "fifo"] as const) {
        const messages = Array.from({ length: 100 }, (_, n) => ({ payload: n, messageGroupId: `g${n}` }))
        for (const source of [messages, Stream.fromIterable(messages)]) {
          const { queue, requests } = scripted({ kind, answer: (sent) => Effect.succeed(accepted(sent)) })
          const fiber = yield* Effect.fork(
            Stream.runDrain(Service.typed(queue, ofSchema(Slow)).enqueueAll(source))
          )
          yield* TestClock.adjust("10 seconds")
          expect(requests.map(({ length }) => length)).toEqual([10])
          yield* Fiber.interrupt(fiber)
        }
      }
    }))

  it.effect("sends as many batches at a time as it is told, and reads no further than it must", () =>
    Effect.gen(function*() {
      for (const concurrency of [1, 3]) {
        let open = 0
        let most = 0
        const gate = yield* Deferred.make<void>()
        const { queue } = scripted({
          answer: (messages) =>
            Effect.gen(function*() {
              most = Math.max(most, ++open)
              yield* Deferred.await(gate)
              open--
              return accepted(messages)
            })
        })
        let read = 0
        const source = function*() {
          while (read < 1000) yield { payload: read++ }
        }
        const fiber = yield* Effect.fork(Stream.runCollect(queue.enqueueAll(source(), { concurrency })))
        yield* TestClock.adjust("1 minute")
        expect(open).toBe(concurrency)
        expect(read).toBe(concurrency * 20)
        yield* Deferred.succeed(gate, undefined)
        expect(yield* Fiber.join(fiber)).toHaveLength(1000)
        expect(most).toBe(concurrency)
      }
    }))

  it.effect("is bound by bytes, whatever the source", () =>
    Effect.gen(function*() {
      const { queue } = scripted({ answer: () => Effect.never })
      const payload = "x".repeat(1_000_000)
      let made = 0
      const source = function*() {
        while (made < 10_000) yield { payload: made++ < 0 ? "" : payload }
      }
      for (const messages of [source(), Stream.fromIterable(source()).pipe(Stream.rechunk(1))]) {
        made = 0
        const fiber = yield* Effect.fork(Stream.runDrain(queue.enqueueAll(messages, { concurrency: 2 })))
        yield* TestClock.adjust("1 minute")
        if (Symbol.iterator in messages) expect(made).toBeLessThanOrEqual(6)
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("waits for whoever reads the results", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const taken = yield* Stream.runCollect(Stream.take(queue.enqueueAll(numbers(10_000), { concurrency: 1 }), 3))
      expect(taken).toHaveLength(3)
      expect(requests.length).toBeLessThanOrEqual(4)
    }))

  it.effect("sends at once what a slow source gives", () =>
    Effect.gen(function*() {
      const { queue } = accepting()
      const seen: Array<string> = []
      const source = Stream.concat(Stream.fromIterable(numbers(2)), Stream.never)
      const fiber = yield* Effect.fork(
        Stream.runForEach(queue.enqueueAll(source), (result) => Effect.sync(() => void seen.push(...told([result]))))
      )
      yield* TestClock.adjust("1 second")
      expect(seen).toEqual(ids(2))
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("tries again what is not the sender's fault, with pauses, a few times", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({
        answer: (messages, request) =>
          Effect.succeed(
            messages.map(({ body }): Result =>
              body === "1" || (body === "2" && request < 3)
                ? Either.left(error({ reason: "Throttled" }))
                : body === "3"
                ? Either.left(error({ reason: "InvalidRequest", retryable: false }))
                : Either.right({ messageId: `id of ${body}` })
            )
          )
      })
      const all = yield* results(queue.enqueueAll(numbers(5)))
      expect(told(all)).toEqual(["id of 0", "Throttled", "id of 2", "InvalidRequest", "id of 4"])
      expect(all[1]).toMatchObject({ left: { attempts: 5, retryable: true } })
      expect(requests.map((request) => request.map(({ body }) => body).join(""))).toEqual([
        "01234",
        "12",
        "12",
        "12",
        "1"
      ])
    }))

  it.effect("does not send again on a standard queue what may be in it", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({
        answer: () => Effect.succeed(error({ reason: "ConnectionLost", outcome: "unknown" }))
      })
      const all = yield* results(queue.enqueueAll(numbers(2)))
      expect(all).toMatchObject([1, 2].map(() => ({ left: { outcome: "unknown", retryable: true } })))
      expect(requests).toHaveLength(1)
    }))

  it.effect("finds the one for which a whole request is refused", () =>
    Effect.gen(function*() {
      const { queue } = scripted({
        answer: (messages) =>
          Effect.succeed(
            messages.some(({ body }) => body === "7")
              ? error({ reason: "InvalidRequest", retryable: false, status: 400 })
              : accepted(messages)
          )
      })
      expect(told(yield* results(queue.enqueueAll(numbers(10))))).toEqual(
        ids(10).map((id, n) => n === 7 ? "InvalidRequest" : id)
      )
    }))

  it.effect("reports what was read before the source fails, dies or throws", () =>
    Effect.gen(function*() {
      const failing = Stream.concat(Stream.fromIterable(numbers(25)), Stream.fail("source" as const))
      const dying = Stream.concat(Stream.fromIterable(numbers(25)), Stream.die("source"))
      const throwing = (function*() {
        yield* numbers(25)
        throw new Error("source")
      })()
      for (const source of [failing, dying, throwing]) {
        const { queue, requests } = accepting()
        const seen: Array<string> = []
        const exit = yield* Effect.exit(
          Stream.runForEach(queue.enqueueAll(source), (result) => Effect.sync(() => void seen.push(...told([result]))))
        )
        expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("source")
        expect(seen).toEqual(ids(25))
        expect(requests.flat()).toHaveLength(25)
      }
    }))

  it.effect("closes its source: an iterator, and a stream", () =>
    Effect.gen(function*() {
      let closed = 0
      const iterator = function*() {
        try {
          yield* numbers(100_000)
        } finally {
          closed++
        }
      }
      const stream = Stream.ensuring(Stream.fromIterable(numbers(100_000)), Effect.sync(() => void closed++))
      for (const source of [() => iterator(), () => stream]) {
        const { queue } = accepting()
        yield* Stream.runDrain(Stream.take(queue.enqueueAll(source()), 1))
        yield* results(Stream.take(queue.enqueueAll(source()), 0))
      }
      expect(closed).toBeGreaterThanOrEqual(2)
      const { queue } = scripted({ answer: () => Effect.never })
      for (const source of [iterator(), stream]) {
        const before = closed
        const fiber = yield* Effect.fork(Stream.runDrain(queue.enqueueAll(source)))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        expect(closed).toBe(before + 1)
      }
    }))

  it.effect("passes on a defect of what sends", () =>
    Effect.gen(function*() {
      const { queue } = scripted({ answer: () => Effect.die("broken") })
      const exit = yield* Effect.exit(Stream.runDrain(queue.enqueueAll(numbers(100))))
      expect(String(exit)).toContain("broken")
    }))

  it.effect("takes no concurrency that is none", () =>
    Effect.gen(function*() {
      for (const concurrency of [0, -1, 1.5, NaN, "8" as never]) {
        const exit = yield* Effect.exit(Stream.runDrain(accepting().queue.enqueueAll(numbers(1), { concurrency })))
        expect(Exit.isFailure(exit)).toBe(true)
      }
    }))

  it.live("ends after an interruption at any step, and leaves nothing running", () =>
    Effect.gen(function*() {
      let open = 0
      const { queue } = scripted({
        kind: "fifo",
        answer: (messages, request) =>
          Effect.ensuring(
            Effect.suspend(() => {
              open++
              return Effect.as(
                Effect.yieldNow(),
                request % 3 === 0 ? error({ reason: "Throttled" }) : accepted(messages)
              )
            }),
            Effect.sync(() => void open--)
          )
      })
      const messages = Array.from({ length: 12 }, (_, n) => ({ payload: n, messageGroupId: `g${n % 2}` }))
      const withoutPauses = <A, E>(effect: Effect.Effect<A, E>) => Effect.withClock(effect, immediate)
      yield* interruptEverywhere(withoutPauses(Stream.runDrain(queue.enqueueAll(messages, { concurrency: 2 }))))
      expect(open).toBe(0)
    }))
})
