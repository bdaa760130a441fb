/** The option `isolation`, which becomes part of a statement. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inspect } from "node:util"
import { MainDb } from "../../../src/db/Database.ts"
import { databaseError } from "../../support/db/errors.ts"
import { ids, insert, makeTable } from "../../support/db/faults.ts"
import { withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"

describe("isolation", () => {
  it.live("55 what is no isolation level is refused before anything is sent", () =>
    Effect.flatMap(server, (at) =>
      withDatabase(at, {}, (stage) =>
        Effect.gen(function*() {
          yield* makeTable(stage)
          let ran = false
          const body = Effect.zipRight(Effect.sync(() => void (ran = true)), insert(1))
          for (
            const text of [
              "READ COMMITTED; INSERT INTO t (id) VALUES (66)",
              "READ COMMITTED, READ ONLY",
              "read committed",
              "SNAPSHOT",
              "",
              null,
              ["READ COMMITTED"]
            ]
          ) {
            const options = { isolation: text as "SERIALIZABLE" }
            const plain = yield* Effect.exit(MainDb.withTransaction(body, options))
            const nested = yield* Effect.exit(MainDb.withTransaction(MainDb.withTransaction(body, options)))
            for (const exit of [plain, nested]) {
              const error = databaseError(exit)
              expect(error).toMatchObject({ reason: "InvalidParameter", retryable: false })
              expect(error.hint).toBe("use one of READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ, SERIALIZABLE")
              expect(inspect(error, { depth: 9 })).not.toMatch(/INSERT|SNAPSHOT/)
            }
          }
          expect(ran).toBe(false)
          expect(yield* ids(stage)).toEqual([])
          expect(yield* MainDb.stats).toMatchObject({ active: 0 })
          yield* MainDb.withTransaction(body, { isolation: "SERIALIZABLE" })
        }), "multiple-statements=true")))
})
