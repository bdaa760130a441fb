/** What the metrics say of a pool, while it lives and afterwards. */
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Database from "../../../src/db/Database.ts"
import { freshDatabase } from "../../support/db/testServer.ts"

class GaugedDb extends Database.Tag("GaugedDb", { prefix: "GAUGED_DB" })<GaugedDb>() {}

/** The gauges of the pools of that name: "idle" for the connections of that state, "max" and so on for the others. */
const gauges: Effect.Effect<Readonly<Record<string, number>>> = Effect.map(
  Metric.snapshot,
  (pairs) =>
    Object.fromEntries(pairs.flatMap(({ metricKey, metricState }) => {
      const tags = new Map(metricKey.tags.map(({ key, value }) => [key, value]))
      const state = metricState as { readonly value?: number }
      return tags.get("db.client.connection.pool.name") === "GaugedDb" && typeof state.value === "number"
        ? [[tags.get("db.client.connection.state") ?? metricKey.name.replace("db.client.connection.", ""), state.value]]
        : []
    }))
)

const gone = { idle: 0, used: 0, dialling: 0, pending_requests: 0, max: 0, "idle.max": 0 }

const open = (url: string, poolSize: number) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const layer = GaugedDb.layerConfig(Config.succeed({ url: Redacted.make(url), poolSize, maxOverflow: 1 }))
    const context = yield* Layer.buildWithScope(layer, scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

describe("gauges", () => {
  it.scopedLive("55 they are gone with the pool, those of another pool of that name stay", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase("gauged")
      const first = yield* open(url, 2)
      expect(yield* gauges).toEqual({ ...gone, idle: 1, max: 3, "idle.max": 2 })
      yield* Effect.gen(function*() {
        expect(yield* gauges).toMatchObject({ idle: 0, used: 1 })
      }).pipe(
        (inside) => GaugedDb.withTransaction(Effect.zipRight(GaugedDb.use((sql) => sql`SELECT 1`), inside)),
        Effect.provide(first.context)
      )
      // The new layer of a restarted app is there before the old one has closed.
      const second = yield* open(url, 5)
      expect(yield* gauges).toMatchObject({ idle: 2, max: 9, "idle.max": 7 })
      yield* first.close
      expect(yield* gauges).toEqual({ ...gone, idle: 1, max: 6, "idle.max": 5 })
      yield* second.close
      expect(yield* gauges).toEqual(gone)
    }))
})
