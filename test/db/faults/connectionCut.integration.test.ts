/** A connection that is lost: while it runs a statement, and while it is idle. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault, inUse, onPrivateServer, openConnections, sleep } from "../../support/db/faults.ts"
import { layerOf } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

describe("a lost connection", () => {
  fault("5 half-open socket: the ping's deadline finds it, and connections opened before are closed without a ping", {
    poolPrePingSkip: 0,
    poolTimeout: "5 seconds"
  }, ({ proxy }) =>
    Effect.gen(function*() {
      yield* openConnections(4)
      yield* proxy.halfOpen
      const [, took] = yield* timed(connectionId)
      expect(took).toBeGreaterThan(900)
      expect(took).toBeLessThan(2_000)
      const [, later] = yield* timed(Effect.all(Effect.replicate(connectionId, 4), { concurrency: 4 }))
      expect(later).toBeLessThan(1_000)
    }))

  fault(
    "5 half-open socket mid-query: a timeout of the caller still ends it",
    {},
    ({ proxy }) =>
      Effect.gen(function*() {
        const running = yield* Effect.fork(timed(Effect.exit(Effect.timeout(sleep(1), "300 millis"))))
        yield* Effect.sleep("100 millis")
        yield* proxy.halfOpen
        const [exit, took] = yield* Fiber.join(running)
        expect(Exit.isFailure(exit)).toBe(true)
        expect(took).toBeLessThan(2_200)
        expect((yield* MainDb.stats).discarded.broken).toBe(1)
      })
  )

  fault("6 reset mid-query: a typed error at once", {}, ({ proxy }) =>
    Effect.gen(function*() {
      const running = yield* Effect.fork(Effect.flip(sleep(0.4)))
      yield* inUse(1)
      yield* Effect.sleep("50 millis")
      yield* proxy.reset
      const [error, took] = yield* timed(Fiber.join(running))
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(took).toBeLessThan(800)
    }))

  fault("6 end of the TCP stream mid-query: a typed error at once", {}, ({ proxy }) =>
    Effect.gen(function*() {
      const running = yield* Effect.fork(Effect.flip(MainDb.withTransaction(sleep(0.4))))
      yield* inUse(1)
      yield* Effect.sleep("50 millis")
      yield* proxy.finish
      const [error, took] = yield* timed(Fiber.join(running))
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(took).toBeLessThan(800)
    }))
})

onPrivateServer("an idle connection that the server ends", ({ fault, faultOnStage }) => {
  fault(
    "21 KILL while idle: the next statement works",
    { poolPrePingSkip: "1 minute" },
    (_, stage) =>
      Effect.gen(function*() {
        const id = yield* connectionId
        yield* stage.admin(`KILL ${id}`)
        yield* eventually(Effect.map(MainDb.stats, ({ size }) => expect(size).toBe(0)))
        expect(yield* connectionId).not.toBe(id)
      })
  )

  faultOnStage("21 wait_timeout while idle: the next statement works", (_, stage) =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        stage.admin("SET GLOBAL wait_timeout = 1"),
        () => stage.admin("SET GLOBAL wait_timeout = 28800")
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          const id = yield* connectionId
          yield* Effect.sleep("1500 millis")
          expect(yield* connectionId).not.toBe(id)
          expect((yield* MainDb.stats).discarded.broken).toBe(1)
        }),
        layerOf(stage.url)
      )
    }))
})
