/** A thread id means something on its own server only: no KILL goes where it would end somebody else's statement. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { adminOn } from "../../support/db/admin.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { inUse, onPrivateServer, sleep } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { layerOf, type Options, type Stage } from "../../support/db/stage.ts"
import * as SwitchingProxy from "../../support/db/switchingProxy.ts"
import { running, server } from "../../support/db/testServer.ts"
import { timed } from "../../support/timed.ts"

const options: Options = { poolSize: 2, maxOverflow: 0, poolPrePingSkip: "1 minute", connectTimeout: "5 seconds" }

/** How many KILLs the server has executed. */
const kills = ({ admin }: Stage) =>
  Effect.map(admin("SHOW GLOBAL STATUS LIKE 'Com_kill'"), ([row]) => Number(row!["Value"]))

/** The database of the stage, its user and a proxy, on the server of the run too. */
const onBoth = (stage: Stage) =>
  Effect.gen(function*() {
    const other = yield* server
    const admin = adminOn(other)
    yield* Effect.acquireRelease(
      admin(`CREATE DATABASE ${stage.database}`),
      () => admin(`DROP DATABASE ${stage.database}`)
    )
    const as = yield* plainUser(stage)
    yield* plainUser({ ...stage, admin })
    const proxy = yield* SwitchingProxy.make(other)
    return { other, proxy, url: proxy.through(as(stage.direct)) }
  })

/** Interrupts what runs in the fiber, once the server of the run runs it: how long that takes. */
const interrupt = (stage: Stage, fiber: Fiber.RuntimeFiber<unknown, unknown>) =>
  Effect.gen(function*() {
    yield* running(stage.database, "SLEEP")
    const [, took] = yield* timed(Fiber.interrupt(fiber))
    return took
  })

onPrivateServer("KILL goes nowhere else", ({ faultOnStage }) => {
  faultOnStage(
    "40 an idle connection to another server behind the same address is not used",
    (at, stage) =>
      Effect.gen(function*() {
        const { other, proxy, url } = yield* onBoth(stage)
        yield* Effect.gen(function*() {
          // One connection to the private server, then one to that of the run, which is busy when the first comes back.
          const latch = yield* Effect.makeLatch()
          yield* proxy.to(at.at)
          const holder = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(connectionId, latch.await)))
          yield* inUse(1)
          yield* Effect.sleep("100 millis")
          yield* proxy.to(other)
          const fiber = yield* Effect.fork(sleep(5))
          yield* running(stage.database, "SLEEP")
          yield* latch.open
          yield* Fiber.join(holder)
          yield* inUse(1)
          const before = yield* kills(stage)
          expect(yield* interrupt(stage, fiber)).toBeLessThan(2_000)
          expect(yield* kills(stage)).toBe(before)
          // A dialled connection has carried the KILL.
          expect(yield* MainDb.stats).toMatchObject({ idle: 2, opened: 2, discarded: { broken: 0 } })
        }).pipe(Effect.provide(layerOf(url, options)))
      })
  )

  faultOnStage(
    "40 a dial that reaches another server behind the same address is not used",
    (at, stage) =>
      Effect.gen(function*() {
        const { proxy, url } = yield* onBoth(stage)
        yield* Effect.gen(function*() {
          const fiber = yield* Effect.fork(sleep(5))
          yield* running(stage.database, "SLEEP")
          yield* proxy.to(at.at)
          const before = yield* kills(stage)
          expect(yield* interrupt(stage, fiber)).toBeLessThan(2_000)
          expect(yield* kills(stage)).toBe(before)
          expect((yield* MainDb.stats).discarded.broken).toBe(1)
        }).pipe(Effect.provide(layerOf(url, options)))
      })
  )

  faultOnStage(
    "40 behind a proxy that numbers sessions itself, no KILL is sent",
    (at, stage) =>
      Effect.gen(function*() {
        const proxy = yield* SwitchingProxy.make(at.at)
        yield* proxy.renumber(1)
        yield* Effect.gen(function*() {
          const both = yield* Effect.fork(Effect.all([connectionId, sleep(0.5)], { concurrency: 2 }))
          yield* Fiber.join(both)
          const before = yield* kills(stage)
          // The server does not notice that its client is gone: this runs to its end.
          const fiber = yield* Effect.fork(sleep(1.5))
          yield* Effect.sleep("300 millis")
          const [, took] = yield* timed(Fiber.interrupt(fiber))
          expect(took).toBeLessThan(900)
          expect(yield* kills(stage)).toBe(before)
          expect((yield* MainDb.stats).discarded.broken).toBe(1)
          yield* sleep(0)
        }).pipe(Effect.provide(layerOf(proxy.through(stage.direct), options)))
      })
  )
})
