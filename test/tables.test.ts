import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Inbox from "../src/Inbox.ts"
import { Outbox } from "../src/Outbox.ts"

describe("sql/", () => {
  for (const [name, text] of [["inbox", Inbox.sql], ["outbox", Outbox.sql]] as const) {
    it(`${name}.sql is what the migration runs; npx tsx scripts/write-sql.ts writes it`, () => {
      expect(readFileSync(new URL(`../sql/${name}.sql`, import.meta.url), "utf8")).toBe(text)
    })
  }
})
