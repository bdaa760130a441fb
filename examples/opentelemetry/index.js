/**
 * Metrics and traces of this package by OpenTelemetry: metrics at http://127.0.0.1:9464/metrics, spans on the output.
 * In a program of yours, OpenTelemetry goes around `Infrastructure.layer`.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { SimpleSpanProcessor, ConsoleSpanExporter } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

const OpenTelemetry = NodeSdk.layer(() => ({
  resource: { serviceName: "example" },
  metricReader: new PrometheusExporter({ host: "127.0.0.1", port: 9464 }),
  spanProcessor: new SimpleSpanProcessor(new ConsoleSpanExporter())
}))

/** As the pool of this package writes it: the bridge takes the unit from the tag `unit`. */
const waited = Metric.histogram(
  "db.client.connection.wait_time",
  MetricBoundaries.exponential({ start: 0.0005, factor: 2, count: 17 }),
  "seconds until a borrower had its connection"
).pipe(Metric.tagged("unit", "s"), Metric.tagged("db.client.connection.pool.name", "MainDb"))

const program = Effect.gen(function*() {
  yield* Effect.withSpan(Metric.update(waited, 0.02), "sql.execute")
  yield* Effect.log("http://127.0.0.1:9464/metrics, until SIGINT")
  yield* Effect.never
})

Effect.runFork(Effect.provide(program, OpenTelemetry))
