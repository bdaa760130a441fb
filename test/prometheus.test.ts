/** What Prometheus itself says of our metrics, and of the alerts of docs/operations.md. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { TestContext } from "vitest"
import { install } from "../scripts/servers/programs.ts"
import * as RequestMetrics from "../src/aws/internal/client/metrics.ts"
import { Queue } from "../src/aws/Queue.ts"
import * as PoolMetrics from "../src/db/internal/telemetry/metrics.ts"
import { Health } from "../src/Health.ts"
import * as RelayMetrics from "../src/internal/outbox/metrics.ts"
import { run } from "../src/local/internal/process.ts"

/** The metrics of every part, each used once. */
const use = Effect.gen(function*() {
  const pool = PoolMetrics.make("MainDb", { idle: 10, all: 20 })
  const levels = { idle: 3, active: 4, dialling: 1, waiting: 2 }
  const discarded = { broken: 1, pingFailed: 1, resetFailed: 1, overflow: 1, invalidated: 1 }
  pool.update({ levels, counts: { opened: 9, dialFailures: 2, timeouts: 3, recycled: 4, discarded } })
  for (const observe of [pool.waited, pool.used, pool.dialled]) observe(3)
  const requests = RequestMetrics.make("SQS", "request")
  requests.levels(1, 2)
  requests.waited(4)
  const relay = RelayMetrics.make("MainDb")
  relay.sent("jobs", 12)
  relay.failed("jobs", "Throttled", 1)
  relay.parked("jobs")
  relay.shards(16)
  relay.blocked(1)
  const queue = yield* Queue
  yield* queue.enqueue({ n: 1 })
  const consumer = yield* Effect.fork(queue.consume(() => Effect.void))
  yield* Effect.yieldNow()
  yield* Effect.sleep("50 millis")
  yield* consumer.interruptAsFork(consumer.id())
}).pipe(Effect.provide(Queue.layerMemory))

/** Runs promtool. CI must have it; elsewhere the test is left out where it cannot be had. */
const promtool = (context: TestContext, check: string) =>
  install("promtool").pipe(
    Effect.catchTag(
      "Unavailable",
      (error) => process.env["CI"] === undefined ? Effect.sync(() => context.skip(error.message)) : Effect.fail(error)
    ),
    Effect.flatMap((folder) =>
      run({ command: "sh", args: ["-c", `"${join(folder, "promtool")}" check ${check}`] }, "30 seconds")
    )
  )

const inFile = <A, E, R>(name: string, text: string, use: (file: string) => Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => Fs.mkdtempSync(join(tmpdir(), "promtool-"))),
    (folder) => {
      const file = join(folder, name)
      Fs.writeFileSync(file, text)
      return use(file)
    },
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
  )

const docs = Fs.readFileSync(fileURLToPath(new URL("../docs/operations.md", import.meta.url)), "utf8")
const rules = /```yaml\n(groups:\n.*?)```/s.exec(docs)?.[1] ?? ""

describe("Prometheus", () => {
  it.live("finds nothing wrong with our metrics", (context) =>
    Effect.gen(function*() {
      yield* use
      const { code, output } = yield* inFile(
        "metrics",
        yield* Health.metrics,
        (file) => promtool(context, `metrics <"${file}"`)
      )
      expect({ code, output }).toEqual({ code: 0, output: "" })
    }), 300_000)

  it.live(
    "accepts the alerts of the documentation, which are about metrics that there are",
    (context) =>
      Effect.gen(function*() {
        yield* use
        const { code, output } = yield* inFile("rules.yml", rules, (file) => promtool(context, `rules "${file}"`))
        expect(output).toContain("SUCCESS: 9 rules found")
        expect(code).toBe(0)
        const text = yield* Health.metrics
        const named = [...rules.matchAll(/\b(?:db_client|aws_client|messaging|outbox)_\w+/g)].map(([name]) => name)
        const known = new Set([...text.matchAll(/(?:^|[{,])(\w+)(?=[{ =])/gm)].map(([, name]) => name))
        expect(named.length).toBeGreaterThan(20)
        expect(named.filter((name) => !known.has(name))).toEqual([])
      }),
    300_000
  )
})

describe("the text", () => {
  const seconds = MetricBoundaries.fromIterable([0.1, 1])

  it.effect("has each kind of metric as Prometheus reads it", () =>
    Effect.gen(function*() {
      const tagged = <T extends Metric.Metric<any, any, any>>(metric: T) => Metric.tagged(metric, "a.b", "\"x\\\n")
      yield* Metric.update(
        tagged(Metric.counter("t.requests_total", { description: "two\nlines", incremental: true })),
        2
      )
      yield* Metric.update(Metric.counter("t.balance"), -3)
      yield* Metric.update(Metric.gauge("t.level", { bigint: true }), 12345678901234567890n)
      const histogram = Metric.tagged(Metric.histogram("t.time_seconds", seconds), "unit", "s")
      for (const value of [0.05, 0.5, 5]) yield* Metric.update(histogram, value)
      yield* Metric.update(Metric.frequency("t.words_total"), "yes")
      const summary = Metric.summary({ name: "t.size", maxAge: "1 day", maxSize: 9, error: 0, quantiles: [0.5] })
      yield* Metric.update(summary, 7)
      const text = yield* Health.metrics
      const own = text.split("\n").filter((line) => /\bt_/.test(line))
      expect(own.sort()).toEqual([
        "# HELP t_requests_total two\\nlines",
        "# TYPE t_requests_total counter",
        "t_requests_total{a_b=\"\\\"x\\\\\\n\"} 2",
        "# HELP t_balance the metric t.balance",
        "# TYPE t_balance gauge",
        "t_balance -3",
        "# HELP t_level the metric t.level",
        "# TYPE t_level gauge",
        "t_level 12345678901234567890",
        "# HELP t_time_seconds the metric t.time_seconds",
        "# TYPE t_time_seconds histogram",
        "t_time_seconds_bucket{le=\"0.1\"} 1",
        "t_time_seconds_bucket{le=\"1\"} 2",
        "t_time_seconds_bucket{le=\"+Inf\"} 3",
        "t_time_seconds_sum 5.55",
        "t_time_seconds_count 3",
        "# HELP t_words_total the metric t.words_total",
        "# TYPE t_words_total counter",
        "t_words_total{key=\"yes\"} 1",
        "# HELP t_size the metric t.size",
        "# TYPE t_size summary",
        "t_size{quantile=\"0.5\"} 7",
        "t_size_sum 7",
        "t_size_count 1"
      ].sort())
    }))

  it.effect("stays valid when names or labels become the same", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.gauge("t.same"), 1)
      yield* Metric.update(Metric.gauge("t-same"), 2)
      yield* Metric.update(Metric.counter("t_same", { incremental: true }), 3)
      yield* Metric.update(Metric.gauge("1").pipe(Metric.tagged("k-1", "a"), Metric.tagged("k.1", "b")), 4)
      const lines = (yield* Health.metrics).split("\n")
      expect(lines.filter((line) => line.startsWith("t_same"))).toHaveLength(1)
      expect(lines.filter((line) => line.startsWith("_1{"))).toEqual([expect.stringMatching(/^_1\{k_1="[ab]"\} 4$/)])
      const prefixed = yield* Health.metricsWith({ prefix: "my.app", metricNameMapper: (name) => name.toUpperCase() })
      expect(prefixed).toContain("my_app_T_SAME")
    }))
})
