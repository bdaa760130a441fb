/**
 * Spans and metrics of consumers, by OpenTelemetry's semantic conventions for messaging and Amazon SQS. A span of a
 * consumer is linked to that of the sender and not its child: it may come much later, and be one of several attempts.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { isTraced } from "../../../../internal/tracing.ts"
import type { QueueBackend, RawMessage } from "../backend.ts"

/** What identifies a message in a log: nothing of what it says. */
export const logged = (backend: QueueBackend, raw: RawMessage, consumer?: string): Record<string, unknown> => ({
  queue: backend.name,
  ...(consumer === undefined ? {} : { consumer }),
  message_id: raw.messageId,
  receive_count: raw.receiveCount
})

/** A span around the work on messages, where a tracer is installed. It has failed where one of them is not done. */
export const processing = <A, R>(
  backend: QueueBackend,
  messages: ReadonlyArray<RawMessage>,
  work: Effect.Effect<ReadonlyArray<A>, never, R>,
  isDone: (outcome: A) => boolean
): Effect.Effect<ReadonlyArray<A>, never, R> =>
  Effect.withFiberRuntime((fiber) => {
    if (!isTraced(fiber)) return work
    const [first] = messages
    const checked = Effect.flatMap(
      work,
      (outcomes) => outcomes.every(isDone) ? Effect.succeed(outcomes) : Effect.fail(new NotDone(outcomes))
    )
    return Effect.withSpan(checked, `process ${backend.name}`, {
      kind: "consumer",
      root: true,
      links: messages.flatMap(linkOf),
      captureStackTrace: false,
      attributes: {
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": backend.name,
        ...(messages.length === 1
          ? { "messaging.message.id": first?.messageId }
          : { "messaging.batch.message_count": messages.length })
      }
    }).pipe(Effect.catchAll(({ outcomes }) => Effect.succeed(outcomes)))
  })

/** What a tracer is told of. What the handler has failed with may say what the message says. */
class NotDone<A> extends Error {
  readonly outcomes: ReadonlyArray<A>

  constructor(outcomes: ReadonlyArray<A>) {
    super("not handled")
    this.outcomes = outcomes
  }
}

/** Tells the span of the work what kind of failure it was. */
export const failed = (type: string): Effect.Effect<void> => Effect.annotateCurrentSpan("error.type", type)

/** The tag or the name of an error; what OpenTelemetry has for those without. */
export const typeOf = (error: unknown): string => {
  if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") return error._tag
  return error instanceof Error ? error.name : "_OTHER"
}

/** W3C Trace Context, "traceparent header". */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

const linkOf = ({ attributes }: RawMessage): ReadonlyArray<Tracer.SpanLink> => {
  const value = attributes["traceparent"]?.value
  const found = typeof value === "string" ? TRACEPARENT.exec(value) : null
  const [, traceId, spanId, flags] = found ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return []
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return []
  const sampled = (Number.parseInt(flags, 16) & 1) === 1
  return [{ _tag: "SpanLink", span: Tracer.externalSpan({ traceId, spanId, sampled }), attributes: {} }]
}

export interface ConsumerMetrics {
  readonly received: (count: number) => void
  /** Milliseconds that a run took, and what became of it. */
  readonly processed: (millis: number, isSuccess: boolean) => void
  readonly inFlight: (count: number) => void
}

/** Seconds, as OpenTelemetry recommends for durations, up to an hour. */
const boundaries = MetricBoundaries.fromIterable([
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  ...[30, 60, 300, 900, 3600]
])

/** They are updated directly: there are several updates for each message. */
export const metrics = (backend: QueueBackend, consumer: string): ConsumerMetrics => {
  const labels = [
    MetricLabel.make("messaging.system", "aws_sqs"),
    MetricLabel.make("messaging.destination.name", backend.name),
    MetricLabel.make("messaging.consumer.group.name", consumer)
  ]
  const received = Metric.fromMetricKey(
    MetricKey.taggedWithLabels(
      MetricKey.counter("messaging.client.consumed.messages", {
        description: "messages that were received",
        incremental: true
      }),
      labels
    )
  )
  const durations = (outcome: string) =>
    Metric.fromMetricKey(
      MetricKey.taggedWithLabels(
        MetricKey.histogram("messaging.process.duration", boundaries, "seconds that the handler took"),
        [...labels, MetricLabel.make("outcome", outcome), MetricLabel.make("unit", "s")]
      )
    )
  const succeeded = durations("success")
  const failed = durations("failure")
  const level = Metric.fromMetricKey(
    MetricKey.taggedWithLabels(
      MetricKey.gauge("messaging.consumer.in_flight", { description: "messages that were received and not settled" }),
      labels
    )
  )
  level.register()
  let last = 0
  return {
    received: (count) => received.unsafeUpdate(count, []),
    processed: (millis, isSuccess) => (isSuccess ? succeeded : failed).unsafeUpdate(millis / 1000, []),
    inFlight: (count) => {
      level.unsafeModify(count - last, [])
      last = count
    }
  }
}
