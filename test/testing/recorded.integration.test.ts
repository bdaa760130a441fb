/** `Testing.recorded`: the statements that a test ran. */
import { MainDb } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import { expect, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { main } from "../support/db/databases.ts"
import { ids, setUp, write } from "../support/db/records.ts"

const Recorded = Testing.recorded(MainDb)

const program = Effect.gen(function*() {
  yield* write(1, "secret")
  yield* MainDb.withTransaction(
    Effect.gen(function*() {
      yield* write(2)
      yield* Effect.ignore(MainDb.withTransaction(write(2)))
      yield* MainDb.withTransaction(Effect.zipRight(ids, Effect.void))
    }),
    { isolation: "SERIALIZABLE" }
  )
  yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(write(3), Effect.fail("no"))))
  yield* MainDb.use((sql) => Stream.runDrain(sql`SELECT mark FROM records`.stream))
})

const insert = { kind: "statement", sql: "INSERT INTO records VALUES (?, ?)", keyword: "INSERT", failed: undefined }

const expected = [
  { ...insert, transaction: undefined },
  { kind: "begin", transaction: 1 },
  { ...insert, transaction: 1 },
  { kind: "savepoint", transaction: 1 },
  { ...insert, transaction: 1, failed: "UniqueViolation" },
  { kind: "rollbackTo", transaction: 1 },
  { kind: "savepoint", transaction: 1 },
  { kind: "statement", keyword: "SELECT", transaction: 1 },
  { kind: "release", transaction: 1 },
  { kind: "commit", transaction: 1 },
  { kind: "begin", transaction: 2 },
  { ...insert, transaction: 2 },
  { kind: "rollback", transaction: 2 },
  { kind: "statement", sql: "SELECT mark FROM records", keyword: "SELECT", transaction: undefined }
]

layer(main())("recorded statements", (it) => {
  it.effect("are told in their order, with the begin and the end of transactions, and without values", () =>
    Effect.gen(function*() {
      yield* setUp
      const statements = yield* Effect.zipRight(program, Testing.statements(MainDb)).pipe(Effect.provide(Recorded))
      expect(statements).toMatchObject(expected)
      expect(JSON.stringify(statements)).not.toContain("secret")
    }))

  it.effect("are the same above a sandbox, and seen through it", () =>
    Effect.gen(function*() {
      yield* setUp
      const above = Recorded.pipe(Layer.provide(Testing.sandbox(MainDb)))
      expect(yield* Effect.zipRight(program, Testing.statements(MainDb)).pipe(Effect.provide(above)))
        .toMatchObject(expected)
      const below = Testing.sandbox(MainDb).pipe(Layer.provide(Recorded))
      const statements = yield* Effect.zipRight(write(1), Testing.statements(MainDb)).pipe(Effect.provide(below))
      expect(statements.map(({ kind }) => kind)).toEqual(["begin", "statement"])
    }))

  it.effect("have their values only if they are asked for", () =>
    Effect.gen(function*() {
      yield* setUp
      const statements = yield* Effect.zipRight(write(7, "seven"), Testing.statements(MainDb)).pipe(
        Effect.provide(Testing.recorded(MainDb, { values: true }))
      )
      expect(statements).toMatchObject([{ values: [7, "seven"] }])
      const error = yield* Effect.flip(Testing.statements(MainDb))
      expect(error.message).toContain("provide Testing.recorded(MainDb)")
    }))
})
