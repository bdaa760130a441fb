/** Databases in health checks: one that answers, a full pool, one that is silent or gone, a client of another driver. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { MainDb } from "../src/db/Database.ts"
import { Health } from "../src/Health.ts"
import { layerOf, type Options, type Stage, stageOn } from "./support/db/stage.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"
import { timed } from "./support/timed.ts"

const watched = (
  name: string,
  options: Options,
  body: (stage: Stage) => Effect.Effect<void, unknown, Health | MainDb>
): void =>
  it.scopedLive(name, () =>
    Effect.gen(function*() {
      const stage = yield* stageOn(yield* server)
      yield* Effect.zipRight(MainDb.use((sql) => sql`DO 0`), body(stage)).pipe(
        Effect.provide(
          Health.layerWith({ databases: [MainDb], timeout: "500 millis", cacheFor: 0 }).pipe(
            Layer.provideMerge(layerOf(stage.url, options))
          )
        )
      )
    }))

const main = Effect.map(Health.health, ({ checks }) => checks.find(({ name }) => name === "MainDb")!)

const hold = MainDb.withTransaction(Effect.zipRight(MainDb.use((sql) => sql`DO 0`), Effect.never))

describe("a database", () => {
  watched("passes, with the numbers of its pool, and nothing stays borrowed", {}, (stage) =>
    Effect.gen(function*() {
      expect(yield* main).toMatchObject({ status: "pass", observed: { idle: 1, active: 0, waiting: 0, max: 6 } })
      const all = yield* Effect.all(Array.from({ length: 50 }, () => main), { concurrency: "unbounded" })
      expect(new Set(all.map(({ status }) => status))).toEqual(new Set(["pass"]))
      expect(yield* MainDb.stats).toMatchObject({ active: 0, size: 1, opened: 1 })
      expect((yield* stage.threads).length).toBe(1)
      expect((yield* Health.snapshot).databases).toMatchObject([{ name: "MainDb", pool: { idle: 1, opened: 1 } }])
    }))

  watched(
    "is a warning while its pool is full, and is not queued for",
    { poolSize: 2, maxOverflow: 0 },
    () =>
      Effect.gen(function*() {
        const holders = yield* Effect.fork(Effect.all([hold, hold, hold], { concurrency: "unbounded" }))
        yield* eventually(Effect.map(MainDb.stats, (stats) => expect(stats).toMatchObject({ active: 2, waiting: 1 })))
        const [result, took] = yield* timed(main)
        expect(result).toMatchObject({
          status: "warn",
          detail: "all 2 connections are in use, and 1 borrowers wait; the server was not asked",
          observed: { active: 2, idle: 0, waiting: 1, max: 2 }
        })
        expect(took).toBeLessThan(500)
        expect((yield* MainDb.stats).waiting).toBe(1)
        expect((yield* Health.ready).status).toBe("pass")
        yield* Fiber.interrupt(holders)
        yield* eventually(Effect.map(main, ({ status }) => expect(status).toBe("pass")))
      })
  )

  watched("fails in time when it is silent, and passes when it is back", {}, (stage) =>
    Effect.gen(function*() {
      expect((yield* main).status).toBe("pass")
      yield* stage.proxy.halfOpen
      yield* stage.proxy.welcome("silent")
      expect(yield* main).toMatchObject({ status: "fail", detail: "no answer within 500ms" })
      expect((yield* Health.ready).status).toBe("pass")
      yield* stage.proxy.welcome("pass")
      yield* eventually(Effect.map(main, ({ status }) => expect(status).toBe("pass")))
      yield* eventually(Effect.map(MainDb.stats, (stats) => expect(stats).toMatchObject({ active: 0, waiting: 0 })))
    }))

  watched(
    "fails when the server is gone, and passes when it is back",
    { poolTimeout: 1_000 },
    (stage) =>
      Effect.gen(function*() {
        expect((yield* main).status).toBe("pass")
        yield* stage.proxy.refuse
        yield* stage.proxy.reset
        yield* eventually(Effect.map(main, ({ status }) => expect(status).toBe("fail")))
        const logged = yield* Health.snapshot
        expect(JSON.stringify(logged)).not.toContain("password")
        yield* stage.proxy.accept
        yield* eventually(Effect.map(main, ({ status }) => expect(status).toBe("pass")))
      })
  )

  watched(
    "says why no connection can be opened, while the pool still tries",
    { connectTimeout: 10_000, poolTimeout: 10_000 },
    (stage) =>
      Effect.gen(function*() {
        yield* stage.proxy.refuse
        yield* stage.proxy.reset
        yield* eventually(
          Effect.map(main, (check) =>
            expect(check).toMatchObject({
              status: "fail",
              detail: expect.stringMatching(/Unreachable.*ECONNREFUSED/),
              observed: { active: 0, idle: 0, max: 6 }
            })),
          "3 seconds"
        )
        yield* stage.proxy.accept
        yield* eventually(Effect.map(main, ({ status }) => expect(status).toBe("pass")))
      })
  )

  it.scopedLive("that is closed makes the process unready", () =>
    Effect.gen(function*() {
      const stage = yield* stageOn(yield* server)
      const health = yield* Layer.build(Health.layerWith({ databases: [MainDb] })).pipe(
        Effect.provide(layerOf(stage.url))
      )
      const ready = yield* Effect.provide(Health.ready, health)
      expect(ready).toMatchObject({
        status: "fail",
        checks: [{ name: "accepting" }, { name: "MainDb pool", status: "fail", detail: "the pool is closed" }]
      })
    }))

  it.scopedLive("of another client is asked by a statement", () =>
    Effect.gen(function*() {
      const stage = yield* stageOn(yield* server)
      yield* Effect.gen(function*() {
        expect(yield* main).toMatchObject({ status: "pass", observed: {} })
        expect((yield* Health.snapshot).databases).toEqual([{ name: "MainDb", pool: null }])
        yield* stage.proxy.halfOpen
        yield* stage.proxy.welcome("silent")
        expect(yield* main).toMatchObject({ status: "fail", detail: "no answer within 500ms" })
      }).pipe(Effect.provide(
        Health.layerWith({ databases: [MainDb], timeout: "500 millis", cacheFor: 0 }).pipe(
          Layer.provideMerge(MainDb.fromSqlClient),
          Layer.provide(MainDb.toSqlClient),
          Layer.provide(layerOf(stage.url))
        )
      ))
    }))
})
