/** Interruption: of what runs on the server, and of what waits for a connection. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { running } from "../../support/db/testServer.ts"
import { below, endOf, insert, open, type Row } from "./subject.ts"

const sleeping = (threads: ReadonlyArray<{ readonly info: string | null }>): number =>
  threads.filter(({ info }) => info?.includes("SLEEP(3)") === true).length

export const waiting: ReadonlyArray<Row> = [
  ...[true, false].map((inside): Row => ({
    defect: `interruption does not stop the statement ${
      inside ? "in a transaction, and waits for it" : "on the server"
    }`,
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql, threads } = yield* open(subject)
        const statement = sql`SELECT SLEEP(3)`
        const work = inside ? sql.withTransaction(statement) : statement
        const { took } = yield* endOf(Effect.timeout(work, 200))
        return { took, stillRunning: sleeping(yield* threads) }
      }),
    sound: { took: below(1_000), stillRunning: 0 }
  })),
  {
    defect: "ghost write: an INSERT that was interrupted while it waited for a connection runs all the same",
    observe: (subject) =>
      Effect.gen(function*() {
        const { database, ids, sql } = yield* open(subject, { connections: 1 })
        const holder = yield* Effect.fork(sql`SELECT SLEEP(0.6)`)
        yield* running(database, "SLEEP(0.6)")
        const { how } = yield* endOf(Effect.timeout(insert(sql, 1), 100))
        yield* Fiber.join(holder)
        yield* endOf(sql`SELECT 1`)
        return { how, ids: yield* ids }
      }),
    sound: { how: "failure", ids: [] }
  },
  {
    defect: "waiting for the connection of a transaction cannot be interrupted",
    observe: (subject) =>
      Effect.gen(function*() {
        const { database, sql } = yield* open(subject, { connections: 1 })
        const holder = yield* Effect.fork(sql.withTransaction(sql`SELECT SLEEP(1.2)`))
        yield* running(database, "SLEEP(1.2)")
        const { took } = yield* endOf(Effect.timeout(sql.withTransaction(Effect.void), 200))
        yield* Fiber.join(holder)
        return { took }
      }),
    sound: { took: below(700) }
  }
]
