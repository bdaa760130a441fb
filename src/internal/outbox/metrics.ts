/** Outboxes as Effect metrics, updated directly rather than through a fiber. Relays of the same database add up. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
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
  const counter = (name: string, description: string) => (tags: Tags) =>
    tagged(MetricKey.counter(name, { description, incremental: true }), { database, ...tags })
  const sent = byQueue(counter("outbox.messages.sent", "messages that a relay has sent"))
  const failed = counter("outbox.messages.failed", "attempts to send a message that failed")
  const parked = byQueue(counter("outbox.messages.parked", "refused messages that were moved to outbox_failed"))
  const delay = byQueue((tags) =>
    // The bridge to OpenTelemetry takes the unit from this tag.
    tagged(MetricKey.histogram("outbox.delay", boundaries, "seconds from writing a message to sending it"), {
      database,
      unit: "s",
      ...tags
    })
  )
  /** Each relay adds its own part. */
  const gauge = (name: string, description: string): (value: number) => void => {
    const metric = tagged(MetricKey.gauge(name, { description }), { database })
    metric.register()
    let part = 0
    return (value) => {
      if (value === part) return
      metric.unsafeModify(value - part, [])
      part = value
    }
  }
  return {
    sent: (queue, age) => {
      sent(queue).unsafeUpdate(1, [])
      delay(queue).unsafeUpdate(age / 1000, [])
    },
    failed: (queue, reason, count) => failed({ [QUEUE]: queue, "error.type": reason }).unsafeUpdate(count, []),
    parked: (queue) => parked(queue).unsafeUpdate(1, []),
    shards: gauge("outbox.shards", "parts of the outbox, of 16, that the relays of this process send"),
    blocked: gauge("outbox.messages.blocked", "messages that a queue refuses as such")
  }
}

type Tags = Readonly<Record<string, string>>

const QUEUE = "messaging.destination.name"

/** One metric for each queue, made once. */
const byQueue = <A>(make: (tags: Tags) => A): (queue: string) => A => {
  const made = new Map<string, A>()
  return (queue) => {
    const known = made.get(queue)
    if (known !== undefined) return known
    const metric = make({ [QUEUE]: queue })
    made.set(queue, metric)
    return metric
  }
}

/** The tags are part of the key: `Metric.tagged` would assemble them again with every update. */
const tagged = <Type extends MetricKeyType.MetricKeyType.Untyped>(
  key: MetricKey.MetricKey<Type>,
  tags: Tags
): Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>> =>
  Metric.fromMetricKey(
    MetricKey.taggedWithLabels(key, Object.entries(tags).map(([name, value]) => MetricLabel.make(name, value)))
  )
