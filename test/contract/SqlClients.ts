/**
 * What a client of several MySQL databases must do, row by row of what `@effect/sql` and `@effect/sql-mysql2` do not.
 *
 * Every row observes something on a real server and says what a sound client shows there. Run on our client, the
 * observation has to be that; run on upstream's, it has to be something else: a row whose defect is gone there fails
 * and says so. What fails while it is set up is no defect, and fails in both.
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
