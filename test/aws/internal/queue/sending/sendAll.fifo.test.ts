/** Any number of messages of a FIFO queue: their order, and their ids. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { type Result, results, told } from "../../../../support/aws/enqueueAll.ts"
import { accepted, error, scripted, wantsId } from "../../../../support/aws/scriptedQueue.ts"

describe("enqueueAll on a FIFO queue", () => {
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

  it.effect("gives up a repetition that waits for its turn until the queue may have forgotten the id", () =>
    Effect.gen(function*() {
      let late = 0
      const { queue, requests } = scripted({
        kind: "fifo",
        answer: (messages, request) =>
          request === 0
            ? Effect.succeed(error({ reason: "ConnectionLost", outcome: "unknown" }))
            : Effect.delay(
              Effect.sync(() => {
                late++
                return accepted(messages)
              }),
              "5 minutes"
            )
      })
      const all = yield* results(queue.enqueueAll([
        { payload: 0, messageGroupId: "a" },
        { payload: 1, messageGroupId: "a" }
      ]))
      expect(all).toMatchObject([
        { left: { reason: "Timeout", outcome: "unknown", retryable: false, attempts: 1 } },
        { left: { reason: "Conflict", attempts: 0 } }
      ])
      expect(requests).toHaveLength(2)
      expect(late).toBe(0)
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

  it.effect("keeps a group stopped, also for what is read later, and goes on with one that is done", () =>
    Effect.gen(function*() {
      const { queue } = scripted({
        kind: "fifo",
        answer: (messages) =>
          Effect.succeed(
            messages.some(({ body }) => body === "0")
              ? error({ reason: "InvalidRequest", retryable: false })
              : accepted(messages)
          )
      })
      const message = (payload: number, messageGroupId: string) => ({ payload, messageGroupId })
      const source = Stream.make(message(0, "a"), { payload: undefined, messageGroupId: "c" }, message(1, "b")).pipe(
        Stream.concat(Stream.drain(Stream.fromEffect(Effect.sleep("5 minutes")))),
        Stream.concat(Stream.make(message(2, "a"), message(3, "b"), message(4, "c"), message(5, "d")))
      )
      const all = yield* results(queue.enqueueAll(source))
      expect(told(all)).toEqual([
        "InvalidRequest",
        "InvalidInput",
        "id of 1",
        "Conflict",
        "id of 3",
        "Conflict",
        "id of 5"
      ])
    }))
})
