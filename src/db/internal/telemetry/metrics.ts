/**
 * The pools as Effect metrics, by the names and attributes of OpenTelemetry's conventions for database clients. They are
 * updated directly rather than through a fiber: there are several updates for each statement.
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
  /** Takes the pool out of the gauges, for good. */
  readonly close: () => void
}

type Tags = Readonly<Record<string, string>>

/** `idle` and `all`: the most connections of the pool that may be idle, and that there may be. */
export const make = (database: string, most: { readonly idle: number; readonly all: number }): PoolMetrics => {
  const gauges: Array<(value: number) => void> = []
  /**
   * Pools of the same name are one gauge, and each adds its own part: the layer may be built anew before the old one is
   * closed. Effect's registry forgets no metric, so 0 is what remains after the last pool.
   */
  const gauge = (name: string, description: string, tags: Tags = {}): (value: number) => void => {
    const metric = tagged(MetricKey.gauge(name, { description }), database, tags)
    metric.register()
    let part = 0
    const set = (value: number): void => {
      if (value === part) return
      metric.unsafeModify(value - part, [])
      part = value
    }
    gauges.push(set)
    return set
  }
  /** Takes a total, and adds its increase since the last call. */
  const counter = (name: string, description: string, tags: Tags = {}): (total: number) => void => {
    const metric = tagged(MetricKey.counter(name, { description, incremental: true }), database, tags)
    let seen = 0
    return (total) => {
      if (total === seen) return
      metric.unsafeUpdate(total - seen, [])
      seen = total
    }
  }
  const histogram = (name: string, description: string): (millis: number) => void => {
    // The bridge to OpenTelemetry takes the unit from this tag.
    const metric = tagged(MetricKey.histogram(name, boundaries, description), database, { unit: "s" })
    return (millis) => metric.unsafeUpdate(millis / 1000, [])
  }
  const connections = (state: string): (value: number) => void =>
    gauge("db.client.connection.count", "connections, by their state", { "db.client.connection.state": state })
  const discarded = (reason: string): (total: number) => void =>
    counter("db.client.connection.discarded", "connections that were closed rather than kept", { reason })

  const idle = connections("idle")
  const active = connections("used")
  const dialling = connections("dialling")
  const waiting = gauge("db.client.connection.pending_requests", "borrowers that wait for a connection")
  const timeouts = counter("db.client.connection.timeouts", "borrowers that got no connection in time")
  const recycled = counter("db.client.connection.recycled", "connections that were replaced because of their age")
  const failed = counter("db.client.connection.create_failures", "attempts to connect that failed")
  const broken = discarded("broken")
  const pingFailed = discarded("pingFailed")
  const resetFailed = discarded("resetFailed")
  const overflow = discarded("overflow")
  const invalidated = discarded("invalidated")
  gauge("db.client.connection.max", "the most connections that there may be")(most.all)
  gauge("db.client.connection.idle.max", "the most connections that may be idle")(most.idle)

  let closed = false
  return {
    update: (pool) => {
      const { counts, levels } = pool
      // What was borrowed when the pool was closed may come back late.
      if (!closed) {
        idle(levels.idle)
        active(levels.active)
        dialling(levels.dialling)
        waiting(levels.waiting)
      }
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
    dialled: histogram("db.client.connection.create_time", "seconds that opening a connection took"),
    close: () => {
      closed = true
      for (const set of gauges) set(0)
    }
  }
}

/** The tags are part of the key: `Metric.tagged` would assemble them again with every update. */
const tagged = <Type extends MetricKeyType.MetricKeyType<any, any>>(
  key: MetricKey.MetricKey<Type>,
  database: string,
  tags: Tags
): Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>> =>
  Metric.fromMetricKey(
    MetricKey.taggedWithLabels(
      key,
      Object.entries({ "db.client.connection.pool.name": database, ...tags }).map(([name, value]) =>
        MetricLabel.make(name, value)
      )
    )
  )
