/**
 * The pools as Effect metrics, named by OpenTelemetry's conventions for database clients and tagged with the database.
 * They are updated directly rather than through a fiber: there are several updates for each statement.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
import type { Counts, Levels } from "../pool/model.ts"

/** Seconds: from half a millisecond, doubling, to about 30 s. */
const boundaries = MetricBoundaries.exponential({ start: 0.0005, factor: 2, count: 17 })

export interface PoolMetrics {
  /** Sets gauges and counters to the numbers of the pool. */
  readonly update: (pool: { readonly counts: Counts; readonly levels: Levels }) => void
  /** Milliseconds that a borrower waited for its connection. */
  readonly waited: (millis: number) => void
  /** Milliseconds that a connection was held. */
  readonly used: (millis: number) => void
  /** Milliseconds that a dial took, session set-up included. */
  readonly dialled: (millis: number) => void
}

export const make = (database: string): PoolMetrics => {
  const gauge = (name: string, tags: Readonly<Record<string, string>> = {}): (value: number) => void => {
    const metric = tagged(MetricKey.gauge(name), database, tags)
    return (value) => metric.unsafeUpdate(value, [])
  }
  /** Takes a total, and adds its increase since the last call. */
  const counter = (name: string, tags: Readonly<Record<string, string>> = {}): (total: number) => void => {
    const metric = tagged(MetricKey.counter(name, { incremental: true }), database, tags)
    let seen = 0
    return (total) => {
      if (total === seen) return
      metric.unsafeUpdate(total - seen, [])
      seen = total
    }
  }
  const histogram = (name: string, description: string): (millis: number) => void => {
    const metric = tagged(MetricKey.histogram(name, boundaries, description), database, {})
    return (millis) => metric.unsafeUpdate(millis / 1000, [])
  }

  const idle = gauge("db.client.connection.count", { state: "idle" })
  const active = gauge("db.client.connection.count", { state: "used" })
  const dialling = gauge("db.client.connection.count", { state: "dialling" })
  const waiting = gauge("db.client.connection.pending_requests")
  const timeouts = counter("db.client.connection.timeouts")
  const recycled = counter("db.client.connection.recycled")
  const failed = counter("db.client.connection.create_failures")
  const broken = counter("db.client.connection.discarded", { reason: "broken" })
  const pingFailed = counter("db.client.connection.discarded", { reason: "pingFailed" })
  const resetFailed = counter("db.client.connection.discarded", { reason: "resetFailed" })
  const overflow = counter("db.client.connection.discarded", { reason: "overflow" })
  const invalidated = counter("db.client.connection.discarded", { reason: "invalidated" })

  return {
    update: (pool) => {
      const { counts, levels } = pool
      idle(levels.idle)
      active(levels.active)
      dialling(levels.dialling)
      waiting(levels.waiting)
      timeouts(counts.timeouts)
      recycled(counts.recycled)
      failed(counts.dialFailures)
      broken(counts.discarded.broken)
      pingFailed(counts.discarded.pingFailed)
      resetFailed(counts.discarded.resetFailed)
      overflow(counts.discarded.overflow)
      invalidated(counts.discarded.invalidated)
    },
    waited: histogram("db.client.connection.wait_time", "seconds until a borrower had its connection"),
    used: histogram("db.client.connection.use_time", "seconds that a connection was held"),
    dialled: histogram("db.client.connection.create_time", "seconds that opening a connection took")
  }
}

/** The tags are part of the key: `Metric.tagged` would assemble them again with every update. */
const tagged = <Type extends MetricKeyType.MetricKeyType<any, any>>(
  key: MetricKey.MetricKey<Type>,
  database: string,
  tags: Readonly<Record<string, string>>
): Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>> =>
  Metric.fromMetricKey(
    MetricKey.taggedWithLabels(
      key,
      Object.entries({ database, ...tags }).map(([name, value]) => MetricLabel.make(name, value))
    )
  )
