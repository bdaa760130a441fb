/** What a consumer is warned of when it starts. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schedule from "effect/Schedule"
import type { ConsumeOptions, QueueAttributes } from "../../../../../src/aws/internal/queue/model.ts"
import { advise } from "../../../../../src/aws/internal/queue/receiving/advice.ts"
import * as Options from "../../../../../src/aws/internal/queue/receiving/options.ts"
import { ServiceError } from "../../../../../src/Errors.ts"
import { scriptedBackend } from "../../../../support/aws/scriptedQueue.ts"

const attributes: QueueAttributes = {
  name: "jobs",
  arn: "arn:aws:sqs:eu-west-1:123456789012:jobs",
  fifo: false,
  visible: 0,
  inFlight: 0,
  delayed: 0,
  visibilityTimeout: Duration.seconds(30),
  retention: Duration.days(4),
  delay: Duration.zero,
  maxMessageSize: 1_048_576,
  contentBasedDeduplication: undefined,
  redrivePolicy: { deadLetterQueueArn: "arn:aws:sqs:eu-west-1:123456789012:dead", maxReceiveCount: 5 }
}

const refused = new ServiceError({
  service: "SQS",
  operation: "GetQueueAttributes",
  reason: "AccessDenied",
  retryable: false,
  attempts: 1
})

/** The warnings, and the lines below them. */
const told = (
  found: Effect.Effect<QueueAttributes, ServiceError>,
  options: ConsumeOptions<never, never> = {}
): Effect.Effect<ReadonlyArray<readonly [string, string]>, ServiceError> =>
  Effect.gen(function*() {
    const lines: Array<readonly [string, string]> = []
    const backend = {
      ...scriptedBackend({ answer: () => Effect.succeed([]) }).backend,
      inMemory: false,
      attributes: found
    }
    const logger = Logger.make(({ logLevel, message }) =>
      void lines.push([logLevel.label, String(Array.isArray(message) ? message[0] : message)])
    )
    yield* advise(backend, yield* Options.one(backend, options)).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.Debug)
    )
    return lines
  })

describe("a consumer whose queue fits", () => {
  it.effect("is told nothing", () =>
    Effect.gen(function*() {
      expect(yield* told(Effect.succeed(attributes))).toEqual([])
    }))

  it.effect("is told nothing that anybody must read if it may not look", () =>
    Effect.gen(function*() {
      expect(yield* told(Effect.fail(refused))).toEqual([["DEBUG", "The attributes of the queue could not be read"]])
    }))
})

describe("a consumer is warned", () => {
  const cases: ReadonlyArray<readonly [string, Partial<QueueAttributes>, ConsumeOptions<never, never>, string]> = [
    ["of a queue without dead letters", { redrivePolicy: undefined }, {}, "The queue has no dead-letter queue"],
    [
      "of too few receives",
      { redrivePolicy: { deadLetterQueueArn: "x", maxReceiveCount: 2 } },
      {},
      "maxReceiveCount is 2"
    ],
    [
      "of attempts that take longer than messages are kept",
      { retention: Duration.hours(5) },
      { deadline: "1 hour", retry: Schedule.spaced("15 minutes") },
      "A message is kept for 5h, and its attempts may take 6h"
    ],
    ["of a shutdown that is shorter than a poll", {}, { drainTimeout: "20 seconds" }, "A poll waits 20 s"]
  ]
  for (const [name, found, options, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const lines = yield* told(Effect.succeed({ ...attributes, ...found }), options)
        expect(lines).toHaveLength(1)
        expect(lines[0]?.[0]).toBe("WARN")
        expect(lines[0]?.[1]).toContain(expected)
      }))
  }

  it.effect("of its own options also where it may not look at the queue", () =>
    Effect.gen(function*() {
      const lines = yield* told(Effect.fail(refused), { waitTime: "5 seconds", drainTimeout: "1 second" })
      expect(lines.map(([level]) => level)).toEqual(["WARN", "DEBUG"])
    }))
})
