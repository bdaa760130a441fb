/**
 * The metrics of Effect in the text format of Prometheus, version 0.0.4. Names, labels and values are those of
 * `PrometheusMetrics.format` of Effect 4, which takes the place of this module there. Beyond it, every metric has a HELP,
 * and a counter that may decrease is a gauge.
 */
import * as Metric from "effect/Metric"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"

/** As `FormatOptions` of Effect 4. */
export interface MetricsOptions {
  /** Put before all names, with an underscore. */
  readonly prefix?: string | undefined
  /** The name for Prometheus of a metric of that name, before characters are replaced. Default: `Health.metricName`. */
  readonly metricNameMapper?: ((name: string) => string) | undefined
}

/**
 * Our metrics, and those of Effect's own fibers, by the rules of Prometheus: the unit at the end, `_total` for counters.
 * Their names in Effect are those of OpenTelemetry, where unit and kind are told apart from the name.
 */
const renamed: ReadonlyMap<string, string> = new Map([
  // `_count` is reserved for histograms.
  ["db.client.connection.count", "db.client.connections"],
  ...[
    "db.client.connection.wait_time",
    "db.client.connection.use_time",
    "db.client.connection.create_time",
    "aws.client.request.wait_time",
    "messaging.process.duration",
    "outbox.delay"
  ].map((name) => [name, `${name}_seconds`] as const),
  ...[
    "db.client.connection.timeouts",
    "db.client.connection.recycled",
    "db.client.connection.create_failures",
    "db.client.connection.discarded",
    "messaging.client.consumed.messages",
    "outbox.messages.sent",
    "outbox.messages.failed",
    "outbox.messages.parked",
    "effect_fiber_started",
    "effect_fiber_successes",
    "effect_fiber_failures"
  ].map((name) => [name, `${name}_total`] as const)
])

export const metricName = (name: string): string => renamed.get(name) ?? name

export const format = ({ metricNameMapper = metricName, prefix }: MetricsOptions = {}): string => {
  const before = prefix === undefined || prefix === "" ? "" : `${validName(prefix)}_`
  const families = new Map<string, Array<MetricPair.MetricPair.Untyped>>()
  for (const pair of Metric.unsafeSnapshot()) {
    const name = before + validName(metricNameMapper(pair.metricKey.name))
    const family = families.get(name)
    if (family === undefined) families.set(name, [pair])
    else family.push(pair)
  }
  return [...families].map(([name, pairs]) => familyLines(name, pairs).map((line) => `${line}\n`).join("")).join("")
}

const familyLines = (
  name: string,
  pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>
): ReadonlyArray<string> => {
  const [first] = pairs
  if (first === undefined) return []
  const type = typeOf(first)
  const description = pairs.map(({ metricKey }) => Option.getOrElse(metricKey.description, () => "")).find((it) =>
    it !== ""
  )
  return [
    `# HELP ${name} ${escapeHelp(description ?? `the metric ${first.metricKey.name}`)}`,
    `# TYPE ${name} ${type}`,
    // One name has one type, and one set of labels one value: anything else would make the whole text invalid.
    ...[...new Map(pairs.filter((pair) => typeOf(pair) === type).flatMap((pair) => samples(name, pair)))]
      .map(([series, value]) => `${series} ${value}`)
  ]
}

const typeOf = ({ metricKey: { keyType }, metricState }: MetricPair.MetricPair.Untyped): string => {
  if (MetricState.isHistogramState(metricState)) return "histogram"
  if (MetricState.isSummaryState(metricState)) return "summary"
  if (MetricState.isGaugeState(metricState)) return "gauge"
  return MetricKeyType.isCounterKey(keyType) && !(keyType as { readonly incremental: boolean }).incremental
    ? "gauge"
    : "counter"
}

type Sample = readonly [series: string, value: string]

const samples = (
  name: string,
  { metricKey: { tags }, metricState: state }: MetricPair.MetricPair.Untyped
): ReadonlyArray<Sample> => {
  // `unit` and `time_unit` are for exporters.
  const own = tags.filter(({ key }) => key !== "unit" && key !== "time_unit").map(({ key, value }) =>
    [key, value] as const
  )
  const sample = (
    suffix: string,
    value: number | bigint,
    ...more: ReadonlyArray<readonly [string, string]>
  ): Sample => [
    `${name}${suffix}${labels([...own, ...more])}`,
    number(value)
  ]
  if (MetricState.isHistogramState(state)) {
    return [
      ...state.buckets.filter(([boundary]) => boundary !== Infinity)
        .map(([boundary, cumulative]) => sample("_bucket", cumulative, ["le", number(boundary)])),
      sample("_bucket", state.count, ["le", "+Inf"]),
      sample("_sum", state.sum),
      sample("_count", state.count)
    ]
  }
  if (MetricState.isSummaryState(state)) {
    return [
      ...state.quantiles.flatMap(([quantile, value]) =>
        Option.isNone(value) ? [] : [sample("", value.value, ["quantile", number(quantile)])]
      ),
      sample("_sum", state.sum),
      sample("_count", state.count)
    ]
  }
  if (MetricState.isFrequencyState(state)) {
    return [...state.occurrences].map(([key, count]) => sample("", count, ["key", key]))
  }
  if (MetricState.isGaugeState(state)) return [sample("", state.value as number | bigint)]
  return [sample("", (state as MetricState.MetricState.Counter<number | bigint>).count)]
}

const validName = (name: string): string =>
  name.replace(/[^a-zA-Z0-9_:]/g, "_").replace(/^(?=[0-9:])/, "_").replace(/_+/g, "_").replace(/(?<=.)_$/, "") || "_"

const validLabel = (name: string): string =>
  name.replace(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=[0-9])/, "_").replace(/_+/g, "_") || "_"

/** Two labels of one name would make the whole text invalid: the later one counts. */
const labels = (pairs: ReadonlyArray<readonly [string, string]>): string => {
  const byName = new Map(pairs.map(([name, value]) => [validLabel(name), value]))
  const texts = [...byName].map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return texts.length === 0 ? "" : `{${texts.join(",")}}`
}

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

const escapeLabel = (text: string): string => escapeHelp(text).replaceAll("\"", "\\\"")

const number = (value: number | bigint): string =>
  value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : value.toString()
