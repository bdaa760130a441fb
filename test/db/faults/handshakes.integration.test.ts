/** Handshakes that are not needed any more: a server blocks a host after 100 that break off (max_connect_errors). */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { onPrivateServer, sleep } from "../../support/db/faults.ts"
import { layerOf, type Stage } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"

/** Connections that the server gave up before their login was over. */
const aborted = ({ admin }: Stage) =>
  Effect.map(admin("SHOW GLOBAL STATUS LIKE 'Aborted_connects'"), ([row]) => Number(row!["Value"]))

onPrivateServer("dials that are not needed any more", ({ faultOnStage }) => {
  faultOnStage(
    "41 four hundred statements that end while a connection for their KILL is dialled",
    (_, stage) =>
      Effect.gen(function*() {
        const before = yield* aborted(stage)
        yield* Effect.gen(function*() {
          yield* connectionId
          yield* Effect.forEach(
            Array.from({ length: 400 }, (_, i) => i),
            (i) => Effect.timeoutOption(sleep(0.01), 5 + i % 16),
            { concurrency: 4 }
          )
        }).pipe(Effect.provide(layerOf(stage.url, { poolSize: 4, maxOverflow: 0, connectTimeout: "5 seconds" })))
        expect((yield* stage.proxy.accepted).length).toBeGreaterThan(50)
        yield* eventually(Effect.map(stage.proxy.open, (open) => expect(open).toBe(0)))
        expect(yield* aborted(stage)).toBe(before)
      })
  )

  faultOnStage(
    "41 a pool that is closed while it dials, and dials that take longer than their timeout",
    (_, stage) =>
      Effect.gen(function*() {
        const before = yield* aborted(stage)
        yield* stage.proxy.delay(5)
        yield* Effect.forEach(
          Array.from({ length: 30 }, (_, i) => 2 * i),
          (i) =>
            Effect.exit(Effect.timeout(connectionId, i)).pipe(
              Effect.provide(layerOf(stage.url, { connectTimeout: i % 3 === 0 ? "5 seconds" : 15 }))
            ),
          { concurrency: 2 }
        )
        yield* eventually(Effect.map(stage.proxy.open, (open) => expect(open).toBe(0)), "6 seconds")
        expect((yield* stage.proxy.accepted).length).toBeGreaterThan(20)
        expect(yield* aborted(stage)).toBe(before)
        yield* stage.proxy.delay(0)
        expect(yield* Effect.provide(Effect.map(MainDb.stats, ({ size }) => size), layerOf(stage.url))).toBe(0)
      })
  )

  faultOnStage("41 a server that never finishes a handshake is not waited for", (_, stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.welcome("greetOnly")
      yield* Effect.exit(Effect.timeout(connectionId, 50)).pipe(Effect.provide(layerOf(stage.url)))
      yield* eventually(Effect.map(stage.proxy.open, (open) => expect(open).toBe(0)), "4 seconds")
    }))
})
