/** Any number of messages, of any size, in any order of failures. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestContext } from "effect/TestContext"
import type { Message } from "../../../../../src/aws/internal/queue/message.ts"
import { type Result, results, told } from "../../../../support/aws/enqueueAll.ts"
import { error, scripted } from "../../../../support/aws/scriptedQueue.ts"

describe("enqueueAll", () => {
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
