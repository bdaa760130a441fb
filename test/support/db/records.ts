/** The table `records` of MainDb, which the tests of transactions write to. */
import * as Effect from "effect/Effect"
import { expect } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"

/** Makes the table where it is missing, and empties it. */
export const setUp = MainDb.use((sql) =>
  Effect.gen(function*() {
    yield* sql`CREATE TABLE IF NOT EXISTS records (id INT PRIMARY KEY, mark VARCHAR(60) NOT NULL)`
    yield* sql`DELETE FROM records`
  })
)

export const write = (id: number, mark = "x") => MainDb.use((sql) => sql`INSERT INTO records VALUES (${id}, ${mark})`)

/** The ids in the table, in order, as the current fiber sees them. */
export const ids = MainDb.use((sql) => sql<{ id: number }>`SELECT id FROM records ORDER BY id`).pipe(
  Effect.map((rows) => rows.map(({ id }) => id))
)

/** The pool's numbers add up, and no connection is in use or waited for. */
export const settled = Effect.gen(function*() {
  const stats = yield* MainDb.stats
  expect(stats.active).toBe(0)
  expect(stats.waiting).toBe(0)
  expect(stats.idle + stats.active + stats.dialling).toBe(stats.size)
  return stats
})
