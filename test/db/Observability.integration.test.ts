import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import type * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Database from "../../src/db/Database.ts"
import { freshDatabase } from "../support/db/testServer.ts"
import { recordingTracer } from "../support/recordingTracer.ts"

class WatchedDb extends Database.Tag("WatchedDb", { prefix: "WATCHED_DB" })<WatchedDb>() {}

const watched = (config: Partial<Database.DatabaseConfig> = {}) =>
  Layer.unwrapScoped(
    Effect.map(freshDatabase("watched"), (url) =>
      WatchedDb.layerConfig(Config.succeed({ url: Redacted.make(url), ...config })))
  )

/** The state of one metric of that database with all of these tags. */
const read = <State>(name: string, tags: Readonly<Record<string, string>> = {}): Effect.Effect<State | undefined> =>
  Effect.map(Metric.snapshot, (pairs) =>
    pairs.find(({ metricKey }) => {
      const found = new Map(metricKey.tags.map(({ key, value }) => [key, value]))
      return metricKey.name === name && found.get("db.client.connection.pool.name") === "WatchedDb"
        && Object.entries(tags).every(([key, value]) => found.get(key) === value)
    })?.metricState as State | undefined)

const connections = (state: string) =>
  Effect.map(
    read<MetricState.MetricState.Gauge<number>>("db.client.connection.count", { "db.client.connection.state": state }),
    (gauge) => gauge?.value
  )

describe("metrics", () => {
  it.live("follow the pool: gauges, counters and histograms, tagged with the pool's name", () =>
    Effect.gen(function*() {
      const sql = yield* WatchedDb
      yield* sql`SELECT 1`
      expect(yield* connections("idle")).toBe(1)
      expect(yield* connections("used")).toBe(0)
      const inside = yield* WatchedDb.withTransaction(Effect.zipRight(sql`SELECT 1`, connections("used")))
      expect(inside).toBe(1)
      const [waits, uses, dials] = yield* Effect.all(
        ["wait_time", "use_time", "create_time"].map((name) =>
          read<MetricState.MetricState.Histogram>(`db.client.connection.${name}`, { unit: "s" })
        )
      )
      expect(waits?.count).toBe(3)
      expect(uses?.count).toBe(3)
      expect(dials?.count).toBe(1)

      const failed = yield* WatchedDb.withTransaction(Effect.either(Effect.scoped(sql.reserve)))
      expect(failed._tag).toBe("Right")
      const crowded = yield* Effect.all(
        [Effect.scoped(Effect.zipRight(sql.reserve, Effect.sleep(400))), Effect.flip(Effect.delay(sql`SELECT 1`, 50))],
        { concurrency: "unbounded" }
      )
      expect(crowded[1].message).toContain("PoolTimeout")
      const timeouts = yield* read<MetricState.MetricState.Counter<number>>("db.client.connection.timeouts")
      expect(timeouts?.count).toBe(1)
    }).pipe(Effect.provide(watched({ poolSize: 1, maxOverflow: 0, poolTimeout: 200 }))))
})

describe("spans", () => {
  it.live("follow OpenTelemetry's conventions, without parameters", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      yield* Effect.gen(function*() {
        const sql = yield* WatchedDb
        yield* sql`SELECT ${"secret-parameter"} AS a`
        yield* Effect.ignore(sql`SELECT * FROM missing WHERE a = ${"secret-parameter"}`)
        yield* Effect.withSpan(WatchedDb.withTransaction(sql`SELECT 2`), "feature")
      }).pipe(Effect.withTracer(tracer))
      const [first, second] = spans.filter(({ name }) => name === "sql.execute")
      expect(first!.kind).toBe("client")
      expect(Object.fromEntries(first!.attributes)).toMatchObject({
        "db.system.name": "mysql",
        "db.namespace": expect.stringContaining("watched"),
        "server.address": "127.0.0.1",
        "server.port": expect.any(Number),
        "db.query.text": "SELECT ? AS a"
      })
      expect(Object.fromEntries(second!.attributes)).toMatchObject({
        "error.type": "UnknownObject",
        "db.response.status_code": "1146"
      })
      const transaction = spans.find(({ name }) => name === "sql.transaction")!
      expect(Object.fromEntries(transaction.attributes)).toMatchObject({ "db.system.name": "mysql" })
      expect(Option.getOrThrow(transaction.parent)).toMatchObject({ name: "feature" })
      const inside = spans.find(({ attributes }) => attributes.get("db.query.text") === "SELECT 2")!
      expect(Option.getOrThrow(inside.parent)).toMatchObject({ name: "sql.transaction" })
      expect(JSON.stringify(spans.map(({ attributes }) => [...attributes]))).not.toContain("secret-parameter")
    }).pipe(Effect.provide(watched())))
})

describe("leaks", () => {
  it.live("are logged once, with the span that borrowed the connection, which keeps it", () => {
    const logged: Array<{ readonly message: string; readonly annotations: Record<string, unknown> }> = []
    const logger = Logger.make<unknown, void>(({ annotations, message }) => {
      logged.push({ message: String(message), annotations: Object.fromEntries(HashMap.toEntries(annotations)) })
    })
    return Effect.gen(function*() {
      const sql = yield* WatchedDb
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.gen(function*() {
            const connection = yield* sql.reserve
            yield* Effect.sleep(500)
            return yield* connection.execute("SELECT 'works' AS state", [], undefined)
          })
        ).pipe(Effect.withSpan("the borrower"))
      )
      expect(exit).toEqual(Exit.succeed([{ state: "works" }]))
      const leaks = logged.filter(({ message }) => message.includes("has been held"))
      expect(leaks).toHaveLength(1)
      expect(leaks[0]!.annotations).toMatchObject({ database: "WatchedDb", borrowedBy: "the borrower" })
    }).pipe(
      Effect.provide(watched({ leakThreshold: 150 })),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
  })
})
