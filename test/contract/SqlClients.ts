/**
 * What a client of several MySQL databases must do: one row for each thing that `@effect/sql` and `@effect/sql-mysql2` do
 * not do.
 *
 * Every row observes something on a real server and says what a sound client shows there. On our client the observation
 * must equal that. On upstream's client it must differ: a row whose defect is gone there fails and says so. A failure
 * while a row is set up is no defect: it fails the row on both.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { pool } from "./sqlClients/pool.ts"
import { streams } from "./sqlClients/streams.ts"
import type { Row, Subject } from "./sqlClients/subject.ts"
import { transactions } from "./sqlClients/transactions.ts"
import { values } from "./sqlClients/values.ts"
import { waiting } from "./sqlClients/waiting.ts"

export type { Client, Row, Subject, Target } from "./sqlClients/subject.ts"

export const rows: ReadonlyArray<Row> = [...transactions, ...waiting, ...streams, ...pool, ...values]

export const suite = (subject: Subject, these: ReadonlyArray<Row> = rows): void => {
  describe(subject.name, () => {
    for (const row of these) {
      it.scopedLive(
        `${subject.expectDefect ? "with" : "without"}: ${row.defect}`,
        ({ annotate }) =>
          Effect.gen(function*() {
            const seen = yield* row.observe(subject)
            if (subject.expectDefect) {
              yield* Effect.promise(() => annotate(JSON.stringify(seen)))
              expect(seen, `${subject.name} no longer has the defect "${row.defect}"`).not.toEqual(row.sound)
            } else {
              expect(seen).toEqual(row.sound)
            }
          }),
        60_000
      )
    }
  })
}
