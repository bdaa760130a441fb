import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { adminOn } from "./admin.ts"
import { PrivateServer } from "./privateServer.ts"
import { admin, freshDatabase, server } from "./testServer.ts"

describe("the databases of tests", () => {
  it.scoped("have names of their own and are dropped with the scope", () =>
    Effect.gen(function*() {
      const names = yield* Effect.scoped(Effect.gen(function*() {
        const urls = yield* Effect.all([freshDatabase("support"), freshDatabase("support")])
        const names = urls.map((url) => new URL(url).pathname.slice(1))
        for (const name of names) yield* admin(`CREATE TABLE t (id int)`, { database: name })
        return names
      }))
      expect(new Set(names).size).toBe(2)
      const left = yield* admin(`SHOW DATABASES LIKE 'support\\_%'`)
      expect(left).toEqual([])
      expect((yield* server).host).toBe("127.0.0.1")
    }))

  it.live("are on a server of the same kind where a test has its own", () =>
    Effect.gen(function*() {
      const { at } = yield* PrivateServer
      const [row] = yield* adminOn(at)<{ version: string }>("SELECT VERSION() AS version")
      const [other] = yield* admin<{ version: string }>("SELECT VERSION() AS version")
      expect(row).toEqual(other)
    }).pipe(Effect.provide(PrivateServer.layer)))
})
