/** A server whose process is stopped (SIGSTOP): it accepts connections and answers nothing. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { onPrivateServer, openConnections } from "../../support/db/faults.ts"
import type { Controls } from "../../support/db/privateServer.ts"
import { timed } from "../../support/timed.ts"

onPrivateServer("a server that is stopped", ({ fault }) => {
  const stopped = (server: Controls): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(server.stop, () => server.resume)

  fault(
    "3 stopped before the ping: the waiter's deadline holds",
    { poolPrePingSkip: 0, poolTimeout: 500 },
    (server) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* Effect.scoped(Effect.gen(function*() {
          yield* stopped(server)
          const [error, took] = yield* timed(Effect.flip(connectionId))
          expect(error).toMatchObject({ reason: "PoolTimeout" })
          expect(took).toBeLessThan(1_250)
        }))
      })
  )

  fault("3 stopped before the ping: not every idle connection costs a deadline", {
    poolPrePingSkip: 0,
    poolTimeout: "4 seconds"
  }, (server) =>
    Effect.gen(function*() {
      yield* openConnections(4)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* stopped(server)
        const [error, took] = yield* timed(Effect.flip(connectionId))
        // One ping of a second and one dial of 400 milliseconds.
        expect(error).toMatchObject({ reason: "ConnectTimeout", retryable: true })
        expect(took).toBeLessThan(2_400)
        expect((yield* MainDb.stats).idle).toBe(0)
      }))
    }))

  fault(
    "4 stopped mid-query: a timeout of the caller still ends it, and the connection is cut",
    {},
    (server) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const running = yield* Effect.fork(
            timed(MainDb.use((sql) => sql`SELECT SLEEP(2)`).pipe(Effect.timeout("300 millis"), Effect.exit))
          )
          yield* Effect.sleep("100 millis")
          yield* stopped(server)
          const [exit, took] = yield* Fiber.join(running)
          expect(Exit.isFailure(exit)).toBe(true)
          // The timeout, and a second for the KILL that nobody answers.
          expect(took).toBeLessThan(2_100)
          expect(yield* MainDb.stats).toMatchObject({ active: 0, discarded: { broken: 1 } })
        }))
      })
  )

  fault(
    "4 stopped mid-transaction: ends in time, with the body's own error",
    {},
    (server) =>
      Effect.scoped(Effect.gen(function*() {
        const [error, took] = yield* timed(Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
          yield* connectionId
          yield* stopped(server)
          return yield* Effect.fail("the body's own")
        }))))
        expect(error).toBe("the body's own")
        expect(took).toBeLessThan(2_500)
      }))
  )
})
