/** Reports of parts that answer, fail, hang and die, without a database. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Context, Deferred, type Duration, Effect, Fiber, Layer, Option, Schema, TestClock } from "effect"
import { Queue } from "../src/aws/Queue.ts"
import { Storage } from "../src/aws/Storage.ts"
import { GarminDb, MainDb } from "../src/db/Database.ts"
import { ConfigurationError, ServiceError } from "../src/Errors.ts"
import { Health } from "../src/Health.ts"
import { Outbox } from "../src/Outbox.ts"

const refused = new ServiceError({
  service: "SQS",
  operation: "receive",
  reason: "AccessDenied",
  retryable: false,
  attempts: 1,
  detail: "the key may not do that",
  cause: new Error("secret")
})

/** Advances the clock when the fibers have done what they can. */
const pass = (time: Duration.DurationInput): Effect.Effect<void> =>
  Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 20), TestClock.adjust(time))

const statuses = ({ checks }: Health.Report): Record<string, string> =>
  Object.fromEntries(checks.map(({ name, status }) => [name, status]))

describe("reports", () => {
  it.effect("the process alone passes, is ready until it drains, and lives on then", () =>
    Effect.gen(function*() {
      expect(yield* Health.ready).toMatchObject({ status: "pass" })
      yield* Health.drain
      expect(yield* Health.ready).toMatchObject({
        status: "fail",
        checks: [{ name: "accepting", status: "fail", detail: "the process is shutting down" }]
      })
      expect((yield* Health.live).status).toBe("pass")
      expect((yield* Health.health).status).toBe("fail")
    }).pipe(Effect.provide(Health.layer)))

  it.effect("each part is in health, and in ready only where it is asked for", () =>
    Effect.gen(function*() {
      const health = yield* Health.health
      expect(statuses(health)).toEqual({
        eventLoop: "pass",
        accepting: "pass",
        Queue: "pass",
        Storage: "pass",
        mail: "fail",
        search: "fail"
      })
      expect(health.checks.find(({ name }) => name === "mail")?.detail).toBe("failed with Refused")
      expect(health.checks.find(({ name }) => name === "search")?.detail).toContain("the key may not do that")
      expect(JSON.stringify(health)).not.toContain("secret")
      expect(statuses(yield* Health.ready)).toEqual({ accepting: "pass", Storage: "pass" })
      expect((yield* Health.ready).status).toBe("pass")
    }).pipe(Effect.provide(
      Health.layerWith({
        queues: [Queue],
        others: {
          mail: Effect.fail({ _tag: "Refused", password: "secret" }),
          search: Effect.fail(refused)
        },
        ready: { storage: Storage }
      }).pipe(Layer.provide([Queue.layerMemory, Storage.layerMemory]))
    )))

  it.effect("parts of one name are all looked at", () => {
    const other = Context.GenericTag<Queue, Queue.Service>("app/Queue")
    const named = Health.layerWith({
      queues: [Queue, other],
      others: { Queue: Effect.fail("no") },
      ready: { queues: [Queue] }
    })
    return Effect.gen(function*() {
      expect((yield* Health.health).checks.map(({ component, name, status }) => [component, name, status]).slice(2))
        .toEqual([["queue", "Queue", "pass"], ["queue", "app/Queue", "pass"], ["other", "Queue", "fail"]])
      expect((yield* Health.ready).status).toBe("pass")
    }).pipe(Effect.provide(
      Layer.provide(named, Layer.provideMerge(Layer.effect(other, Queue), Queue.layerMemory))
    ))
  })

  it("the layer needs what is named", () => {
    const layer = Health.layerWith({
      databases: [MainDb],
      queues: [Queue],
      outbox: Outbox,
      others: { mine: Effect.asVoid(Storage) },
      ready: { databases: [GarminDb] }
    })
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Health, never, MainDb | Queue | Outbox | Storage | GarminDb>>()
    expectTypeOf(Health.layerWith({})).toEqualTypeOf<Layer.Layer<Health>>()
  })
})

describe("looks", () => {
  const counted = (look: Effect.Effect<unknown, unknown>) => {
    let begun = 0
    const layer = Health.layerWith({ others: { part: Effect.zipRight(Effect.sync(() => begun++), look) } })
    return { layer, begun: () => begun }
  }
  const part = Effect.map(Health.health, ({ checks }) => checks.find(({ name }) => name === "part")!)

  it.effect("a thousand callers share one look, and its result is given again for a second", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const { begun, layer } = counted(Deferred.await(release))
      yield* Effect.gen(function*() {
        const callers = yield* Effect.fork(
          Effect.all(Array.from({ length: 1000 }, () => part), { concurrency: "unbounded" })
        )
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        expect(begun()).toBe(1)
        yield* Deferred.succeed(release, void 0)
        expect(new Set((yield* Fiber.join(callers)).map(({ status }) => status))).toEqual(new Set(["pass"]))
        yield* pass("999 millis")
        yield* part
        expect(begun()).toBe(1)
        yield* pass("1 millis")
        yield* part
        expect(begun()).toBe(2)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("a caller that is interrupted does not end the look of the others", () => {
    const { begun, layer } = counted(Effect.sleep("100 millis"))
    return Effect.gen(function*() {
      const first = yield* Effect.fork(part)
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const second = yield* Effect.fork(part)
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      yield* Fiber.interrupt(first)
      yield* pass("100 millis")
      expect((yield* Fiber.join(second)).status).toBe("pass")
      expect(begun()).toBe(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a part that never answers and cannot be interrupted costs one look, and each caller a second at most", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const { begun, layer } = counted(Effect.uninterruptible(Deferred.await(release)))
      yield* Effect.gen(function*() {
        const first = yield* Effect.fork(part)
        yield* pass("1 seconds")
        expect(yield* Fiber.join(first)).toMatchObject({ status: "fail", detail: "no answer within 1s" })
        yield* pass("1 seconds")
        expect(yield* part).toMatchObject({ status: "fail", detail: "the look before has had no answer yet" })
        expect(begun()).toBe(1)
        yield* Deferred.succeed(release, void 0)
        yield* pass("1 seconds")
        expect((yield* part).status).toBe("pass")
        expect(begun()).toBe(2)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("a look runs in no transaction of who asks first", () => {
    class Transaction extends Context.Tag("test/Transaction")<Transaction, string>() {}
    const { layer } = counted(
      Effect.flatMap(
        Effect.serviceOption(Transaction),
        (open) => Option.isSome(open) ? Effect.fail("in it") : Effect.void
      )
    )
    return Effect.gen(function*() {
      expect((yield* Effect.provideService(part, Transaction, "open")).status).toBe("pass")
    }).pipe(Effect.provide(layer))
  })

  it.live("a part that has answered in time passes, also where the event loop was blocked meanwhile", () => {
    // As a socket has it: what has arrived is read after the timers.
    const arrived = Effect.async<void>((resume) => void setTimeout(() => setImmediate(() => resume(Effect.void)), 50))
    return Effect.gen(function*() {
      const answer = yield* Effect.fork(part)
      yield* Effect.sleep("10 millis")
      yield* Effect.sync(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200))
      expect(yield* Fiber.join(answer)).toMatchObject({ status: "pass" })
    }).pipe(
      Effect.provide(Health.layerWith({ others: { part: arrived }, timeout: "100 millis" }))
    )
  })

  it.effect("a part that dies fails, and the next look is a new one", () => {
    const { begun, layer } = counted(Effect.die("secret"))
    return Effect.gen(function*() {
      expect(yield* part).toMatchObject({ status: "fail" })
      expect(JSON.stringify(yield* Health.snapshot)).not.toContain("secret")
      yield* pass("1 seconds")
      yield* part
      expect(begun()).toBe(2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("while a look hangs the layer closes, and its callers hear of it", () =>
    Effect.gen(function*() {
      const { layer } = counted(Effect.uninterruptible(Effect.never))
      const caller = yield* Effect.flatMap(
        Effect.map(Health, (service) => service),
        (service) => Effect.tap(Effect.forkDaemon(service.health), () => Effect.repeatN(Effect.yieldNow(), 20))
      ).pipe(Effect.provide(layer))
      const { checks } = yield* Fiber.join(caller)
      expect(checks.find(({ name }) => name === "part")?.detail).toBe("the health checks are closed")
    }))
})

describe("the status of a process", () => {
  it.effect("has the latest 50 errors of ours that were logged, without their causes", () =>
    Effect.gen(function*() {
      for (let index = 0; index < 60; index++) {
        yield* Effect.logError("failed", new Error("wrapped", { cause: refused }))
      }
      yield* Effect.logWarning("in a cause", { nothing: true }).pipe(Effect.annotateLogs({ error: refused }))
      yield* Effect.fail(new ConfigurationError({ service: "Queue", reason: "NotConfigured", problems: [] })).pipe(
        Effect.catchAllCause((cause) => Effect.logFatal(cause))
      )
      yield* Effect.logDebug(refused)
      yield* Effect.logError(new Error("of others"))
      const status = yield* Health.snapshot
      expect(status.recentErrors).toHaveLength(50)
      expect(status.recentErrors[0]).toMatchObject({
        error: "ConfigurationError",
        of: "Queue",
        level: "FATAL",
        message: expect.stringContaining("not configured")
      })
      expect(status.recentErrors[1]).toMatchObject({ level: "WARN", of: "SQS", reason: "AccessDenied" })
      expect(status.recentErrors[2]).toMatchObject({ level: "ERROR" })
      expect(JSON.stringify(status)).not.toContain("secret")
      expect(status.process).toMatchObject({ nodeVersion: process.versions.node, draining: false })
    }).pipe(Effect.provide(Health.layer)))

  it.effect("is JSON by its schema", () =>
    Effect.gen(function*() {
      const status = yield* Health.snapshot
      const text = yield* Schema.encode(Schema.parseJson(Health.Status))(status)
      expect(yield* Schema.decode(Schema.parseJson(Health.Status))(text)).toEqual(status)
    }).pipe(Effect.provide(Health.layerWith({ queues: [Queue] }).pipe(Layer.provide(Queue.layerMemory)))))
})

const decodeReport = Schema.decodeUnknownSync(Schema.parseJson(Health.Report))
const decodeStatus = Schema.decodeUnknownSync(Schema.parseJson(Health.Status))

describe("over HTTP", () => {
  const failing = Health.layerWith({ others: { part: Effect.fail("no") } })

  const requests = (send: (request: Request) => Promise<Response>) =>
    Effect.promise(async () => {
      const get = async (path: string, method = "GET") => {
        const response = await send(new Request(`http://localhost${path}`, { method }))
        return { status: response.status, headers: response.headers, text: await response.text() }
      }
      for (const [path, status] of [["/livez", 200], ["/readyz", 200], ["/healthz", 503]] as const) {
        const answer = await get(path)
        expect([path, answer.status]).toEqual([path, status])
        expect(answer.headers.get("cache-control")).toBe("no-store")
        expect(answer.headers.get("content-type")).toBe("application/health+json")
        expect(decodeReport(answer.text).status)
          .toBe(status === 200 ? "pass" : "fail")
        expect((await get(path, "HEAD")).status).toBe(status)
      }
      const metrics = await get("/metrics")
      expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
      expect(metrics.text).toContain("# TYPE effect_fiber_started_total counter\n")
      decodeStatus((await get("/status.json")).text)
      expect((await get("/other")).status).toBe(404)
      expect((await get("/livez", "POST")).status).toBe(404)
    })

  it.scoped("from HttpRouter", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpApp.toWebHandlerLayer(Health.router, failing)
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      yield* requests((request) => handler(request))
    }))

  it.scoped("from HttpLayerRouter", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpLayerRouter.toWebHandler(Layer.provide(Health.routes, failing))
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      yield* requests((request) => handler(request))
    }))
})
