import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MAIN, queuesOf } from "../../../src/local/internal/queues.ts"

describe("the queues of a local stack", () => {
  it.effect("have the main one among them, asked for or not", () =>
    Effect.gen(function*() {
      const email = { name: "email", fifo: true, variable: "EMAIL_SQS_QUEUE_URL" }
      expect(yield* queuesOf([])).toEqual([MAIN])
      expect(yield* queuesOf([{ prefix: "EMAIL_SQS", fifo: true }])).toEqual([MAIN, email])
      expect(yield* queuesOf([{ prefix: "AWS_SQS" }])).toEqual([MAIN])
      expect(yield* queuesOf([{ prefix: "EMAIL_SQS", fifo: true }, { prefix: "AWS_SQS", fifo: true }])).toEqual([
        { ...MAIN, fifo: true },
        email
      ])
    }))

  it.effect("are of one kind each, and have a name each", () =>
    Effect.gen(function*() {
      const problems = (asked: Parameters<typeof queuesOf>[0]) =>
        Effect.map(Effect.flip(queuesOf(asked)), (error) => error.problems.map(({ setting }) => setting))
      const main = { prefix: "AWS_SQS" }
      expect(yield* problems([main, { ...main, fifo: true }])).toEqual(["AWS_SQS_QUEUE_URL"])
      expect(yield* problems([{ prefix: "BETTERAI-JOBS" }])).toEqual(["BETTERAI-JOBS_QUEUE_URL"])
      expect(yield* problems([{ prefix: "a b" }])).toEqual(["a b_QUEUE_URL"])
    }))
})
