/** What a sandbox adds to a test: one insert in a sandbox of its own, against the insert alone. */
import { MainDb } from "@betterai/infrastructure/db/Database"
import { Testing } from "@betterai/infrastructure/testing"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { compare } from "./harness.ts"

export const run = async (url: string): Promise<void> => {
  const runtime = ManagedRuntime.make(
    MainDb.layer.pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["MAIN_DB_URL", url]])))))
  )
  await runtime.runPromise(
    MainDb.use((sql) =>
      sql`CREATE TABLE IF NOT EXISTS bench_tests (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40))`
    )
  )
  const insert = MainDb.use((sql) => sql`INSERT INTO bench_tests (name) VALUES (${"one"})`)
  const each = (test: Effect.Effect<unknown, unknown, MainDb>) => async (count: number) => {
    for (let i = 0; i < count; i++) await runtime.runPromise(test)
  }
  await compare({
    work: "a test of one insert, one after the other",
    count: 300,
    contenders: [
      { name: "the insert alone", run: each(insert) },
      { name: "in a sandbox", run: each(Effect.provide(insert, Testing.sandbox(MainDb))) },
      { name: "rollback", run: each(Testing.rollback(MainDb)(insert)) }
    ]
  })
  await runtime.runPromise(MainDb.use((sql) => sql`DROP TABLE bench_tests`))
  await runtime.dispose()
}
