/** A server of this machine, by its Unix socket. */
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import type { TestContext } from "vitest"
import { MainDb } from "../../src/db/Database.ts"
import { connectionId } from "../support/db/connectionId.ts"
import { databaseError } from "../support/db/errors.ts"
import { nothingRuns } from "../support/db/nothingRuns.ts"
import { stageOn } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"
import { recordingTracer } from "../support/recordingTracer.ts"
import { timed } from "../support/timed.ts"

const layerOf = (url: string) =>
  MainDb.layerConfig(Config.succeed({ url: Redacted.make(url), startup: "lazy", connectTimeout: 400 }))

/** A database and a user of its own who comes by the socket, whose password the server has not seen yet. */
const local = (context: TestContext) =>
  Effect.gen(function*() {
    const stage = yield* stageOn(yield* server)
    const { admin, database } = stage
    const [found] = yield* admin("SELECT @@socket AS socket, @@datadir AS folder")
    const socket = resolve(found!["folder"], found!["socket"])
    if (!existsSync(socket)) context.skip("the server's socket is not on this machine")
    yield* Effect.acquireRelease(
      Effect.zipRight(
        admin(`CREATE USER ${database}@localhost IDENTIFIED BY 'by the socket'`),
        admin(`GRANT ALL ON ${database}.* TO ${database}@localhost`)
      ),
      () => admin(`DROP USER ${database}@localhost`)
    )
    const url = (host: string) => `mysql://${database}:by%20the%20socket@${host}/${database}?socket=${socket}`
    return { ...stage, socket, url }
  })

describe("a Unix socket", () => {
  it.scopedLive("carries connections and their KILL; the password needs no TLS", (context) =>
    Effect.gen(function*() {
      const { database, socket, threads, url } = yield* local(context)
      const { spans, tracer } = recordingTracer()
      for (const host of ["localhost", ""]) {
        yield* Effect.gen(function*() {
          const [row] = yield* MainDb.use((sql) => sql`SELECT CURRENT_USER() AS user`)
          expect(row).toEqual({ user: `${database}@localhost` })
          const before = yield* connectionId
          const [, took] = yield* timed(
            Effect.exit(Effect.timeout(MainDb.use((sql) => sql`SELECT SLEEP(5)`), "200 millis"))
          )
          expect(took).toBeLessThan(1_150)
          yield* nothingRuns(threads, "SLEEP")
          expect(yield* connectionId).toBe(before)
          expect(yield* MainDb.stats).toMatchObject({ opened: 1 })
        }).pipe(Effect.provide(layerOf(url(host))), Effect.withTracer(tracer))
      }
      const { attributes } = spans.find(({ name }) => name === "sql.execute")!
      expect(attributes.get("server.address")).toBe(socket)
      expect(attributes.has("server.port")).toBe(false)
    }))

  it.live("that is not there: Unreachable", () =>
    Effect.gen(function*() {
      const layer = layerOf("mysql://u@localhost/d?socket=/run/absent/mysqld.sock")
      const exit = yield* Effect.exit(Effect.provide(MainDb.use((sql) => sql`SELECT 1`), layer))
      expect(databaseError(exit)).toMatchObject({ reason: "Unreachable", hint: expect.stringContaining("socket") })
      expect(Exit.isFailure(exit)).toBe(true)
    }))
})
