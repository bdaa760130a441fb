/** A server that accepts no further connection. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { createConnection } from "mysql2/promise"
import { connectionId } from "../../support/db/connectionId.ts"
import { onPrivateServer } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { layerOf } from "../../support/db/stage.ts"

onPrivateServer("a server that is full", ({ faultOnStage }) => {
  faultOnStage(
    "11 too many connections: waits for a free one, and the error at the deadline says why",
    (_, stage) =>
      Effect.gen(function*() {
        const as = yield* plainUser(stage)
        const crowd: Array<() => Promise<void>> = []
        yield* Effect.acquireRelease(
          stage.admin("SET GLOBAL max_connections = 10"),
          () => stage.admin("SET GLOBAL max_connections = 500")
        )
        yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all(crowd.map((leave) => leave()))))
        for (let i = 0; i < 10; i++) {
          const connection = yield* Effect.promise(() => createConnection(as(stage.direct)))
          crowd.push(() => connection.end())
        }
        yield* Effect.scoped(Effect.gen(function*() {
          const body = Effect.gen(function*() {
            const error = yield* Effect.flip(connectionId)
            expect(error).toMatchObject({
              reason: "PoolTimeout",
              detail: expect.stringContaining("(TooManyConnections, errno 1040): "),
              hint: expect.any(String),
              cause: { reason: "TooManyConnections", errno: 1040 }
            })
            expect((yield* stage.proxy.accepted).length).toBeLessThan(20)
            const waiter = yield* Effect.fork(connectionId)
            yield* Effect.sleep("100 millis")
            yield* Effect.promise(() => crowd.pop()!())
            expect(yield* Fiber.join(waiter)).toBeGreaterThan(0)
          })
          yield* Effect.provide(body, layerOf(as(stage.url), { poolTimeout: "1500 millis" }))
        }))
      })
  )
})
