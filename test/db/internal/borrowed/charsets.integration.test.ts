/** The driver's table of character sets. When this fails after an upgrade, read `src/db/internal/borrowed` first. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import Mysql from "mysql2"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import { collationOf } from "../../../../src/db/internal/borrowed/charsets.ts"
import { server } from "../../../support/db/testServer.ts"

describe("the collation that mysql2 logs in with", () => {
  const { Charsets: numbers } = Mysql as unknown as { readonly Charsets: Readonly<Record<string, number>> }

  for (const charset of ["utf8mb4", "utf8mb4_bin", "utf8mb4_unicode_520_ci", "latin1", "latin2", "gbk"]) {
    it.live(`for ${charset} is the one that its table names`, () =>
      Effect.gen(function*() {
        const { host, password, port, user } = yield* server
        // Not what the session has: MariaDB 11.8 puts its own default in place of a character set's first collation.
        const [[row]] = yield* Effect.acquireUseRelease(
          Effect.promise(() => createConnection({ host, port, user, password, charset })),
          (connection) =>
            Effect.promise(() =>
              connection.query<Array<RowDataPacket>>(
                "SELECT COLLATION_NAME AS name FROM information_schema.COLLATIONS WHERE ID = ?",
                [numbers[charset.toUpperCase()]]
              )
            ),
          (connection) => Effect.promise(() => connection.end())
        )
        expect(row!["name"]).toBe(collationOf(charset))
      }))
  }

  it("has none for binary, and for what it does not know", () => {
    expect([collationOf("binary"), collationOf("nothing")]).toEqual([undefined, undefined])
  })
})
