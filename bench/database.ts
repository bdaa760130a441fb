/** Statements, transactions, contention and streams: ours against the bare driver and against @effect/sql-mysql2. */
import { MainDb } from "@betterai/infrastructure/db/Database"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { ParseError } from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createPool as createCallbackPool, type Pool as CallbackPool } from "mysql2"
import { createPool } from "mysql2/promise"
import { numbers } from "../test/support/db/numbers.ts"
import { compare, onFibers, onLoops } from "./harness.ts"

const FIBERS = 20

export const run = async (url: string): Promise<void> => {
  const raw = createPool({ uri: url, connectionLimit: FIBERS, supportBigNumbers: true })
  const callbacks = createCallbackPool({ uri: url, connectionLimit: 1, supportBigNumbers: true })
  const ours = ManagedRuntime.make(
    MainDb.layer.pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["MAIN_DB_URL", url]])))))
  )
  const upstream = ManagedRuntime.make(MysqlClient.layer({ url: Redacted.make(url), maxConnections: FIBERS }))
  const sql = await ours.runPromise(MainDb)
  const other = await upstream.runPromise(SqlClient.SqlClient)
  await raw.query("CREATE TABLE IF NOT EXISTS bench (id INT PRIMARY KEY, name VARCHAR(40), amount INT)")
  await raw.query("REPLACE INTO bench VALUES (1, 'one', 10), (2, 'two', 20)")

  await compare({
    work: `one prepared statement, ${FIBERS} fibers`,
    count: 10_000,
    contenders: [
      {
        name: "mysql2 pool.execute",
        run: (count) => onLoops(() => raw.execute("SELECT * FROM bench WHERE id = ?", [1]), count, FIBERS)
      },
      {
        name: "ours",
        run: (count) => ours.runPromise(onFibers(sql`SELECT * FROM bench WHERE id = ${1}`, count, FIBERS))
      },
      {
        name: "@effect/sql-mysql2",
        run: (count) => upstream.runPromise(onFibers(other`SELECT * FROM bench WHERE id = ${1}`, count, FIBERS))
      }
    ]
  })

  const transaction = async (): Promise<void> => {
    const connection = await raw.getConnection()
    try {
      await connection.query("BEGIN")
      await connection.execute("SELECT * FROM bench WHERE id = ?", [1])
      await connection.query("COMMIT")
    } finally {
      connection.release()
    }
  }
  await compare({
    work: `transaction of one statement, ${FIBERS} fibers`,
    count: 5_000,
    contenders: [
      { name: "mysql2 BEGIN … COMMIT", run: (count) => onLoops(transaction, count, FIBERS) },
      {
        name: "ours",
        run: (count) =>
          ours.runPromise(
            onFibers(MainDb.withTransaction(sql`SELECT * FROM bench WHERE id = ${1}`), count, FIBERS)
          )
      },
      {
        name: "@effect/sql-mysql2",
        run: (count) =>
          upstream.runPromise(
            onFibers(other.withTransaction(other`SELECT * FROM bench WHERE id = ${1}`), count, FIBERS)
          )
      }
    ]
  })

  const one = await raw.getConnection()
  const loop = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await one.execute("SELECT * FROM bench WHERE id = ?", [1])
  }
  const reserved = (count: number): Effect.Effect<void, SqlError> =>
    Effect.scoped(
      Effect.flatMap(sql.reserve, (connection) =>
        Effect.repeatN(connection.execute("SELECT * FROM bench WHERE id = ?", [1], undefined), count - 1))
    )
  await compare({
    work: "what the pool adds: one statement after the other",
    count: 4_000,
    contenders: [
      { name: "ours, one reserved connection", run: (count) => ours.runPromise(reserved(count)) },
      {
        name: "ours, borrowed each time",
        run: (count) => ours.runPromise(onFibers(sql`SELECT * FROM bench WHERE id = ${1}`, count, 1))
      },
      { name: "mysql2, one connection", run: loop }
    ]
  })
  one.release()

  const statement = sql`SELECT * FROM bench WHERE id = ${1}`
  await compare({
    work: "contention: fibers on at most 20 connections",
    count: 10_000,
    contenders: [
      { name: "20 fibers", run: (count) => ours.runPromise(onFibers(statement, count, 20)) },
      { name: "1,000 fibers", run: (count) => ours.runPromise(onFibers(statement, count, 1_000)) }
    ]
  })
  await ours.runPromise(fairness(statement))

  await raw.query("CREATE TABLE IF NOT EXISTS many (id INT PRIMARY KEY, name VARCHAR(40), amount INT)")
  await raw.query(`REPLACE INTO many SELECT seq, CONCAT('name ', seq), seq * 2 FROM ${numbers(100_000)}`)
  const many = "SELECT * FROM many"
  await ours.runPromise(counted(sql))
  await compare({
    work: "100,000 rows read at once, per row",
    count: 100_000,
    rounds: 7,
    contenders: [
      { name: "mysql2 pool.execute", run: async () => void await raw.execute(many) },
      { name: "ours", run: () => ours.runPromise(Effect.asVoid(sql.unsafe(many))) }
    ]
  })
  await compare({
    work: "100,000 rows streamed, per row",
    count: 100_000,
    rounds: 7,
    contenders: [
      { name: "mysql2 query().stream()", run: () => drain(callbacks, many) },
      { name: "ours", run: () => ours.runPromise(Stream.runDrain(sql.unsafe(many).stream)) },
      { name: "@effect/sql-mysql2", run: () => upstream.runPromise(Stream.runDrain(other.unsafe(many).stream)) }
    ]
  })
  await Effect.runPromise(Effect.all([ours.disposeEffect, upstream.disposeEffect]))
  await raw.end()
  callbacks.end()
}

const drain = async (pool: CallbackPool, text: string): Promise<void> => {
  for await (const _ of pool.query(text).stream()) void _
}

/** How many statements the server is asked for what could be one by hand. */
const counted = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError | ParseError> =>
  Effect.gen(function*() {
    const executed = Effect.map(
      sql<{ Value: string }>`SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'`.unprepared,
      ([row]) => Number(row!.Value)
    )
    const count = <A, E>(work: Effect.Effect<A, E>) =>
      Effect.gen(function*() {
        const before = yield* executed
        yield* work
        return (yield* executed) - before
      })
    const byId = yield* SqlResolver.findById("BenchMany", {
      Id: Schema.Number,
      Result: Schema.Struct({ id: Schema.Number }),
      ResultId: ({ id }) => id,
      execute: (ids) => sql`SELECT id FROM many WHERE ${sql.in("id", ids)}`
    })
    const ids = Array.from({ length: 10 }, (_, i) => i + 1)
    const inserted = yield* count(
      sql`REPLACE INTO bench ${sql.insert(ids.map((id) => ({ id, name: "x", amount: id })))}`
    )
    const found = yield* count(Effect.forEach(ids, (id) => byId.execute(id), { batching: true }))
    console.log(
      `\nstatements sent: ten-row insert ${inserted}, ten lookups by id through a resolver ${found} (by hand 1 and 1)`
    )
  })

/** How unevenly 1,000 fibers get their turns: the fewest and the most statements that one of them has done in a second. */
const fairness = (statement: Effect.Effect<unknown, SqlError>): Effect.Effect<void, SqlError> =>
  Effect.gen(function*() {
    const turns = Array.from({ length: 1_000 }, () => 0)
    const until = performance.now() + 1_000
    yield* Effect.forEach(
      turns,
      (_, i) =>
        Effect.repeat(Effect.tap(statement, () => void turns[i]!++), { while: () => performance.now() < until }),
      { concurrency: "unbounded", discard: true }
    )
    console.log(`  each of 1,000 fibers had ${Math.min(...turns)} to ${Math.max(...turns)} turns in a second`)
  })
