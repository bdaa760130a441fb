import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { BloodDb, GarminDb, MainDb } from "../../src/db/Database.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { garmin } from "../support/db/databases.ts"
import { freshDatabase } from "../support/db/testServer.ts"
import { realClock } from "../support/realClock.ts"

/** The client of @effect/sql-mysql2, as other code in the same process would use it beside ours. */
class Bare extends Context.Tag("test/Bare")<Bare, SqlClient.SqlClient>() {}

const upstream = (name: string) =>
  Layer.unwrapScoped(Effect.map(freshDatabase(name), (url) => MysqlClient.layer({ url: Redacted.make(url) }))).pipe(
    Layer.orDie
  )

const everything = Layer.mergeAll(
  MainDb.fromSqlClient.pipe(Layer.provide(Layer.fresh(upstream("other_main")))),
  BloodDb.fromSqlClient.pipe(Layer.provide(Layer.fresh(upstream("other_blood")))),
  Layer.effect(Bare, SqlClient.SqlClient).pipe(Layer.provide(Layer.fresh(upstream("bare")))),
  garmin()
)

const databases = { M: MainDb, B: BloodDb, G: GarminDb } as const
type Letter = keyof typeof databases
type Env = MainDb | BloodDb | GarminDb
const letters: ReadonlyArray<Letter> = ["M", "B", "G"]

const client = (letter: Letter) => databases[letter] as unknown as Effect.Effect<SqlClient.SqlClient, never, Env>
const transaction = <A, E, R>(letter: Letter, effect: Effect.Effect<A, E, R>): Effect.Effect<A, unknown, R | Env> =>
  (databases[letter] as typeof MainDb).withTransaction(effect)
const write = (letter: Letter, mark: string) =>
  Effect.flatMap(client(letter), (sql) => sql`INSERT INTO records ${sql.insert({ mark })}`)
const marks = (letter: Letter) =>
  Effect.map(
    Effect.flatMap(client(letter), (sql) => sql<{ mark: string }>`SELECT mark FROM records ORDER BY mark`),
    (rows) => rows.map(({ mark }) => mark)
  )
const table = (sql: SqlClient.SqlClient) =>
  Effect.zipRight(sql`CREATE TABLE IF NOT EXISTS records (mark VARCHAR(60) PRIMARY KEY)`, sql`DELETE FROM records`)
const setUp = Effect.zipRight(
  Effect.forEach(letters, (letter) => Effect.flatMap(client(letter), table)),
  Effect.flatMap(Bare, table)
)
const ofBare = Effect.flatMap(Bare, (sql) => sql<{ mark: string }>`SELECT mark FROM records`)

describe("fromSqlClient: another client as one of the databases", () => {
  layer(everything, realClock)((it) => {
    it.effect("nests with the others in all orders: each row is in its own database and transaction", () =>
      Effect.gen(function*() {
        yield* setUp
        const levels = letters.flatMap((letter) => [{ letter, commits: true }, { letter, commits: false }])
        for (const a of levels) {
          for (const b of levels) {
            for (const c of levels) {
              const plan = [a, b, c]
              const there = new Set(plan.map(({ letter }) => letter)).size
              // Every order of the three databases, and Main around one that is around Main.
              if (there < 3 && !(there === 2 && a.letter === "M" && c.letter === "M")) continue
              const at = (index: number): Effect.Effect<void, unknown, Env> =>
                Effect.gen(function*() {
                  yield* Effect.forEach(letters, (letter) => write(letter, `${index}-before`))
                  const level = plan[index]
                  if (level === undefined) return
                  yield* Effect.ignore(transaction(
                    level.letter,
                    Effect.zipRight(at(index + 1), level.commits ? Effect.void : Effect.fail("undo"))
                  ))
                  yield* Effect.forEach(letters, (letter) => write(letter, `${index}-after`))
                })
              yield* at(0)
              for (const letter of letters) {
                const kept = [0, 1, 2, 3].filter((index) =>
                  plan.slice(0, index).every((level) => level.letter !== letter || level.commits)
                ).flatMap((index) => index === 3 ? ["3-before"] : [`${index}-after`, `${index}-before`])
                expect(yield* marks(letter), `${JSON.stringify(plan)} in ${letter}`).toEqual(kept)
                yield* Effect.flatMap(client(letter), (sql) => sql`DELETE FROM records`)
              }
            }
          }
        }
      }))

    it.effect("streams and resolves in its own transaction; what it reserves is another connection, as with that client alone", () =>
      Effect.gen(function*() {
        yield* setUp
        const main = yield* MainDb
        const find = yield* SqlResolver.findById("find", {
          Id: Schema.String,
          Result: Schema.Struct({ mark: Schema.String }),
          ResultId: ({ mark }) => mark,
          execute: (marks) => main`SELECT mark FROM records WHERE ${main.in("mark", marks)}`
        })
        yield* Effect.ignore(transaction(
          "G",
          transaction(
            "M",
            Effect.gen(function*() {
              yield* write("M", "a")
              expect(Option.isSome(yield* find.execute("a"))).toBe(true)
              expect([...(yield* Stream.runCollect(main`SELECT mark FROM records`.stream))]).toEqual([{ mark: "a" }])
              const connection = yield* main.reserve
              expect(yield* connection.execute("SELECT mark FROM records", [], undefined)).toEqual([])
              yield* Effect.fail("undo")
            }).pipe(Effect.scoped)
          )
        ))
        expect(yield* marks("M")).toEqual([])
      }))

    it.effect("refuses the options that it cannot support, and still gives typed errors and stats", () =>
      Effect.gen(function*() {
        yield* setUp
        for (const options of [{ isolation: "SERIALIZABLE" }, { readOnly: true }, { retries: 1 }] as const) {
          const error = yield* Effect.flip(MainDb.withTransaction(Effect.void, options))
          expect(error).toMatchObject({ reason: "InvalidParameter", database: "MainDb" })
        }
        const late = yield* Effect.flip(MainDb.withTransaction(Effect.sleep("1 second"), { timeout: "20 millis" }))
        expect(late).toMatchObject({ reason: "TransactionTimeout" })
        yield* write("M", "twice")
        const error = yield* Effect.flip(MainDb.use((sql) => sql`INSERT INTO records VALUES ('twice')`))
        expect(error).toBeInstanceOf(DatabaseError)
        expect(error).toMatchObject({ reason: "UniqueViolation", errno: 1062, database: "MainDb" })
        expect(yield* MainDb.stats).toMatchObject({ size: 0, max: 0 })
      }))
  })
})

describe("a client of @effect/sql that does not know our databases", () => {
  layer(everything, realClock)((it) => {
    const attempts = (sql: SqlClient.SqlClient) => ({
      statement: sql`INSERT INTO records VALUES ('stray')`,
      raw: sql`INSERT INTO records VALUES ('stray')`.raw,
      values: sql`INSERT INTO records VALUES ('stray')`.values,
      unprepared: sql`INSERT INTO records VALUES ('stray')`.unprepared,
      stream: Stream.runDrain(sql`INSERT INTO records VALUES ('stray')`.stream)
    })

    for (const outer of ["G", "M"] as const) {
      it.effect(`is refused inside a transaction of ${databases[outer].key}, and nothing lands anywhere`, () =>
        Effect.gen(function*() {
          yield* setUp
          const bare = yield* Bare
          for (const [name, attempt] of Object.entries(attempts(bare))) {
            const exit = yield* Effect.exit(transaction(outer, Effect.zipRight(write(outer, "mine"), attempt)))
            const failures = Exit.isFailure(exit) ? [...Cause.failures(exit.cause)] : []
            expect(failures, name).toHaveLength(1)
            expect(failures[0], name).toBeInstanceOf(DatabaseError)
            expect((failures[0] as Error).message, name).toContain("fromSqlClient")
            const plain = yield* transaction(outer, Effect.flip(attempt as Effect.Effect<unknown, SqlError>))
            expect(plain, name).toBeInstanceOf(SqlError)
          }
          // Its own withTransaction turns a failure to begin into a defect.
          const nested = yield* Effect.exit(
            transaction(outer, bare.withTransaction(bare`INSERT INTO records VALUES ('stray')`))
          )
          expect(Exit.isFailure(nested) && Cause.pretty(nested.cause)).toContain("fromSqlClient")
          for (const letter of letters) expect(yield* marks(letter)).toEqual([])
          expect(yield* ofBare).toEqual([])
        }))
    }

    it.effect("has transactions of its own: ours inside them are separate", () =>
      Effect.gen(function*() {
        yield* setUp
        const bare = yield* Bare
        yield* Effect.ignore(bare.withTransaction(Effect.gen(function*() {
          yield* bare`INSERT INTO records VALUES ('bare')`
          yield* write("G", "outside")
          yield* write("M", "outside")
          yield* transaction(
            "G",
            Effect.gen(function*() {
              yield* write("G", "committed")
              expect(yield* Effect.flip(bare`SELECT 1`)).toBeInstanceOf(SqlError)
            })
          )
          yield* Effect.ignore(transaction("M", Effect.zipRight(write("M", "undone"), Effect.fail("undo"))))
          expect(yield* ofBare).toEqual([{ mark: "bare" }])
          yield* Effect.fail("undo")
        })))
        expect(yield* marks("G")).toEqual(["committed", "outside"])
        expect(yield* marks("M")).toEqual(["outside"])
        expect(yield* ofBare).toEqual([])
      }))
  })
})
