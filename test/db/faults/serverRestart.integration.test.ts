/** A server that is killed and started again. For a restart during COMMIT see commit.integration.test.ts. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { inUse, onPrivateServer, openConnections } from "../../support/db/faults.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

onPrivateServer("a server that restarts", ({ fault }) => {
  fault(
    "1 restart while idle: the next statements work",
    { poolPrePingSkip: "1 minute" },
    (server) =>
      Effect.gen(function*() {
        yield* openConnections(4)
        expect((yield* MainDb.stats).idle).toBe(4)
        yield* server.kill
        yield* eventually(
          Effect.map(MainDb.stats, ({ idle, size }) => expect({ idle, size }).toEqual({ idle: 0, size: 0 }))
        )
        yield* server.start
        yield* Effect.all(Effect.replicate(MainDb.use((sql) => sql`SELECT 1`), 20), { concurrency: 20 })
      })
  )

  fault(
    "1 restart while idle, not noticed before the next use: transactions work",
    {},
    (server) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* server.kill
        yield* server.start
        yield* MainDb.withTransaction(MainDb.use((sql) => sql`SELECT 1`))
      })
  )

  fault(
    "1 restart while idle, noticed only at BEGIN: retries cover it",
    { poolPrePing: false },
    (_, stage) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* stage.proxy.trap("BEGIN", "reset")
        expect(yield* Effect.flip(MainDb.withTransaction(connectionId))).toMatchObject({ reason: "ConnectionLost" })
        yield* stage.proxy.trap("BEGIN", "reset")
        yield* MainDb.withTransaction(connectionId, { retries: 1 })
      })
  )

  fault(
    "2 restart mid-query: a typed error at once, inside and outside of transactions",
    {},
    (server) =>
      Effect.gen(function*() {
        const plain = yield* Effect.fork(Effect.flip(MainDb.use((sql) => sql`SELECT SLEEP(6)`)))
        const inTransaction = yield* Effect.fork(
          Effect.flip(MainDb.withTransaction(MainDb.use((sql) => sql`SELECT SLEEP(6)`)))
        )
        yield* inUse(2)
        yield* Effect.sleep("100 millis")
        yield* server.kill
        const [errors, took] = yield* timed(Fiber.join(Fiber.zip(plain, inTransaction)))
        for (const error of errors) expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(took).toBeLessThan(1_100)
        yield* server.start
      })
  )

  fault("2 an outage: waiters are served when the server is back", {
    poolTimeout: "10 seconds",
    connectTimeout: "8 seconds"
  }, (server) =>
    Effect.gen(function*() {
      yield* connectionId
      yield* server.kill
      yield* eventually(Effect.map(MainDb.stats, ({ size }) => expect(size).toBe(0)))
      const waiters = yield* Effect.fork(
        Effect.all(Effect.replicate(connectionId, 10), { concurrency: 10 })
      )
      yield* Effect.sleep("100 millis")
      yield* server.start
      expect(yield* Fiber.join(waiters)).toHaveLength(10)
    }))
})
