/** Faults on the way to a server, from the dial to the login. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault, faultOnStage, sleep } from "../../support/db/faults.ts"
import { layerOf } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

describe("connecting", () => {
  const silences = [
    ["7 a server that accepts without a greeting", "silent"],
    ["8 a greeting, then silence", "greetOnly"]
  ] as const
  for (const [what, how] of silences) {
    fault(`${what}: fails after the connect timeout`, {}, ({ proxy }) =>
      Effect.gen(function*() {
        yield* proxy.welcome(how)
        const [errors, took] = yield* timed(
          Effect.all(Effect.replicate(Effect.flip(connectionId), 10), { concurrency: 10 })
        )
        for (const error of errors) expect(error).toMatchObject({ reason: "ConnectTimeout", retryable: true })
        expect(took).toBeLessThan(1_200)
        yield* proxy.welcome("pass")
      }))

    faultOnStage(`${what}: fails so, too, while the layer is built`, ({ proxy, url }) =>
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
    "9 connection refused: fails after one connect timeout, and works again when the server is back",
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

  faultOnStage("9 no such host: a typed error, in time", ({ url }) =>
    Effect.gen(function*() {
      const nowhere = new URL(url)
      nowhere.hostname = "nowhere.invalid"
      const [error, took] = yield* timed(
        Effect.flip(Effect.scoped(Layer.build(layerOf(nowhere.href, { startup: "verify" }))))
      )
      expect(["Unreachable", "ConnectTimeout"]).toContain((error as { reason: string }).reason)
      expect(took).toBeLessThan(2_300)
      // A name lookup that is under way cannot be cancelled.
      yield* eventually(Effect.sync(() => expect(process.getActiveResourcesInfo()).not.toContain("GetAddrInfoReqWrap")))
    }))

  faultOnStage(
    "10 bad password: everyone fails at once, and the server is not flooded with dials",
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
    "15 interruption during a dial: the dial goes on, and its connection joins the pool",
    {},
    ({ proxy }) =>
      Effect.gen(function*() {
        yield* proxy.delay(20)
        const [, took] = yield* timed(Effect.exit(Effect.timeout(connectionId, "60 millis")))
        expect(took).toBeLessThan(720)
        expect(yield* MainDb.stats).toMatchObject({ dialling: 1, waiting: 0 })
        yield* eventually(Effect.map(MainDb.stats, ({ idle }) => expect(idle).toBe(1)))
      })
  )

  fault("16 a failed dial: the next one serves its waiter at once", {}, ({ proxy }) =>
    Effect.gen(function*() {
      yield* proxy.resetNext(3)
      const [ids, took] = yield* timed(Effect.all(Effect.replicate(connectionId, 3), { concurrency: 3 }))
      expect(ids).toHaveLength(3)
      expect(took).toBeLessThan(900)
      expect((yield* MainDb.stats).dialFailures).toBe(3)
    }))

  fault(
    "22 thundering herd: few dials at a time, also after an outage",
    { poolSize: 20, maxOverflow: 0, connectTimeout: "2 seconds" },
    ({ proxy }) =>
      Effect.gen(function*() {
        let most = 0
        const watching = yield* Effect.fork(Effect.forever(Effect.tap(Effect.sleep("1 millis"), () =>
          Effect.map(MainDb.stats, ({ dialling }) => {
            most = Math.max(most, dialling)
          }))))
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
