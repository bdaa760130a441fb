/** A server that has become read-only, as the old primary does in a fail-over. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { onPrivateServer, openConnections } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { healthy, layerOf } from "../../support/db/stage.ts"

onPrivateServer("a server that has become read-only", ({ faultOnStage }) => {
  faultOnStage(
    "27 fail-over to read-only: a typed error, and all connections opened before are closed",
    (_, stage) =>
      Effect.gen(function*() {
        const as = yield* plainUser(stage)
        yield* stage.admin(`CREATE TABLE ${stage.database}.t (id INT PRIMARY KEY)`)
        yield* Effect.provide(
          Effect.gen(function*() {
            yield* openConnections(3)
            expect((yield* MainDb.stats).opened).toBe(3)
            yield* Effect.scoped(Effect.gen(function*() {
              yield* Effect.acquireRelease(
                stage.admin("SET GLOBAL read_only = 1"),
                () => stage.admin("SET GLOBAL read_only = 0")
              )
              const error = yield* Effect.flip(MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`))
              expect(error).toMatchObject({ reason: "ReadOnlyServer", errno: 1290, retryable: true })
              expect(yield* MainDb.stats).toMatchObject({ size: 0, discarded: { invalidated: 2, broken: 1 } })
            }))
            yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`)
            yield* healthy
          }),
          layerOf(as(stage.url))
        )
      })
  )

  faultOnStage(
    "27 fail-over mid-transaction: nothing is half done, and retries repeat the whole transaction",
    (_, stage) =>
      Effect.gen(function*() {
        const as = yield* plainUser(stage)
        yield* stage.admin(`CREATE TABLE ${stage.database}.t (id INT PRIMARY KEY)`)
        yield* Effect.provide(
          Effect.gen(function*() {
            let attempts = 0
            yield* stage.admin("SET GLOBAL read_only = 1")
            yield* Effect.addFinalizer(() => stage.admin("SET GLOBAL read_only = 0"))
            yield* MainDb.withTransaction(
              Effect.gen(function*() {
                if (++attempts === 2) yield* stage.admin("SET GLOBAL read_only = 0")
                yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`)
                yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (2)`)
              }),
              { retries: 2 }
            )
            expect(attempts).toBe(2)
          }),
          layerOf(as(stage.url))
        )
        expect(yield* stage.admin(`SELECT id FROM ${stage.database}.t`)).toHaveLength(2)
      })
  )
})
