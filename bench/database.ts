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
import { createPool, type Pool, type PoolConnection } from "mysql2"
import { numbers } from "../test/support/db/numbers.ts"
import { compare, onCallbacks, onFibers } from "./harness.ts"

const FIBERS = 20
const SELECT = "SELECT * FROM bench WHERE id = ?"

export const run = async (url: string): Promise<void> => {
  const raw = createPool({ uri: url, connectionLimit: FIBERS, supportBigNumbers: true })
  const query = (text: string): Promise<unknown> => raw.promise().query(text)
  const ours = ManagedRuntime.make(
    MainDb.layer.pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["MAIN_DB_URL", url]])))))
  )
  const upstream = ManagedRuntime.make(MysqlClient.layer({ url: Redacted.make(url), maxConnections: FIBERS }))
  const sql = await ours.runPromise(MainDb)
  const other = await upstream.runPromise(SqlClient.SqlClient)
  await query("CREATE TABLE IF NOT EXISTS bench (id INT PRIMARY KEY, name VARCHAR(40), amount INT)")
  await query("REPLACE INTO bench VALUES (1, 'one', 10), (2, 'two', 20)")

  await compare({
    work: `one prepared statement, ${FIBERS} fibers`,
    count: 10_000,
    contenders: [
      {
        name: "mysql2 pool.execute",
        run: (count) => onCallbacks((done) => raw.execute(SELECT, [1], done), count, FIBERS)
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

  for (const [name, statements] of [["one statement", 1], ["five statements", 5]] as const) {
    const body = <E, R>(statement: Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> => {
      let left = statements
      return Effect.whileLoop({ while: () => left-- > 0, body: () => statement, step: () => {} })
    }
    await compare({
      work: `transaction of ${name}, ${FIBERS} fibers`,
      count: 1_000 * Math.round(10 / (statements + 2)),
      contenders: [
        {
          name: "mysql2 BEGIN … COMMIT",
          run: (count) => onCallbacks((done) => transaction(raw, statements, done), count, FIBERS)
        },
        {
          name: "ours",
          run: (count) =>
            ours.runPromise(
              onFibers(
                MainDb.withTransaction(Effect.suspend(() => body(sql`SELECT * FROM bench WHERE id = ${1}`))),
                count,
                FIBERS
              )
            )
        },
        {
          name: "@effect/sql-mysql2",
          run: (count) =>
            upstream.runPromise(
              onFibers(
                other.withTransaction(Effect.suspend(() => body(other`SELECT * FROM bench WHERE id = ${1}`))),
                count,
                FIBERS
              )
            )
        }
      ]
    })
  }

  const one = await new Promise<PoolConnection>((resolve, reject) =>
    raw.getConnection((error, connection) => error === null ? resolve(connection) : reject(error))
  )
  const reserved = (count: number): Effect.Effect<void, SqlError> =>
    Effect.scoped(
      Effect.flatMap(sql.reserve, (connection) => Effect.repeatN(connection.execute(SELECT, [1], undefined), count - 1))
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
      {
        name: "mysql2, one connection",
        run: (count) => onCallbacks((done) => one.execute(SELECT, [1], done), count, 1)
      }
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

  await query("CREATE TABLE IF NOT EXISTS many (id INT PRIMARY KEY, name VARCHAR(40), amount INT)")
  await query(`REPLACE INTO many SELECT seq, CONCAT('name ', seq), seq * 2 FROM ${numbers(100_000)}`)
  const many = "SELECT * FROM many"
  await ours.runPromise(counted(sql))
  await compare({
    work: "100,000 rows read at once, per row",
    count: 100_000,
    rounds: 7,
    contenders: [
      { name: "mysql2 pool.execute", run: () => onCallbacks((done) => raw.execute(many, done), 1, 1) },
      { name: "ours", run: () => ours.runPromise(Effect.asVoid(sql.unsafe(many))) }
    ]
  })
  await compare({
    work: "100,000 rows streamed, per row",
    count: 100_000,
    rounds: 7,
    contenders: [
      { name: "mysql2 query().stream()", run: () => drain(raw, many) },
      { name: "ours", run: () => ours.runPromise(Stream.runDrain(sql.unsafe(many).stream)) },
      { name: "@effect/sql-mysql2", run: () => upstream.runPromise(Stream.runDrain(other.unsafe(many).stream)) }
    ]
  })
  await Effect.runPromise(Effect.all([ours.disposeEffect, upstream.disposeEffect]))
  await raw.promise().end()
}

/** The same transaction on the bare driver; the connection returns to the pool in either case. */
const transaction = (pool: Pool, statements: number, done: (error: Error | null) => void): void =>
  pool.getConnection((refused, connection) => {
    if (refused !== null) return done(refused)
    const end = (error: Error | null): void => {
      connection.release()
      done(error)
    }
    let left = statements
    const next = (error: Error | null): void => {
      if (error !== null) return end(error)
      if (left-- > 0) connection.execute(SELECT, [1], next)
      else connection.query("COMMIT", end)
    }
    connection.query("BEGIN", next)
  })

const drain = async (pool: Pool, text: string): Promise<void> => {
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
