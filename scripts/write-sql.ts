/** Writes the files of `sql/` from the texts that the migrations run. A test fails where they differ. */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Inbox from "../src/Inbox.ts"
import { Outbox } from "../src/Outbox.ts"

for (const [name, text] of [["inbox", Inbox.sql], ["outbox", Outbox.sql]] as const) {
  writeFileSync(fileURLToPath(new URL(`../sql/${name}.sql`, import.meta.url)), text)
}
