/** Spans of what is sent, and the trace context in messages. */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as LargePayloads from "../../../../../src/aws/internal/queue/sending/largePayloads.ts"
import * as Service from "../../../../../src/aws/internal/queue/service.ts"
import { Storage } from "../../../../../src/aws/Storage.ts"
import { accepted, error, scripted, scriptedBackend } from "../../../../support/aws/scriptedQueue.ts"
import { recordingTracer } from "../../../../support/recordingTracer.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"

/** Spans with ids as W3C has them; `more` is added to each. */
const w3c = (more: (n: number) => object = () => ({})) => {
  const { spans, tracer } = recordingTracer()
  const hex = (n: number) => (n + 1).toString(16).padStart(16, "0")
  return {
    spans,
    hex,
    tracer: Tracer.make({
      context: tracer.context,
      span: (...args) =>
        Object.assign(tracer.span(...args), { traceId, spanId: hex(spans.length - 1) }, more(spans.length - 1))
    })
  }
}

const accepting = () => scripted({ answer: (messages) => Effect.succeed(accepted(messages)) })
const ten = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, "x"]))

describe("a message that is sent while a tracer is installed", () => {
  it.effect("has a span of a producer, and carries its context", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const { hex, spans, tracer } = w3c()
      yield* queue.enqueue(1, { attributes: { kind: "scan" } }).pipe(Effect.withTracer(tracer))
      expect(spans).toHaveLength(1)
      expect(spans[0]).toMatchObject({ name: "Queue.enqueue", kind: "producer" })
      expect(Object.fromEntries(spans[0]!.attributes)).toEqual({
        "messaging.system": "aws_sqs",
        "messaging.destination.name": "scripted",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": "id of 1"
      })
      expect(requests[0]?.[0]?.attributes).toEqual({
        kind: { type: "String", value: "scan" },
        traceparent: { type: "String", value: `00-${traceId}-${hex(0)}-01` }
      })
    }))

  it.effect("is one of a stream: a span of all, one for each batch, and the context of all", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const { hex, spans, tracer } = w3c(() => ({ sampled: false }))
      yield* Stream.runDrain(queue.enqueueAll(Array.from({ length: 12 }, (_, n) => ({ payload: n })))).pipe(
        Effect.withTracer(tracer)
      )
      expect(spans.map(({ kind, name }) => [name, kind])).toEqual([
        ["Queue.enqueueAll", "producer"],
        ["Queue.sendBatch", "client"],
        ["Queue.sendBatch", "client"]
      ])
      expect(spans.slice(1).map(({ attributes }) => attributes.get("messaging.batch.message_count"))).toEqual([10, 2])
      expect(spans[1]?.parent).toMatchObject({ value: { name: "Queue.enqueueAll" } })
      const contexts = requests.flat().map(({ attributes }) => attributes["traceparent"]?.value)
      expect(contexts).toEqual(contexts.map(() => `00-${traceId}-${hex(0)}-00`))
    }))

  it.effect("keeps a context of its own, ten attributes, and its size", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const { tracer } = w3c()
      const own = { traceparent: "00-00000000000000000000000000000001-0000000000000001-01" }
      for (const attributes of [own, { tracestate: "a=b" }, ten]) yield* queue.enqueue(1, { attributes })
      yield* queue.enqueue("x".repeat(1_048_574))
      const untraced = requests.flat()
      for (const attributes of [own, { tracestate: "a=b" }, ten]) {
        yield* Effect.withTracer(queue.enqueue(1, { attributes }), tracer)
      }
      yield* Effect.withTracer(queue.enqueue("x".repeat(1_048_574)), tracer)
      const names = (messages: typeof untraced) => messages.map(({ attributes }) => Object.keys(attributes))
      expect(names(requests.flat().slice(4))).toEqual(names(untraced))
    }))

  it.effect("leaves one attribute to what is stored elsewhere, and is not stored for its context", () =>
    Effect.gen(function*() {
      const { backend, requests } = scriptedBackend({ answer: (messages) => Effect.succeed(accepted(messages)) })
      const queue = Service.make(LargePayloads.wrap(backend, yield* Storage, { above: 1000 }))
      const { tracer } = w3c()
      const first = (count: number) => Object.fromEntries(Object.entries(ten).slice(0, count))
      for (const [length, count] of [[2000, 9], [2000, 8], [800, 9], [950, 0]] as const) {
        yield* Effect.withTracer(queue.enqueue("x".repeat(length), { attributes: first(count) }), tracer)
      }
      const has = (name: string) => requests.flat().map(({ attributes }) => attributes[name] !== undefined)
      expect(has("ExtendedPayloadSize")).toEqual([true, true, false, false])
      expect(has("traceparent")).toEqual([false, true, true, false])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("carries the state of OpenTelemetry's span", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      const state = (text: unknown) => ({ span: { spanContext: () => ({ traceState: { serialize: () => text } }) } })
      const texts = ["vendor=1,other=2", "", 7, "a\nb", "x".repeat(513)]
      const { tracer } = w3c((n) => state(texts[n]))
      for (const _ of texts) yield* Effect.withTracer(queue.enqueue(1), tracer)
      expect(requests.flat().map(({ attributes }) => attributes["tracestate"]?.value)).toEqual([
        "vendor=1,other=2",
        ...texts.slice(1).map(() => undefined)
      ])
    }))

  it.effect("carries nothing of a span whose ids are none of W3C's", () =>
    Effect.gen(function*() {
      const { queue, requests } = accepting()
      yield* Effect.withTracer(queue.enqueue(1), recordingTracer().tracer)
      expect(requests[0]?.[0]?.attributes).toEqual({})
    }))

  it.effect("has a span that ends with its failure", () =>
    Effect.gen(function*() {
      const { queue } = scripted({ answer: () => Effect.succeed(error({ reason: "AccessDenied", retryable: false })) })
      const { spans, tracer } = w3c()
      yield* Effect.flip(Effect.withTracer(queue.enqueue(1), tracer))
      expect(spans[0]?.attributes.has("messaging.message.id")).toBe(false)
    }))
})

it.effect("without a tracer, a message carries nothing, whatever span is there", () =>
  Effect.gen(function*() {
    const { queue, requests } = accepting()
    const span = Tracer.externalSpan({ traceId, spanId: "00f067aa0ba902b7", context: Context.empty() })
    yield* Effect.withParentSpan(queue.enqueue(1), span)
    yield* Stream.runDrain(queue.enqueueAll([{ payload: 1 }]))
    expect(requests.flat().map(({ attributes }) => attributes)).toEqual([{}, {}])
  }))
