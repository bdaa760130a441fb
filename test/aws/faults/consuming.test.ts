import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type { ConsumeOptions, Queue } from "../../../src/aws/Queue.ts"
import { type FakeMessage, fakeSqs } from "../../support/aws/fakeSqs.ts"
import { sqsError } from "../../support/aws/faultServer.ts"
import { withQueue } from "../../support/aws/faultStage.ts"
import { eventually } from "../../support/eventually.ts"
import { interruptAt } from "../../support/interruptAt.ts"

const message = (id: string, more: Partial<FakeMessage> = {}): FakeMessage => ({
  id,
  body: JSON.stringify(id),
  ...more
})

const until = (check: () => void) => Effect.orDie(eventually(Effect.try(check), "10 seconds"))

const options: ConsumeOptions<unknown, never> = { waitTime: "1 seconds", drainTimeout: "3 seconds" }

/** Runs a consumer for as long as the effect takes. */
const consuming = <A, E>(
  queue: Queue.Service,
  handler: (payload: unknown) => Effect.Effect<unknown, unknown>,
  more: ConsumeOptions<unknown, never>,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(queue.consume(({ payload }) => handler(payload), { ...options, ...more }))
    const result = yield* effect
    yield* Fiber.interrupt(fiber)
    return result
  })

const of = (kind: string) => (sqs: ReturnType<typeof fakeSqs>) =>
  sqs.actions.filter((action) => action.kind === kind).map(({ receipts }) => receipts)
const deletes = of("delete")

describe("acknowledgements", () => {
  it.live("that fail are sent again, those that did not are not", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: (_, index) => index === 0 ? { "r-2": "InternalError" } : undefined
        })
        sqs.bring([message("1"), message("2"), message("3")])
        yield* consuming(queue, () => Effect.void, {}, until(() => expect(deletes(sqs)).toHaveLength(2)))
        expect(deletes(sqs)).toEqual([["r-1", "r-2", "r-3"], ["r-2"]])
      })
    ))

  it.live("whose reply is lost are sent again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: (_, index) => index < 4 ? sqsError(500, "InternalFailure") : undefined
        })
        sqs.bring([message("1")])
        yield* consuming(queue, () => Effect.void, {}, until(() => expect(deletes(sqs)).toHaveLength(5)))
        expect(yield* queue.consumers).toEqual([])
      })
    ))

  it.live("that are refused are not sent again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => ({ "r-1": "ReceiptHandleIsInvalid" }) })
        sqs.bring([message("1")], [message("2")])
        yield* consuming(queue, () => Effect.void, {}, until(() => expect(deletes(sqs).flat()).toContain("r-2")))
        expect(deletes(sqs).flat().filter((receipt) => receipt === "r-1")).toHaveLength(1)
      })
    ))

  it.live("use the latest receipt of a message that came twice, which is handled once", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server)
        sqs.bring([message("1", { receipt: "old" }), message("1", { receipt: "new" }), message("2")])
        const seen: Array<unknown> = []
        yield* consuming(
          queue,
          (payload) => Effect.sync(() => seen.push(payload)),
          {},
          until(() => expect(deletes(sqs)).toHaveLength(1))
        )
        expect(seen).toEqual(["1", "2"])
        expect(deletes(sqs)).toEqual([["new", "r-2"]])
      })
    ))

  it.live("of a group keep its order: one is sent when the one before is known to be in", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: (_, index) => index === 0 ? { "r-1": "InternalError" } : undefined })
        sqs.bring(["1", "2", "3"].map((id) => message(id, { group: "g" })))
        yield* consuming(queue, () => Effect.void, {}, until(() => expect(deletes(sqs)).toHaveLength(4)))
        expect(deletes(sqs)).toEqual([["r-1"], ["r-1"], ["r-2"], ["r-3"]])
      })
    ))

  it.live("of a group that cannot be sent take those behind them along", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: ({ kind }) => kind === "delete" ? { "r-1": "ReceiptHandleIsInvalid" } : undefined
        })
        sqs.bring(["1", "2", "3"].map((id) => message(id, { group: "g" })))
        yield* consuming(
          queue,
          () => Effect.void,
          {},
          until(() => expect(sqs.actions.filter(({ kind }) => kind === "visibility")).not.toHaveLength(0))
        )
        expect(deletes(sqs)).toEqual([["r-1"]])
        const released = sqs.actions.filter(({ kind }) => kind === "visibility").flatMap(({ receipts }) => receipts)
        expect([...released].sort()).toEqual(["r-2", "r-3"])
      })
    ))
})

describe("heartbeats", () => {
  it.live("end before the acknowledgement is sent", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const answered: Array<number> = []
        const sqs = fakeSqs(server, {
          delay: ({ at, kind }) => {
            if (kind !== "visibility") return 0
            answered.push(at + 700)
            return 700
          }
        })
        sqs.bring([message("1")])
        // The first beat is due after a second, and its answer takes longer than the handler.
        yield* consuming(
          queue,
          () => Effect.sleep("1200 millis"),
          { visibility: "3 seconds" },
          until(() => expect(deletes(sqs)).toEqual([["r-1"]]))
        )
        const [beat, ack] = sqs.actions
        expect([beat?.kind, ack?.kind]).toEqual(["visibility", "delete"])
        expect(ack!.at).toBeGreaterThanOrEqual(answered[0]! - 5)
      })
    ))

  it.live("end before a failed message is released", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { delay: (_, index) => index === 0 ? 700 : 0 })
        sqs.bring([message("1")])
        yield* consuming(
          queue,
          () => Effect.zipRight(Effect.sleep("1200 millis"), Effect.fail("no")),
          { visibility: "3 seconds", retry: Schedule.spaced("7 seconds") },
          until(() => expect(sqs.actions).toHaveLength(2))
        )
        expect(sqs.actions.map(({ seconds }) => seconds)).toEqual([[3], [7]])
        expect(sqs.actions[1]!.at - sqs.actions[0]!.at).toBeGreaterThan(650)
      })
    ))

  it.live("go in batches, and are sent again where they failed", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onAction: (_, index) => index === 0 ? { "r-3": "InternalError" } : undefined
        })
        const ids = Array.from({ length: 12 }, (_, i) => String(i))
        sqs.bring(ids.slice(0, 10).map((id) => message(id)), ids.slice(10).map((id) => message(id)))
        yield* consuming(
          queue,
          () => Effect.never,
          { concurrency: 12, visibility: "3 seconds" },
          until(() => expect(sqs.actions.length).toBeGreaterThanOrEqual(3))
        )
        expect(sqs.actions[0]?.receipts).toHaveLength(10)
        expect(sqs.actions[1]?.receipts).toHaveLength(2)
        expect(sqs.actions[2]?.receipts).toEqual(["r-3"])
      })
    ))
})

describe("polls", () => {
  it.live("that fail back off, and go on", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onPoll: (index) => index < 3 ? sqsError(400, "OverLimit") : undefined })
        sqs.bring([message("1")])
        const got = yield* Deferred.make<void>()
        yield* consuming(queue, () => Deferred.succeed(got, undefined), {}, Deferred.await(got))
        // Three attempts of the SDK, and then one pause of ours.
        expect(sqs.polls[3]! - sqs.polls[2]!).toBeGreaterThan(240)
      })
    ))

  it.live("that bring nothing at once do not follow each other at once", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onPoll: () => ({ status: 200, headers: { "content-type": "application/x-amz-json-1.0" }, body: "{}" })
        })
        yield* consuming(queue, () => Effect.void, { waitTime: 0 }, Effect.sleep("1500 millis"))
        expect(sqs.polls.length).toBeGreaterThan(2)
        expect(sqs.polls.length).toBeLessThan(12)
      })
    ))

  const fatal: ReadonlyArray<readonly [number, string, string]> = [
    [400, "QueueDoesNotExist", "ResourceNotFound"],
    [403, "AccessDeniedException", "AccessDenied"],
    [403, "InvalidClientTokenId", "InvalidCredentials"]
  ]
  for (const [status, code, reason] of fatal) {
    it.live(`end the consumer if the first one meets ${code}`, () =>
      withQueue((queue, server) =>
        Effect.gen(function*() {
          fakeSqs(server, { onPoll: () => sqsError(status, code) })
          expect(yield* Effect.flip(queue.consume(() => Effect.void, options))).toMatchObject({ reason })
          expect(yield* queue.consumers).toEqual([])
        })
      ))
  }

  it.live("do not end a consumer that has worked", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, {
          onPoll: (index) => index === 1 ? sqsError(403, "AccessDeniedException") : undefined
        })
        sqs.bring([message("1")], [message("2")])
        const seen: Array<unknown> = []
        yield* consuming(
          queue,
          (payload) => Effect.sync(() => seen.push(payload)),
          {},
          Effect.gen(function*() {
            const last = Effect.map(queue.consumers, ([status]) => status?.lastError?.reason)
            while ((yield* last) !== "AccessDenied") yield* Effect.sleep("5 millis")
            yield* until(() => expect(seen).toEqual(["1", "2"]))
            expect(yield* last).toBeUndefined()
          })
        )
      })
    ))
})

describe("an interrupted consumer", () => {
  it.live("gives back what its last poll brings", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const sqs = fakeSqs(server, {
          onPoll: (index) =>
            index > 0 ? undefined : {
              status: 200,
              delay: 500,
              headers: { "content-type": "application/x-amz-json-1.0" },
              body: JSON.stringify({
                Messages: [{
                  MessageId: "1",
                  ReceiptHandle: "r-1",
                  Body: "1",
                  MD5OfBody: "c4ca4238a0b923820dcc509a6f75849b"
                }]
              })
            }
        })
        yield* consuming(
          queue,
          (payload) => Effect.sync(() => seen.push(payload)),
          {},
          until(() => expect(sqs.polls).toHaveLength(1))
        )
        expect(seen).toEqual([])
        expect(sqs.polls).toHaveLength(1)
        expect(sqs.actions.map(({ kind, receipts, seconds }) => [kind, receipts, seconds])).toEqual([
          ["visibility", ["r-1"], [0]]
        ])
      })
    ))

  it.live("ends in time where the server does not answer any more", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        const sqs = fakeSqs(server, { onAction: () => "stall", onPoll: (index) => index > 0 ? "stall" : undefined })
        sqs.bring([message("1"), message("2")])
        const fiber = yield* Effect.fork(
          queue.consume(({ payload }) => payload === "1" ? Effect.void : Effect.never, {
            ...options,
            drainTimeout: "1500 millis"
          })
        )
        yield* until(() => expect(deletes(sqs)).toHaveLength(1))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(3000)
        // Nothing stays behind: not the requests that the server does not answer either.
        yield* Effect.promise(async () => {
          while (await server.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 10))
        })
      })
    ))

  it.live("leaves nothing behind, at whatever step it is interrupted", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        let handled = 0
        for (let steps = 1; steps < 60; steps++) {
          const sqs = fakeSqs(server)
          sqs.bring([message("1")])
          yield* interruptAt(
            queue.consume(() => Effect.sync(() => void handled++), { waitTime: 0, drainTimeout: "2 seconds" }),
            steps
          )
          expect(yield* queue.consumers).toEqual([])
          const settled = sqs.actions.flatMap(({ receipts }) => receipts)
          // Received or not: what was received is settled.
          expect(settled.length).toBeLessThanOrEqual(1)
        }
        void handled
      })
    ))
})
