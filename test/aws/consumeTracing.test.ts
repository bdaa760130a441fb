/** Spans of consumers. */
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Queue } from "../../src/aws/Queue.ts"
import { recordingTracer } from "../support/recordingTracer.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly name: string }> {}

const settle = TestClock.adjust("1 second")
const quiet = { retry: Schedule.spaced("1 hour") }
const traceId = "0af7651916cd43dd8448eb211c80319c"

describe("the span of a handler", () => {
  it.effect("is one of a consumer, and linked to that of the sender", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const queue = yield* Queue
      const { messageId } = yield* queue.enqueue(1, {
        attributes: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
      })
      yield* Effect.fork(Effect.withTracer(queue.consume(() => Effect.void), tracer))
      yield* settle
      const [span] = spans.filter(({ name }) => name === "process memory")
      expect(span).toMatchObject({
        kind: "consumer",
        links: [{ span: { traceId, spanId: "00f067aa0ba902b7", sampled: true } }],
        status: { _tag: "Ended", exit: Exit.succeed(expect.anything()) }
      })
      expect(span?.parent._tag).toBe("None")
      expect(Object.fromEntries(span!.attributes)).toEqual({
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "memory",
        "messaging.message.id": messageId
      })
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("has failed where the handler has, and says nothing of what it has failed with but its kind", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const plain = yield* Queue
      const queue = yield* Queue.of(Schema.Number)
      for (const payload of [1, 2, "Ada"]) yield* plain.enqueue(payload)
      yield* Effect.fork(Effect.withTracer(
        queue.consume(
          ({ payload }) => payload === 1 ? Effect.fail(new Refused({ name: "Ada" })) : Effect.die(new TypeError("Ada")),
          quiet
        ),
        tracer
      ))
      yield* settle
      const processed = spans.filter(({ name }) => name === "process memory")
      expect(processed.map(({ attributes }) => attributes.get("error.type"))).toEqual([
        "Refused",
        "TypeError",
        "Undecodable"
      ])
      for (const { status } of processed) {
        expect(status).toMatchObject({ _tag: "Ended", exit: { _tag: "Failure" } })
        expect(String(status._tag === "Ended" && status.exit)).not.toContain("Ada")
      }
    }).pipe(Effect.provide(Queue.layerMemory)))

  it.effect("of a batch has failed where a message of it has", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const queue = yield* Queue
      for (const payload of [1, 2]) yield* queue.enqueue(payload)
      yield* Effect.fork(Effect.withTracer(
        queue.consumeBatch((messages) => Effect.succeed({ failed: [messages[0].messageId] }), quiet),
        tracer
      ))
      yield* settle
      expect(spans.find(({ name }) => name === "process memory")).toMatchObject({
        status: { _tag: "Ended", exit: { _tag: "Failure" } }
      })
    }).pipe(Effect.provide(Queue.layerMemory)))
})
