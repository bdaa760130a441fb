/** The setting `statementTimeout`: what takes longer is stopped on the server, and the server has the last word. */
import { describe, expect } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createConnection } from "mysql2/promise"
import { MainDb } from "../../src/db/Database.ts"
import { connectionId } from "../support/db/connectionId.ts"
import { databaseError } from "../support/db/errors.ts"
import { faultWithTable, ids, insert, sleep } from "../support/db/faults.ts"
import { nothingRuns } from "../support/db/nothingRuns.ts"
import type { Stage } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"
import { timed } from "../support/timed.ts"

/** Another session locks the row 0 of the table, until the end of the scope. */
const lockRow = ({ admin, database }: Stage): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* admin(`INSERT INTO ${database}.t (id) VALUES (0)`)
    const { host, password, port, user } = yield* server
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => createConnection({ host, port, user, password, database })),
      (connection) => Effect.promise(() => connection.end())
    )
    yield* Effect.promise(() => connection.query("BEGIN"))
    yield* Effect.promise(() => connection.query("SELECT * FROM t WHERE id = 0 FOR UPDATE"))
  })

/** Waits for the locked row. */
const blocked = MainDb.use((sql) => sql`UPDATE t SET n = n + 1 WHERE id = 0`)

const timeout = (millis: number) => ({ statementTimeout: millis })

describe("a statement that takes too long", () => {
  faultWithTable(
    "is stopped on the server, promptly, and its connection is used again",
    timeout(200),
    (stage) =>
      Effect.gen(function*() {
        yield* lockRow(stage)
        const id = yield* connectionId
        for (let i = 0; i < 3; i++) {
          const [exit, took] = yield* timed(Effect.exit(blocked))
          expect(databaseError(exit)).toMatchObject({
            reason: "StatementTimeout",
            retryable: false,
            errno: 1317,
            detail: "the statement took longer than 200 ms and was stopped",
            statement: "UPDATE t SET n = n + 1 WHERE id = 0"
          })
          expect(took).toBeGreaterThan(190)
          expect(took).toBeLessThan(1_150)
          yield* nothingRuns(stage.threads, "UPDATE")
          expect(yield* connectionId).toBe(id)
        }
        expect(yield* MainDb.stats).toMatchObject({ opened: 1, size: 1 })
      })
  )

  faultWithTable(
    "leaves its transaction open: the rest of it is committed",
    timeout(200),
    (stage) =>
      Effect.gen(function*() {
        yield* lockRow(stage)
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* insert(1)
          expect(databaseError(yield* Effect.exit(blocked)).reason).toBe("StatementTimeout")
          yield* MainDb.withTransaction(insert(2))
        }))
        expect(yield* ids(stage)).toEqual([0, 1, 2])
      })
  )

  faultWithTable(
    "is undone with its transaction where nobody catches the failure",
    timeout(200),
    (stage) =>
      Effect.gen(function*() {
        yield* lockRow(stage)
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(insert(1), blocked), { retries: 2 }))
        expect(databaseError(exit).reason).toBe("StatementTimeout")
        expect(yield* ids(stage)).toEqual([0])
      })
  )

  faultWithTable("that the server finishes all the same is a success", timeout(200), (stage) =>
    Effect.gen(function*() {
      // A SLEEP that is killed ends in an error on MariaDB, and returns 1 on MySQL.
      const [exit, took] = yield* timed(Effect.exit(sleep(5)))
      expect(took).toBeLessThan(1_150)
      if (Exit.isSuccess(exit)) expect(exit.value.map((row) => Object.values(row).map(Number))).toEqual([[1]])
      else expect(databaseError(exit).reason).toBe("StatementTimeout")
      const write = yield* Effect.exit(MainDb.use((sql) => sql`INSERT INTO t (id, n) SELECT 7, SLEEP(5)`))
      expect(yield* ids(stage)).toEqual(Exit.isSuccess(write) ? [7] : [])
      if (Exit.isFailure(write)) expect(databaseError(write).reason).toBe("StatementTimeout")
    }))

  faultWithTable(
    "and of which the server says nothing any more: the connection is cut",
    timeout(300),
    (stage) =>
      Effect.gen(function*() {
        yield* insert(1)
        yield* stage.proxy.trap("SET n = 5", "swallow")
        const write = MainDb.use((sql) => sql`UPDATE t SET n = 5 WHERE id = 1`.unprepared)
        const [exit, took] = yield* timed(Effect.exit(write))
        expect(databaseError(exit)).toMatchObject({
          reason: "StatementTimeout",
          retryable: false,
          detail: "the statement took longer than 300 ms, and its connection was lost before it had stopped"
        })
        expect(took).toBeLessThan(3_000)
        // It was carried out: that is why this is not retryable.
        expect(yield* stage.admin(`SELECT n FROM ${stage.database}.t`)).toEqual([{ n: 5 }])

        yield* stage.proxy.trap("SET n = 6", "swallow")
        const inside = yield* Effect.exit(MainDb.withTransaction(
          Effect.zipRight(
            Effect.ignore(MainDb.use((sql) => sql`UPDATE t SET n = 6 WHERE id = 1`.unprepared)),
            insert(2)
          )
        ))
        expect(databaseError(inside).reason).toBe("TransactionAborted")
        expect(yield* stage.admin(`SELECT id, n FROM ${stage.database}.t`)).toEqual([{ id: 1, n: 5 }])
      })
  )

  faultWithTable(
    "may be interrupted at the same time: no KILL hits a later statement",
    timeout(100),
    (stage) =>
      Effect.gen(function*() {
        yield* lockRow(stage)
        for (let i = 0; i < 40; i++) {
          yield* Effect.exit(Effect.timeout(blocked, 98 + i / 4))
          expect(yield* MainDb.use((sql) => sql`SELECT 'there' AS it`)).toEqual([{ it: "there" }])
        }
        expect(yield* MainDb.stats).toMatchObject({ opened: 1, active: 0 })
      })
  )
})

describe("what does not count", () => {
  faultWithTable(
    "the wait for a connection",
    { ...timeout(250), poolSize: 1, maxOverflow: 0 },
    () =>
      Effect.gen(function*() {
        const holder = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(insert(1), Effect.sleep(700))))
        yield* Effect.sleep(50)
        const [, took] = yield* timed(MainDb.use((sql) => sql`SELECT 1`))
        expect(took).toBeGreaterThan(500)
        yield* Fiber.join(holder)
      })
  )

  faultWithTable("the wait for the other statements of a transaction", timeout(400), () =>
    Effect.gen(function*() {
      const [, took] = yield* timed(MainDb.withTransaction(
        Effect.all(Array.from({ length: 5 }, () => sleep(0.15)), { concurrency: "unbounded" })
      ))
      expect(took).toBeGreaterThan(700)
    }))

  faultWithTable("COMMIT", timeout(300), (stage) =>
    Effect.gen(function*() {
      const [, took] = yield* timed(
        MainDb.withTransaction(Effect.zipRight(insert(1), stage.proxy.delay(300)))
      )
      yield* stage.proxy.delay(0)
      expect(took).toBeGreaterThan(590)
      expect(yield* ids(stage)).toEqual([1])
    }))

  faultWithTable("the time of a stream's reader", timeout(250), ({ admin, database }) =>
    Effect.gen(function*() {
      yield* admin(`INSERT INTO ${database}.t (id) VALUES ${Array.from({ length: 600 }, (_, i) => `(${i})`).join()}`)
      const rows = MainDb.use((sql) =>
        sql`SELECT id, REPEAT('x', 20000) AS pad FROM t`.stream.pipe(
          Stream.chunks,
          Stream.zipWithIndex,
          Stream.tap(([, index]) => index < 3 ? Effect.sleep(400) : Effect.void),
          Stream.map(([chunk]) => chunk.length),
          Stream.runSum
        )
      )
      expect(yield* rows).toBe(600)
    }))

  faultWithTable("a stream's earlier waits", timeout(500), () =>
    Effect.gen(function*() {
      // Rows that fill the server's buffer, so that it sends each at once.
      const row = "SELECT SLEEP(0.15) AS slept, REPEAT('x', 40000) AS pad"
      const [count, took] = yield* timed(
        MainDb.use((sql) =>
          Stream.runCount(sql.unsafe(Array.from({ length: 7 }, () => row).join(" UNION ALL ")).stream)
        )
      )
      expect(count).toBe(7)
      expect(took).toBeGreaterThan(900)
    }))
})

describe("a stream", () => {
  faultWithTable("that gives nothing in time is stopped", timeout(200), (stage) =>
    Effect.gen(function*() {
      yield* lockRow(stage)
      const id = yield* connectionId
      const [exit, took] = yield* timed(
        Effect.exit(MainDb.use((sql) => Stream.runCollect(sql`SELECT * FROM t FOR UPDATE`.stream)))
      )
      expect(databaseError(exit)).toMatchObject({ reason: "StatementTimeout", errno: 1317, retryable: false })
      expect(took).toBeLessThan(1_150)
      yield* nothingRuns(stage.threads, "FOR UPDATE")
      expect(yield* connectionId).toBe(id)
    }))

  faultWithTable(
    "that stops giving rows is stopped, after the rows that it gave",
    timeout(250),
    (stage) =>
      Effect.gen(function*() {
        const { admin, database } = stage
        yield* admin(`INSERT INTO ${database}.t (id) VALUES ${Array.from({ length: 100 }, (_, i) => `(${i})`).join()}`)
        const seen: Array<unknown> = []
        const [exit, took] = yield* timed(Effect.exit(MainDb.use((sql) =>
          sql`SELECT id, SLEEP(IF(id = 60, 8, 0)) AS s, REPEAT('x', 5000) AS pad FROM t ORDER BY id`.stream.pipe(
            Stream.runForEachChunk((chunk) =>
              Effect.sync(() => seen.push(...Chunk.map(chunk, ({ id }) => id)))
            )
          )
        )))
        expect(databaseError(exit).reason).toBe("StatementTimeout")
        expect(took).toBeLessThan(1_300)
        expect(seen.length).toBeGreaterThan(30)
        expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) =>
          i))
        yield* nothingRuns(stage.threads, "SLEEP")
      })
  )

  faultWithTable("in a transaction leaves it open", timeout(200), (stage) =>
    Effect.gen(function*() {
      yield* lockRow(stage)
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        const exit = yield* Effect.exit(
          MainDb.use((sql) => Stream.runCollect(sql`SELECT * FROM t WHERE id = 0 FOR UPDATE`.stream))
        )
        expect(databaseError(exit).reason).toBe("StatementTimeout")
        yield* insert(2)
      }))
      expect(yield* ids(stage)).toEqual([0, 1, 2])
    }))
})
