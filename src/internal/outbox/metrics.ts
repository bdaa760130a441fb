/** Outboxes as Effect metrics. Relays of the same database add up. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type { ServiceReason } from "../../Errors.ts"

export interface RelayMetrics {
  /** Milliseconds since the message was written. */
  readonly sent: (queue: string, age: number) => void
  readonly failed: (queue: string, reason: ServiceReason, count: number) => void
  readonly parked: (queue: string) => void
  readonly shards: (count: number) => void
  readonly blocked: (count: number) => void
}

/** Seconds: from 5 ms, doubling, to about 11 hours. */
const boundaries = MetricBoundaries.exponential({ start: 0.005, factor: 2, count: 24 })

export const make = (database: string): RelayMetrics => {
  const sent = Metric.tagged(
    Metric.counter("outbox.messages.sent", { description: "messages that a relay has sent", incremental: true }),
    "database",
    database
  )
  const failed = Metric.tagged(
    Metric.counter("outbox.messages.failed", { description: "messages that were not sent", incremental: true }),
    "database",
    database
  )
  const parked = Metric.tagged(
    Metric.counter("outbox.messages.parked", {
      description: "refused messages that were moved to outbox_failed",
      incremental: true
    }),
    "database",
    database
  )
  const delay = Metric.tagged(
    // The bridge to OpenTelemetry takes the unit from this tag.
    Metric.tagged(
      Metric.histogram("outbox.delay", boundaries, "seconds from writing a message to sending it"),
      "unit",
      "s"
    ),
    "database",
    database
  )
  const byQueue = new Map<string, { readonly sent: typeof sent; readonly delay: typeof delay }>()
  const ofQueue = (queue: string) => {
    const known = byQueue.get(queue)
    if (known !== undefined) return known
    const made = {
      sent: Metric.tagged(sent, "messaging.destination.name", queue),
      delay: Metric.tagged(delay, "messaging.destination.name", queue)
    }
    byQueue.set(queue, made)
    return made
  }
  return {
    sent: (queue, age) => {
      const metrics = ofQueue(queue)
      metrics.sent.unsafeUpdate(1, [])
      metrics.delay.unsafeUpdate(age / 1000, [])
    },
    failed: (queue, reason, count) =>
      Metric.tagged(Metric.tagged(failed, "messaging.destination.name", queue), "error.type", reason)
        .unsafeUpdate(count, []),
    parked: (queue) => Metric.tagged(parked, "messaging.destination.name", queue).unsafeUpdate(1, []),
    shards: gauge("outbox.shards", "parts of the outbox, of 16, that the relays of this process send", database),
    blocked: gauge("outbox.messages.blocked", "messages that a queue refuses as such", database)
  }
}

/** Each relay adds its own part to one gauge. */
const gauge = (name: string, description: string, database: string): (value: number) => void => {
  const metric = Metric.tagged(Metric.gauge(name, { description }), "database", database)
  metric.register()
  let part = 0
  return (value) => {
    metric.unsafeModify(value - part, [])
    part = value
  }
}
