/** One statement and one transaction: ours against the bare driver and against @effect/sql-mysql2. */
import { MainDb } from "@betterai/infrastructure/db/Database"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { createPool } from "mysql2/promise"
import { compare, onFibers, onLoops } from "./harness.ts"

const FIBERS = 20

export const run = async (url: string): Promise<void> => {
  const raw = createPool({ uri: url, connectionLimit: FIBERS, supportBigNumbers: true })
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
  await Effect.runPromise(Effect.all([ours.disposeEffect, upstream.disposeEffect]))
  await raw.end()
}
