/** Any number of messages, over a queue that answers as it is told. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { TestContext } from "effect/TestContext"
import type { Enqueued } from "../../../../../src/aws/internal/queue/backend.ts"
import { ofSchema } from "../../../../../src/aws/internal/queue/codec.ts"
import type { Message } from "../../../../../src/aws/internal/queue/message.ts"
import type { Outgoing } from "../../../../../src/aws/internal/queue/model.ts"
import * as Service from "../../../../../src/aws/internal/queue/service.ts"
import type { ServiceError } from "../../../../../src/Errors.ts"
import { interruptEverywhere } from "../../../../support/aws/interruptAt.ts"
import { accepted, error, scripted, wantsId } from "../../../../support/aws/scriptedQueue.ts"

/** Pauses end at once. */
const immediate: Clock.Clock = { ...Clock.make(), sleep: () => Effect.yieldNow() }

type Result = Either.Either<Enqueued, ServiceError>

const numbers = (count: number): ReadonlyArray<Outgoing<unknown>> =>
  Array.from({ length: count }, (_, n) => ({ payload: n }))

const accepting = () => scripted({ answer: (messages) => Effect.succeed(accepted(messages)) })

/** All results, as time passes. */
const results = <E>(stream: Stream.Stream<Result, E>): Effect.Effect<ReadonlyArray<Result>, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Stream.runCollect(stream))
    while ((yield* Fiber.poll(fiber))._tag === "None") yield* TestClock.adjust("1 minute")
    return Chunk.toReadonlyArray(yield* Fiber.join(fiber))
  })

const told = (results: ReadonlyArray<Result>): ReadonlyArray<string> =>
  results.map(Either.match({ onLeft: ({ reason }) => reason, onRight: ({ messageId }) => messageId }))

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

  it.effect("sends it again on a FIFO queue, with the same id, and remembers that it may be in", () =>
    Effect.gen(function*() {
      const lost = error({ reason: "ConnectionLost", outcome: "unknown" })
      const { queue, requests } = scripted({
        kind: "fifo",
        answer: (messages, request) =>
          Effect.succeed(
            messages.some(({ messageDeduplicationId }) => messageDeduplicationId === undefined)
              ? wantsId
              : messages[0]?.body === "1"
              ? request === 5 ? error({ reason: "AccessDenied", retryable: false }) : lost
              : request < 3
              ? lost
              : accepted(messages)
          )
      })
      const [first, second] = yield* results(queue.enqueueAll([
        { payload: 0, messageGroupId: "a" },
        { payload: 1, messageGroupId: "a" }
      ]))
      expect(first).toMatchObject({ right: { messageId: "id of 0" } })
      expect(second).toMatchObject({ left: { reason: "AccessDenied", outcome: "unknown", attempts: 2 } })
      const idOf = (body: string) =>
        new Set(requests.slice(1).flat().filter((one) => one.body === body).map((one) => one.messageDeduplicationId))
      expect([idOf("0").size, idOf("1").size]).toEqual([1, 1])
    }))

  it.effect("does not send again when the queue may have forgotten the id", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({
        kind: "fifo",
        answer: () => Effect.delay(Effect.succeed(error({ reason: "ReadTimeout", outcome: "unknown" })), "90 seconds")
      })
      const all = yield* results(queue.enqueueAll([{ payload: 0, messageGroupId: "a" }]))
      expect(all).toMatchObject([{ left: { outcome: "unknown" } }])
      expect(requests).toHaveLength(2)
    }))

  it.effect("gives ids where a batch lacks them: to those that were refused, once", () =>
    Effect.gen(function*() {
      const { queue, requests } = scripted({
        kind: "fifo",
        answer: (messages) =>
          Effect.succeed(messages.map((one): Result =>
            one.messageDeduplicationId === undefined
              ? Either.left(wantsId)
              : Either.right({ messageId: one.messageDeduplicationId })
          ))
      })
      const all = yield* results(queue.enqueueAll([
        { payload: 0, messageGroupId: "a" },
        { payload: 1, messageGroupId: "b", messageDeduplicationId: "mine" },
        { payload: 2, messageGroupId: "c" }
      ]))
      expect(all.map(Either.isRight)).toEqual([true, true, true])
      expect(all[1]).toMatchObject({ right: { messageId: "mine" } })
      expect(requests.map(({ length }) => length)).toEqual([3, 2])
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

  it.effect("keeps the order of a group: one at a time, and none after one that failed", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      let open: Array<string> = []
      const { queue } = scripted({
        kind: "fifo",
        answer: (messages, request) =>
          Effect.gen(function*() {
            const groups = messages.map(({ messageGroupId }) => messageGroupId ?? "")
            expect(new Set([...groups, ...open]).size).toBe(groups.length + open.length)
            open.push(...groups)
            yield* Effect.sleep(`${(request * 7) % 5} seconds`)
            open = open.filter((group) => !groups.includes(group))
            return messages.map(({ body }): Result => {
              if (body === "\"b3\"") return Either.left(error({ reason: "InvalidRequest", retryable: false }))
              if (body === "\"c2\"" && request % 3 !== 0) return Either.left(error({ reason: "Throttled" }))
              sent.push(JSON.parse(body))
              return Either.right({ messageId: body })
            })
          })
      })
      const messages = Array.from({ length: 60 }, (_, n) => ({
        payload: `${"abc"[n % 3]}${Math.floor(n / 3)}`,
        messageGroupId: "abc"[n % 3] as string
      }))
      messages[3 * 10 + 2] = { payload: new Map() as never, messageGroupId: "c" }
      const all = yield* results(queue.enqueueAll(messages))
      const of = (group: number) => all.filter((_, n) => n % 3 === group)
      expect(of(0).every(Either.isRight)).toBe(true)
      expect(told(of(1)).slice(3)).toEqual(["InvalidRequest", ...Array.from({ length: 16 }, () => "Conflict")])
      expect(told(of(2)).slice(10)).toEqual(["InvalidInput", ...Array.from({ length: 9 }, () => "Conflict")])
      expect(of(1)[4]).toMatchObject({
        left: {
          retryable: false,
          attempts: 0,
          detail: "it was not sent: an earlier message of its group failed (InvalidRequest)"
        }
      })
      for (const group of "abc") {
        const own = sent.filter((text) => text.startsWith(group))
        expect(own).toEqual(own.map((_, n) => `${group}${n}`))
      }
      expect(sent.filter((text) => text.startsWith("c"))).toHaveLength(10)
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

  it("loses nothing and keeps every order, whatever fails", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(
        FastCheck.record({
          fifo: FastCheck.boolean(),
          concurrency: FastCheck.integer({ min: 1, max: 4 }),
          asStream: FastCheck.boolean(),
          messages: FastCheck.array(
            FastCheck.record({
              group: FastCheck.integer({ min: 0, max: 4 }),
              bytes: FastCheck.oneof(
                { weight: 20, arbitrary: FastCheck.integer({ min: 0, max: 100 }) },
                { weight: 2, arbitrary: FastCheck.constant(400_000) },
                { weight: 1, arbitrary: FastCheck.constant(1_100_000) }
              )
            }),
            { maxLength: 60 }
          ),
          answers: FastCheck.infiniteStream(
            FastCheck.record({
              request: FastCheck.constantFrom("ok", "ok", "ok", "ok", "throttled", "lost", "lost and done", "refused"),
              entry: FastCheck.array(FastCheck.constantFrom("ok", "ok", "ok", "throttled", "refused", "unknown"), {
                minLength: 10,
                maxLength: 10
              }),
              seconds: FastCheck.integer({ min: 0, max: 3 })
            })
          )
        }),
        ({ answers, asStream, concurrency, fifo, messages }) =>
          Effect.runPromise(Effect.provide(
            Effect.gen(function*() {
              const delivered: Array<{ readonly n: number; readonly group: number; readonly id: string }> = []
              const deliver = (message: Message): void => {
                const { group, n } = JSON.parse(message.body) as { readonly n: number; readonly group: number }
                const id = message.messageDeduplicationId ?? `content ${n}`
                if (!fifo || !delivered.some((one) => one.id === id)) delivered.push({ n, group, id })
              }
              const certain = error({ reason: "Throttled" })
              const refused = error({ reason: "InvalidRequest", retryable: false })
              const unknown = error({ reason: "ConnectionLost", outcome: "unknown" })
              const { queue } = scripted({
                kind: fifo ? "fifo" : "standard",
                answer: (sent) =>
                  Effect.suspend(() => {
                    const { entry, request, seconds } = answers.next().value
                    const answer = Effect.sync(() => {
                      if (request === "throttled") return certain
                      if (request === "refused") return refused
                      if (request === "lost") return unknown
                      if (request === "lost and done") {
                        sent.forEach(deliver)
                        return unknown
                      }
                      return sent.map((message, index): Result => {
                        if (entry[index] === "throttled") return Either.left(certain)
                        if (entry[index] === "refused") return Either.left(refused)
                        deliver(message)
                        return entry[index] === "unknown"
                          ? Either.left(unknown)
                          : Either.right({ messageId: message.body })
                      })
                    })
                    return Effect.delay(answer, seconds * 1000)
                  })
              })
              const outgoing = messages.map(({ bytes, group }, n) => ({
                payload: { n, group, text: "x".repeat(bytes) },
                ...(fifo ? { messageGroupId: String(group) } : {})
              }))
              const all = yield* results(
                queue.enqueueAll(asStream ? Stream.fromIterable(outgoing) : outgoing, { concurrency })
              )
              expect(all).toHaveLength(messages.length)
              all.forEach((result, n) => {
                const times = delivered.filter((one) => one.n === n).length
                // Each result belongs to its message.
                if (Either.isRight(result)) {
                  expect(JSON.parse(result.right.messageId)).toMatchObject({ n })
                  expect(times).toBe(1)
                } else if (result.left.outcome === undefined) {
                  expect(times).toBe(0)
                } else {
                  expect(times).toBeLessThanOrEqual(1)
                }
                if (messages[n]?.bytes === 1_100_000 && !fifo) expect(told([result])).toEqual(["PayloadTooLarge"])
              })
              if (fifo) {
                for (let group = 0; group < 5; group++) {
                  const own = delivered.filter((one) => one.group === group).map(({ n }) => n)
                  expect(own).toEqual([...own].sort((a, b) => a - b))
                  // Nothing follows what failed.
                  const ofGroup = all.filter((_, n) => messages[n]?.group === group)
                  const failure = ofGroup.findIndex(Either.isLeft)
                  if (failure >= 0) {
                    for (const told of ofGroup.slice(failure + 1)) expect(Either.isLeft(told)).toBe(true)
                    const last = Option.fromNullable(own.at(-1))
                    const position = messages.findIndex((_, n) => all[n] === ofGroup[failure])
                    if (Option.isSome(last)) expect(last.value).toBeLessThanOrEqual(position)
                  }
                }
              }
            }),
            TestContext
          ))
      ),
      { numRuns: 100 }
    ), 60_000)
})
