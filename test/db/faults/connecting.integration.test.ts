/** FACTS of trusted pools: the faults on the way to a server. Numbered as there. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId, ending, fault, inUse, sleep } from "../../support/db/faults.ts"
import { eventually, layerOf, timed } from "../../support/db/stage.ts"

describe("reaching the server", () => {
  fault("5 half-open socket: the ping's deadline finds out, and the elders are not waited for", {
    poolPrePingSkip: 0,
    poolTimeout: "5 seconds"
  }, ({ proxy }) =>
    Effect.gen(function*() {
      yield* Effect.all(Effect.replicate(sleep(0.05), 4), { concurrency: 4 })
      yield* proxy.halfOpen
      const [, took] = yield* timed(connectionId)
      expect(took).toBeGreaterThan(900)
      expect(took).toBeLessThan(2_000)
      const [, later] = yield* timed(Effect.all(Effect.replicate(connectionId, 4), { concurrency: 4 }))
      expect(later).toBeLessThan(1_000)
    }))

  fault("5 half-open socket mid-query: a timeout comes back", {}, ({ proxy }) =>
    Effect.gen(function*() {
      const running = yield* Effect.fork(timed(Effect.exit(Effect.timeout(sleep(1), "300 millis"))))
      yield* Effect.sleep("100 millis")
      yield* proxy.halfOpen
      const [exit, took] = yield* Fiber.join(running)
      expect(Exit.isFailure(exit)).toBe(true)
      expect(took).toBeLessThan(2_200)
      expect((yield* MainDb.stats).discarded.broken).toBe(1)
    }))

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

  fault("6 end of the stream mid-query: a typed error at once", {}, ({ proxy }) =>
    Effect.gen(function*() {
      const running = yield* Effect.fork(Effect.flip(MainDb.withTransaction(sleep(0.4))))
      yield* inUse(1)
      yield* Effect.sleep("50 millis")
      yield* proxy.finish
      const [error, took] = yield* timed(Fiber.join(running))
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(took).toBeLessThan(800)
    }))

  for (
    const [number, what, how] of [["7", "accepts without a greeting", "silent"], [
      "8",
      "greeting, then silence",
      "greetOnly"
    ]] as const
  ) {
    fault(`${number} ${what}: the connect timeout covers it`, {}, ({ proxy }) =>
      Effect.gen(function*() {
        yield* proxy.welcome(how)
        const [errors, took] = yield* timed(
          Effect.all(Effect.replicate(Effect.flip(connectionId), 10), { concurrency: 10 })
        )
        for (const error of errors) expect(error).toMatchObject({ reason: "ConnectTimeout", retryable: true })
        expect(took).toBeLessThan(1_200)
        yield* proxy.welcome("pass")
      }))

    ending(`${number} ${what}: so it does when the layer is built`, ({ proxy, url }) =>
      Effect.gen(function*() {
        yield* proxy.welcome(how)
        const [error, took] = yield* timed(
          Effect.flip(Effect.scoped(Layer.build(layerOf(url, { startup: "verify" }))))
        )
        expect(error).toMatchObject({ _tag: "DatabaseError", reason: "ConnectTimeout" })
        expect(took).toBeLessThan(1_200)
      }))
  }

  fault(
    "9 refused: fails after one connect timeout, and works again when it is back",
    {},
    ({ proxy }) =>
      Effect.gen(function*() {
        yield* proxy.refuse
        const [errors, took] = yield* timed(
          Effect.all(Effect.replicate(Effect.flip(connectionId), 30), { concurrency: 30 })
        )
        for (const error of errors) expect(error).toMatchObject({ reason: "Unreachable", retryable: true })
        expect(took).toBeLessThan(1_700)
        expect((yield* MainDb.stats).dialFailures).toBeLessThan(20)
        yield* proxy.accept
      })
  )

  ending("9 no such host: a typed error, in time", ({ url }) =>
    Effect.gen(function*() {
      const nowhere = new URL(url)
      nowhere.hostname = "nowhere.invalid"
      const [error, took] = yield* timed(
        Effect.flip(Effect.scoped(Layer.build(layerOf(nowhere.href, { startup: "verify" }))))
      )
      expect(["Unreachable", "ConnectTimeout"]).toContain((error as { reason: string }).reason)
      expect(took).toBeLessThan(2_300)
      // The resolver's thread cannot be called back.
      yield* eventually(Effect.sync(() => expect(process.getActiveResourcesInfo()).not.toContain("GetAddrInfoReqWrap")))
    }))

  ending(
    "10 bad password: fails at once, for everyone, and does not hammer",
    ({ proxy, url }) =>
      Effect.gen(function*() {
        const wrong = new URL(url)
        wrong.password = "wrong"
        yield* Effect.gen(function*() {
          const [error, took] = yield* timed(Effect.flip(connectionId))
          expect(error).toMatchObject({ reason: "LoginRefused", retryable: false, errno: 1045 })
          expect(error.message).not.toContain("wrong")
          expect(took).toBeLessThan(900)
          for (let i = 0; i < 20; i++) {
            const [errors] = yield* timed(
              Effect.all(Effect.replicate(Effect.flip(connectionId), 10), { concurrency: 10 })
            )
            for (const { reason } of errors) expect(reason).toBe("LoginRefused")
            yield* Effect.sleep("25 millis")
          }
          // One dial and, where the machine is slow, the next one after a pause of half a second at least.
          expect((yield* proxy.accepted).length).toBeLessThanOrEqual(3)
        }).pipe(Effect.provide(layerOf(wrong.href)))
      })
  )

  fault(
    "15 interrupt during a dial: the dial goes on, and the connection joins the pool",
    {},
    ({ proxy }) =>
      Effect.gen(function*() {
        yield* proxy.delay(40)
        const [, took] = yield* timed(Effect.exit(Effect.timeout(connectionId, "60 millis")))
        expect(took).toBeLessThan(720)
        expect(yield* MainDb.stats).toMatchObject({ dialling: 1, waiting: 0 })
        yield* eventually(Effect.map(MainDb.stats, ({ idle }) => expect(idle).toBe(1)))
      })
  )

  fault("16 a failed dial: its waiter is served by the next, at once", {}, ({ proxy }) =>
    Effect.gen(function*() {
      yield* proxy.resetNext(3)
      const [ids, took] = yield* timed(Effect.all(Effect.replicate(connectionId, 3), { concurrency: 3 }))
      expect(ids).toHaveLength(3)
      expect(took).toBeLessThan(900)
      expect((yield* MainDb.stats).dialFailures).toBe(3)
    }))

  fault(
    "22 thundering herd: few dials at a time, after an outage too",
    { poolSize: 20, maxOverflow: 0 },
    ({ proxy }) =>
      Effect.gen(function*() {
        let most = 0
        const watch = Effect.fork(Effect.forever(Effect.tap(Effect.sleep("1 millis"), () =>
          Effect.map(MainDb.stats, ({ dialling }) => {
            most = Math.max(most, dialling)
          }))))
        const watching = yield* watch
        yield* proxy.delay(20)
        const herd = Effect.all(Effect.replicate(sleep(0.05), 100), { concurrency: "unbounded" })
        yield* herd
        expect((yield* MainDb.stats).opened).toBeLessThanOrEqual(20)
        yield* proxy.reset
        yield* eventually(Effect.map(MainDb.stats, ({ size }) =>
          expect(size).toBe(0)))
        yield* herd
        yield* Fiber.interrupt(watching)
        expect(most).toBeGreaterThan(1)
        expect(most).toBeLessThanOrEqual(4)
      })
  )
})
