/** The requests of the clients as Effect metrics. They are updated directly: there are several updates for each call. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import type { AwsService } from "../errors/errorTable.ts"

/** Seconds: from half a millisecond, doubling, to about 30 s. */
const boundaries = MetricBoundaries.exponential({ start: 0.0005, factor: 2, count: 17 })

export interface RequestMetrics {
  /** How many requests are under way, and how many wait for their turn. */
  readonly levels: (active: number, waiting: number) => void
  /** Milliseconds that a request waited for its turn. */
  readonly waited: (millis: number) => void
}

/** @param kind what the requests are: they have their turns apart from those of other kinds. */
export const make = (service: AwsService, kind: string): RequestMetrics => {
  const labels = [MetricLabel.make("rpc.service", service), MetricLabel.make("kind", kind)]
  /** Clients of the same service are one gauge, and each adds its own part. */
  const gauge = (name: string, description: string): (value: number) => void => {
    const metric = Metric.fromMetricKey(MetricKey.taggedWithLabels(MetricKey.gauge(name, { description }), labels))
    metric.register()
    let part = 0
    return (value) => {
      if (value === part) return
      metric.unsafeModify(value - part, [])
      part = value
    }
  }
  const active = gauge("aws.client.active_requests", "requests that are under way")
  const waiting = gauge("aws.client.pending_requests", "requests that wait for their turn")
  const wait = Metric.fromMetricKey(
    MetricKey.taggedWithLabels(
      MetricKey.histogram("aws.client.request.wait_time", boundaries, "seconds until a request had its turn"),
      [...labels, MetricLabel.make("unit", "s")]
    )
  )
  return {
    levels: (taken, queued) => {
      active(taken)
      waiting(queued)
    },
    waited: (millis) => wait.unsafeUpdate(millis / 1000, [])
  }
}
