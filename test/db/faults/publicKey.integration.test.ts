/** Whoever answers in the server's place must not get the password. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import type { TestContext } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { databaseError, reasonOf } from "../../support/db/errors.ts"
import { keyThief, type Way } from "../../support/db/keyThief.ts"
import { type Stage, stageOn } from "../../support/db/stage.ts"
import { admin, server } from "../../support/db/testServer.ts"

const SECRET = "S3CR3T-pässword"
const layerOf = (url: string) =>
  MainDb.layerConfig(Config.succeed({ url: Redacted.make(url), connectTimeout: 1_000, startup: "lazy" }))

const user = MainDb.use((sql) => sql<{ user: string }>`SELECT CURRENT_USER() AS user`).pipe(
  Effect.map(([row]) => row!.user.split("@")[0])
)

describe("the password", () => {
  for (const way of ["caching_sha2_password", "sha256_password"] satisfies ReadonlyArray<Way>) {
    it.scopedLive(`54 a server that asks for it by ${way}, with a key of its own, does not get it`, () =>
      Effect.gen(function*() {
        const thief = yield* keyThief(way)
        const url = `mysql://app:${encodeURIComponent(SECRET)}@127.0.0.1:${thief.port}/main`
        const exit = yield* Effect.exit(Effect.provide(user, layerOf(url)))
        const error = databaseError(exit)
        expect(error).toMatchObject({
          reason: "LoginRefused",
          retryable: false,
          detail: "the server wants the password itself, and without TLS whoever answers could read it",
          hint: expect.stringContaining("allow-public-key-retrieval")
        })
        expect(thief.stolen).toEqual([])
        for (
          const text of [
            error.message,
            JSON.stringify(error),
            inspect(error, { depth: 9 }),
            Cause.pretty(Cause.fail(error))
          ]
        ) {
          expect(text).not.toContain("S3CR3T")
        }
        // The control: what the option allows is just that.
        yield* Effect.exit(Effect.provide(user, layerOf(`${url}?allow-public-key-retrieval=true`)))
        expect([...new Set(thief.stolen)]).toEqual([SECRET])
        expect(thief.asked()).toBeGreaterThan(0)
      }))
  }

  /** A user of the kind that is MySQL's default, which the server has not seen log in. */
  const newUser = ({ admin, database }: Stage) =>
    Effect.acquireRelease(
      Effect.zipRight(
        admin(`CREATE USER '${database}'@'%' IDENTIFIED WITH caching_sha2_password BY '${SECRET}'`),
        admin(`GRANT ALL ON ${database}.* TO '${database}'@'%'`)
      ),
      () => admin(`DROP USER '${database}'@'%'`)
    )

  it.scopedLive("54 a real account of MySQL: over TLS, or with the option; without them only what the server remembers", (context) =>
    Effect.gen(function*() {
      yield* onlyMySQL(context)
      const at = yield* server
      const stage = yield* stageOn(at)
      yield* newUser(stage)
      const { database } = stage
      const url = `mysql://${database}:${encodeURIComponent(SECRET)}@${at.host}:${at.port}/${database}`
      const login = (query = "") => reasonOf(Effect.provide(user, layerOf(url + query)))
      const forget = stage.admin(`ALTER USER '${database}'@'%' IDENTIFIED BY '${SECRET}'`)

      expect(yield* login()).toBe("LoginRefused")
      expect(yield* login("?allow-public-key-retrieval=true")).toBe("Success")
      // The server has seen the password, so a proof of it is enough.
      expect(yield* login()).toBe("Success")
      yield* forget
      expect(yield* login()).toBe("LoginRefused")
      expect(yield* login("?ssl-mode=REQUIRED")).toBe("Success")
      expect(yield* login()).toBe("Success")
      expect(yield* Effect.provide(user, layerOf(`${url}?ssl-mode=REQUIRED`))).toBe(database)
    }))
})

const onlyMySQL = (context: TestContext) =>
  Effect.map(
    admin(`SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'caching_sha2_password'`),
    (plugins) => plugins.length > 0 ? undefined : context.skip("this server has no caching_sha2_password")
  )
