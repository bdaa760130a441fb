/** The options of withTransaction: isolation, readOnly, timeout, retries. */
import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { createConnection } from "mysql2/promise"
import { type IsolationLevel, MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { main, nameOf } from "../../support/db/databases.ts"
import { isolationVariable } from "../../support/db/dialect.ts"
import { databaseError, lossOf } from "../../support/db/errors.ts"
import { ids, setUp, write } from "../../support/db/records.ts"
import { admin, server } from "../../support/db/testServer.ts"
import { realClock } from "../../support/realClock.ts"
import { timed } from "../../support/timed.ts"

/** A connection past the code under test; its statements say whether the server refused them. */
const connectionTo = (database: string) =>
  Effect.flatMap(server, ({ host, password, port, user }) =>
    Effect.acquireRelease(
      Effect.promise(() => createConnection({ host, port, user, password, database })),
      (connection) => Effect.promise(() => connection.end())
    )).pipe(
      Effect.map((connection) => (sql: string) =>
        Effect.promise(() => connection.query(sql).then(() => false, () => true))
      )
    )

describe("options", () => {
  layer(main({ poolSize: 1, maxOverflow: 0 }), realClock)((it) => {
    /** What a transaction reads of a row that another changes: before its COMMIT, and after it. */
    const reads = (isolation?: IsolationLevel) =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1, "old")
        const read = MainDb.use((sql) => sql<{ mark: string }>`SELECT mark FROM records WHERE id = 1`).pipe(
          Effect.map(([row]) => row?.mark)
        )
        const other = yield* connectionTo(yield* nameOf(MainDb))
        return yield* MainDb.withTransaction(
          Effect.gen(function*() {
            yield* read
            yield* other("SET SESSION innodb_lock_wait_timeout = 1")
            yield* other("BEGIN")
            const refused = yield* other("UPDATE records SET mark = 'new' WHERE id = 1")
            const before = yield* read
            yield* other("COMMIT")
            return refused ? "locked" : [before, yield* read]
          }),
          isolation === undefined ? {} : { isolation }
        )
      }).pipe(Effect.scoped)

    it.effect("isolation holds for one transaction and is as before in the next", () =>
      Effect.gen(function*() {
        for (
          const [isolation, seen] of [
            ["READ UNCOMMITTED", ["new", "new"]],
            ["READ COMMITTED", ["old", "new"]],
            ["REPEATABLE READ", ["old", "old"]],
            ["SERIALIZABLE", "locked"]
          ] as const
        ) {
          expect(yield* reads(isolation), isolation).toEqual(seen)
          expect(yield* reads(), `after ${isolation}`).toEqual(["old", "new"])
        }
        expect(yield* MainDb.use((sql) => sql.unsafe(`SELECT ${isolationVariable} AS level`))).toEqual([
          { level: "READ-COMMITTED" }
        ])
      }))

    it.effect("readOnly refuses writes, and the next transaction writes again", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(write(1), { readOnly: true }))
        expect(databaseError(exit)).toMatchObject({ reason: "ReadOnlyTransaction", errno: 1792, retryable: false })
        expect(yield* MainDb.withTransaction(ids, { readOnly: true, isolation: "REPEATABLE READ" })).toEqual([])
        yield* MainDb.withTransaction(write(2))
        expect(yield* ids).toEqual([2])
      }))

    it.effect("timeout rolls back with TransactionTimeout", () =>
      Effect.gen(function*() {
        yield* setUp
        const work = Effect.zipRight(write(1), MainDb.use((sql) => sql`SELECT SLEEP(3)`))
        const [exit, took] = yield* timed(Effect.exit(MainDb.withTransaction(work, { timeout: Duration.millis(200) })))
        expect(databaseError(exit)).toMatchObject({ reason: "TransactionTimeout", retryable: false })
        expect(took).toBeLessThan(1_000)
        expect(yield* ids).toEqual([])
      }))

    it.effect("retries repeat neither a failure of the body's own nor a transaction that the server did not roll back", () =>
      Effect.gen(function*() {
        yield* setUp
        let attempts = 0
        const once = <E>(effect: Effect.Effect<unknown, E, MainDb>) =>
          Effect.exit(MainDb.withTransaction(Effect.zipRight(Effect.sync(() => attempts++), effect), { retries: 5 }))
        yield* once(Effect.fail("mine"))
        yield* once(Effect.die("bug"))
        yield* once(Effect.interrupt)
        yield* once(Effect.zipRight(write(1), write(1)))
        yield* once(MainDb.use((sql) => sql`SELECT nonsense`))
        expect(attempts).toBe(5)
        expect(yield* ids).toEqual([])
      }))

    it.effect("retries end after the number given, with the last failure", () =>
      Effect.gen(function*() {
        yield* setUp
        let attempts = 0
        const exit = yield* Effect.exit(MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* write(attempts)
            yield* Effect.flatMap(connectionId, (id) => admin(`KILL ${id}`))
            yield* write(100)
          }),
          { retries: 2 }
        ))
        expect(attempts).toBe(3)
        expect(lossOf(databaseError(exit))).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(yield* ids).toEqual([])
      }))
  })
})
