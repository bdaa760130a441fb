/** Answers that come late or never, and messages that come again before it is known what became of them. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { ConsumeOptions, Queue } from "../../../src/aws/Queue.ts"
import { type FakeMessage, fakeSqs } from "../../support/aws/fakeSqs.ts"
import { sqsError } from "../../support/aws/faultServer.ts"
import { withQueue } from "../../support/aws/faultStage.ts"
import { eventually } from "../../support/eventually.ts"

const message = (id: string, more: Partial<FakeMessage> = {}): FakeMessage => ({
  id,
  body: JSON.stringify(id),
  ...more
})

const json = (body: object) => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify(body)
})

const until = (check: () => void) => Effect.orDie(eventually(Effect.try(check), "10 seconds"))

/** Runs a consumer for as long as the effect takes, and gives what was handled and what was logged. */
const consuming = <A, E>(
  queue: Queue.Service,
  handler: (payload: unknown, receiveCount: number) => Effect.Effect<unknown, unknown>,
  options: ConsumeOptions<unknown, never>,
  effect: (seen: ReadonlyArray<unknown>) => Effect.Effect<A, E>
): Effect.Effect<{ readonly seen: ReadonlyArray<unknown>; readonly lines: ReadonlyArray<string> }, E> =>
  Effect.gen(function*() {
    const seen: Array<unknown> = []
    const lines: Array<string> = []
    const fiber = yield* Effect.fork(
      queue.consume(({ payload, receiveCount }) => {
        seen.push(payload)
        return handler(payload, receiveCount)
      }, { waitTime: "1 seconds", drainTimeout: "3 seconds", ...options }).pipe(
        Effect.provide(Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ message }) => void lines.push(String(Array.isArray(message) ? message[0] : message)))
        ))
      )
    )
    yield* effect(seen)
    yield* Fiber.interrupt(fiber)
    return { seen, lines }
  })

const of = (sqs: ReturnType<typeof fakeSqs>, wanted: string) =>
  sqs.actions.filter(({ kind }) => kind === wanted).map(({ receipts }) => receipts)

describe("a stream that ends", () => {
  it.live("does not wait for a server that does not answer", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => "stall" })
        sqs.bring([message("1"), message("2")])
        const reader = Stream.runDrain(Stream.take(queue.stream({ visibility: "6 seconds", waitTime: "1 seconds" }), 1))
        const [time] = yield* Effect.timed(reader)
        expect(of(sqs, "visibility")).toEqual([["r-2"]])
        expect(Duration.toSeconds(time)).toBeLessThan(10)
      })
    ))
})

describe("a message that comes again", () => {
  it.live("while its acknowledgement is on its way is acknowledged again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          delay: (_, index) => {
            if (index > 0) return 0
            sqs.bring([message("1", { receipt: "again" })])
            return 800
          }
        })
        sqs.bring([message("1")])
        const { seen } = yield* consuming(
          queue,
          () => Effect.void,
          {},
          () => until(() => expect(of(sqs, "delete")).toEqual([["r-1"], ["again"]]))
        )
        expect(seen).toEqual(["1"])
      })
    ))

  it.live("while its release is on its way takes those behind it in its group along", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const group = "g"
        const sqs = fakeSqs(server, {
          delay: ({ receipts }, index) => {
            if (index === 0) {
              sqs.bring([message("1", { group, receipt: "again", receiveCount: 2 }), message("2", { group })])
            }
            if (receipts.includes("r-2") && index < 4) {
              sqs.bring([
                message("1", { group, receipt: "at last", receiveCount: 3 }),
                message("2", { group, receipt: "too", receiveCount: 2 })
              ])
            }
            return index === 0 ? 800 : 0
          }
        })
        sqs.bring([message("1", { group })])
        const { seen } = yield* consuming(
          queue,
          (_, receiveCount) => receiveCount === 1 ? Effect.fail("no") : Effect.void,
          { retry: Schedule.forever },
          () => until(() => expect(of(sqs, "delete")).toHaveLength(2))
        )
        expect(seen).toEqual(["1", "1", "2"])
        expect(of(sqs, "visibility")).toEqual([["r-1"], ["again"], ["r-2"]])
      })
    ))
})

describe("a message that waits for others of its group", () => {
  it.live("is not begun once others can have it", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: ({ kind }) => kind === "visibility" ? { "r-2": "MessageNotInflight" } : undefined
        })
        sqs.bring([message("1", { group: "g" }), message("2", { group: "g" })])
        const { seen } = yield* consuming(
          queue,
          () => Effect.sleep("1500 millis"),
          { visibility: "3 seconds" },
          () => until(() => expect(of(sqs, "delete")).toEqual([["r-1"]]))
        )
        expect(seen).toEqual(["1"])
      })
    ))

  it.live("is not begun after its visibility, where nothing is heard of the queue", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: ({ kind }) => kind === "visibility" ? sqsError(403, "AccessDeniedException") : undefined
        })
        sqs.bring([message("1", { group: "g" }), message("2", { group: "g" })])
        const { seen } = yield* consuming(
          queue,
          () => Effect.sleep("1800 millis"),
          { visibility: "1 seconds" },
          () => until(() => expect(of(sqs, "delete")).toEqual([["r-1"]]))
        )
        expect(seen).toEqual(["1"])
      })
    ))
})

describe("an answer that never comes", () => {
  it.live("to an acknowledgement leaves time for another one", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: (_, index) => index === 0 ? "stall" : undefined })
        sqs.bring([message("1")])
        yield* consuming(
          queue,
          () => Effect.void,
          { visibility: "6 seconds" },
          () => until(() => expect(of(sqs, "delete")).toHaveLength(2))
        )
        expect(sqs.actions[1]!.at - sqs.actions[0]!.at).toBeLessThan(4_000)
      })
    ))

  it.live("to a heartbeat does not keep the acknowledgement waiting for longer than the visibility", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: (_, index) => index === 0 ? "stall" : undefined })
        sqs.bring([message("1")])
        yield* consuming(
          queue,
          () => Effect.sleep("2200 millis"),
          { visibility: "6 seconds" },
          () => until(() => expect(of(sqs, "delete")).toEqual([["r-1"]]))
        )
        expect(sqs.actions[1]!.at - sqs.polls[0]!).toBeLessThan(6_000)
      })
    ))
})

describe("acknowledgements that fail as a batch", () => {
  it.live("are sent again as a batch", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => sqsError(403, "AccessDeniedException") })
        sqs.bring(Array.from({ length: 8 }, (_, id) => message(String(id))))
        yield* consuming(
          queue,
          () => Effect.void,
          { drainTimeout: "500 millis" },
          () => until(() => expect(sqs.actions.length).toBeGreaterThan(3))
        )
        expect(of(sqs, "delete").map(({ length }) => length).slice(0, 4)).toEqual([8, 8, 8, 8])
      })
    ))
})

describe("what is logged", () => {
  it.live("does not end before it is told what was not settled", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => "stall" })
        sqs.bring([message("1")])
        const { lines } = yield* consuming(
          queue,
          () => Effect.void,
          { drainTimeout: "500 millis" },
          () => until(() => expect(of(sqs, "delete")).toHaveLength(1))
        )
        expect(lines).toContain("1 messages were not given back in time: they come again when their visibility ends")
      })
    ))

  it.live("is each kind of error once, although they take turns", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => ({ "r-1": "InternalError", "r-2": "RequestThrottled" }) })
        sqs.bring([message("1"), message("2")])
        const { lines } = yield* consuming(
          queue,
          () => Effect.void,
          { drainTimeout: "500 millis" },
          () => until(() => expect(of(sqs, "delete").length).toBeGreaterThan(3))
        )
        expect(lines.filter((line) => line.startsWith("A consumer meets errors"))).toHaveLength(2)
      })
    ))
})

describe("the last error of a consumer", () => {
  it.live("is gone once a heartbeat is well again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: (_, index) => index === 0 ? { "r-1": "InternalError" } : undefined })
        sqs.bring([message("1")])
        const last = Effect.map(queue.consumers, ([status]) => status?.lastError?.reason)
        yield* consuming(
          queue,
          () => Effect.never,
          { visibility: "2 seconds", drainTimeout: "500 millis" },
          () =>
            Effect.gen(function*() {
              while ((yield* last) === undefined) yield* Effect.sleep("5 millis")
              yield* until(() => expect(sqs.actions).toHaveLength(2))
              yield* Effect.sleep("100 millis")
              expect(yield* last).toBeUndefined()
            })
        )
      })
    ))
})

describe("polls do not follow each other at once", () => {
  it.live("where they bring what is being handled", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onPoll: (index) =>
            json({
              Messages: [{
                MessageId: "1",
                ReceiptHandle: `r-${index}`,
                Body: "1",
                MD5OfBody: "c4ca4238a0b923820dcc509a6f75849b"
              }]
            })
        })
        yield* consuming(queue, () => Effect.never, { drainTimeout: "500 millis" }, () => Effect.sleep("1500 millis"))
        expect(sqs.polls.length).toBeGreaterThan(2)
        expect(sqs.polls.length).toBeLessThan(12)
      })
    ))

  it.live("in a stream whose polls bring nothing at once", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onPoll: () => json({}) })
        yield* Effect.timeoutOption(Stream.runDrain(queue.stream({ waitTime: 0 })), "1500 millis")
        expect(sqs.polls.length).toBeGreaterThan(2)
        expect(sqs.polls.length).toBeLessThan(12)
      })
    ))
})
