/**
 * Values that were lost, changed, taken for SQL, or read from another row.
 *
 * One file because each case is a way in which one value could silently become another.
 */
import * as Model from "@effect/sql/Model"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Database from "../../../src/db/Database.ts"
import { MainDb } from "../../../src/db/Database.ts"
import * as Repository from "../../../src/db/Repository.ts"
import type { DatabaseError } from "../../../src/Errors.ts"
import { byServer } from "../../support/db/dialect.ts"
import { databaseError } from "../../support/db/errors.ts"
import { type Options, type Stage, withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"
import { kills, prepares } from "../../support/db/throughProxy.ts"

const test = (
  name: string,
  options: Options & { readonly query?: string },
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
) =>
  it.live(name, () =>
    Effect.flatMap(server, (at) => {
      const { query, ...rest } = options
      return withDatabase(at, rest, body, query)
    }))

const refusal = <A, E>(effect: Effect.Effect<A, E, MainDb>): Effect.Effect<DatabaseError, never, MainDb> =>
  Effect.map(Effect.exit(MainDb.use(() => effect)), databaseError)

const oneConnection: Options = { poolSize: 1, maxOverflow: 0 }

/** Lets statements store what the server refuses by default. */
const permissive = (...statements: ReadonlyArray<string>) =>
  MainDb.use((sql) =>
    Effect.scoped(
      Effect.flatMap(sql.reserve, (connection) =>
        Effect.forEach(
          ["SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", ...statements],
          (text) => connection.executeUnprepared(text, [], undefined)
        ))
    )
  )

describe("33 a row that is read back after its insertion", () => {
  class Item extends Model.Class<Item>("Item")({ id: Model.Generated(Schema.String), name: Schema.String }) {}
  class Code extends Model.Class<Code>("Code")({ id: Model.GeneratedByApp(Schema.String), name: Schema.String }) {}
  class Numbered
    extends Model.Class<Numbered>("Numbered")({ id: Model.Generated(Schema.Number), name: Schema.String })
  {}

  test(
    "33 is found by its own id, not by the AUTO_INCREMENT value of another column",
    {},
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.items (id VARCHAR(40) DEFAULT (UUID()) PRIMARY KEY,
        seq INT AUTO_INCREMENT UNIQUE, name VARCHAR(20))`)
        // The next number is 5, and so is this text to MySQL.
        yield* admin(`INSERT INTO ${database}.items (id, seq, name) VALUES ('5fa', 4, 'another')`)
        const items = yield* Repository.make(MainDb, Item, { tableName: "items", idColumn: "id", spanPrefix: "Items" })
        expect(yield* refusal(items.insert(Item.insert.make({ name: "mine" })))).toMatchObject({
          reason: "InvalidParameter",
          retryable: false
        })
        expect(yield* admin(`SELECT name FROM ${database}.items`)).toEqual([{ name: "another" }])
        yield* items.insertVoid(Item.insert.make({ name: "mine" }))
        const codes = yield* Repository.make(MainDb, Code, { tableName: "items", idColumn: "id", spanPrefix: "Codes" })
        expect(yield* codes.insert(Code.insert.make({ id: "x", name: "given" }))).toEqual(
          new Code({ id: "x", name: "given" })
        )
      })
  )

  test(
    "33 is refused, and not kept, where a trigger changes its id",
    {},
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.items (id VARCHAR(40) PRIMARY KEY, name VARCHAR(20))`)
        yield* admin(`CREATE TRIGGER ${database}.items_id BEFORE INSERT ON ${database}.items FOR EACH ROW
        SET NEW.id = CONCAT(NEW.id, '!')`)
        const codes = yield* Repository.make(MainDb, Code, { tableName: "items", idColumn: "id", spanPrefix: "Codes" })
        expect(yield* refusal(codes.insert(Code.insert.make({ id: "x", name: "a" })))).toMatchObject({
          reason: "InvalidParameter"
        })
        expect(yield* admin(`SELECT * FROM ${database}.items`)).toEqual([])
      })
  )

  test("33 is never another row that MySQL takes for equal", {}, ({ admin, database }) =>
    Effect.gen(function*() {
      yield* admin(`CREATE TABLE ${database}.texts (id VARCHAR(40) PRIMARY KEY, name VARCHAR(20))`)
      yield* admin(`INSERT INTO ${database}.texts VALUES ('5fa', 'another')`)
      yield* admin(`CREATE TABLE ${database}.numbers (id INT PRIMARY KEY, name VARCHAR(20))`)
      yield* admin(`INSERT INTO ${database}.numbers VALUES (5, 'another')`)
      const numbered = yield* Repository.make(MainDb, Numbered, {
        tableName: "texts",
        idColumn: "id",
        spanPrefix: "Numbered"
      })
      expect(yield* numbered.findById(5)).toEqual(Option.none())
      const codes = yield* Repository.make(MainDb, Code, { tableName: "numbers", idColumn: "id", spanPrefix: "Codes" })
      expect(yield* codes.findById("5fa")).toEqual(Option.none())
    }))

  test("33 has the columns of its model, and no others", {}, ({ admin, database }) =>
    Effect.gen(function*() {
      // MySQL and MariaDB write INVISIBLE in the same place.
      yield* admin(`CREATE TABLE ${database}.items (id INT AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(20) INVISIBLE, broken DATE)`)
      yield* permissive("INSERT INTO items (name, broken) VALUES ('a', '0000-00-00')")
      const items = yield* Repository.make(MainDb, Numbered, {
        tableName: "items",
        idColumn: "id",
        spanPrefix: "Items"
      })
      expect(yield* items.findById(1)).toEqual(Option.some(new Numbered({ id: 1, name: "a" })))
      expect(yield* items.insert(Numbered.insert.make({ name: "b" }))).toEqual(new Numbered({ id: 2, name: "b" }))
    }))
})

describe("36 records with different columns", () => {
  const doors = (sql: MainDbClient, values: unknown) => {
    const statement = sql`INSERT INTO t ${sql.insert(values as never)}`
    return [
      statement,
      statement.raw,
      statement.values,
      statement.unprepared,
      statement.withoutTransform,
      Stream.runDrain(statement.stream)
    ]
  }
  type MainDbClient = Effect.Effect.Success<typeof MainDb>

  test(
    "36 and undefined are refused, naming row and column",
    {},
    ({ admin, database }) =>
      MainDb.use((sql) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(20))`)
          const now = sql`NOW()`
          const refused: ReadonlyArray<readonly [unknown, ...ReadonlyArray<string>]> = [
            [[{ a: 1, b: "x" }, { a: 2 }], "row 2", "column b"],
            [[{ a: 1 }, { a: 2, b: "y" }], "row 2", "column b"],
            [[{ a: 1, b: "x" }, { a: 2, c: "x" }], "row 2", "column b"],
            [{ a: undefined }, "row 1", "column a", "undefined"],
            [[{ a: 1 }, { a: undefined }], "row 2", "column a", "undefined"],
            [{ a: Number.NaN }, "row 1", "column a"],
            [[{ a: 1, b: "x" }, { a: 2, b: new Map() }], "row 2", "column b", "Map"],
            [{ b: Redacted.make("secret") }, "row 1", "column b", "Redacted"],
            [{ a: now }, "row 1", "column a", "piece of SQL"],
            [{ a: sql("b") }, "row 1", "column a", "piece of SQL"],
            [[], "no rows"]
          ]
          for (const [values, ...words] of refused) {
            for (const door of doors(sql, values)) {
              const error = yield* refusal(Effect.asVoid(door as Effect.Effect<unknown, unknown>))
              expect(error).toMatchObject({ reason: "InvalidParameter", retryable: false })
              for (const word of words) expect(error.detail).toContain(word)
              expect(error.message).not.toContain("secret")
            }
          }
          const update = (values: Record<string, unknown>) =>
            refusal(sql`UPDATE t SET ${sql.update(values)} WHERE id = 1`)
          expect((yield* update({ a: undefined })).detail).toContain("column a of sql.update is undefined")
          expect((yield* update({})).detail).toContain("no columns")
          expect((yield* update({ b: now })).detail).toContain("piece of SQL")
          expect((yield* refusal(sql`UPDATE t, ${sql.updateValues([{ a: 1 }], "d")}`)).detail).toContain("updateValues")
          expect((yield* refusal(sql`SELECT * FROM t WHERE a IN ${sql.in([1, undefined])}`)).detail).toContain(
            "parameter 2 is undefined"
          )
          expect(
            (yield* refusal(sql`SELECT * FROM t WHERE ${sql.and([sql`a = ${undefined as never}`, sql`b = 1`])}`)).detail
          )
            .toContain("undefined")
          // As a fragment of another statement, too.
          const fragment = sql`(a) SELECT 1 UNION ALL SELECT 2`
          yield* sql`INSERT INTO t ${fragment}`
          const values = sql`INSERT INTO t ${sql.insert([{ a: 1 }, { a: undefined as never }])}`
          expect((yield* refusal(sql`${values} ON DUPLICATE KEY UPDATE a = 1`)).detail).toContain("row 2")
          expect(yield* sql`SELECT id, a, b FROM t`).toEqual([{ id: 1, a: 1, b: null }, { id: 2, a: 2, b: null }])
          // What is right goes through: in another order, with the value of a fragment, with defaults alone.
          yield* sql`INSERT INTO t ${sql.insert([{ a: 3, b: "x" }, { b: sql`${"y"}` as never, a: 4 }])}`
          yield* sql`INSERT INTO t ${sql.insert({})}`
          yield* sql`UPDATE t SET ${sql.update({ id: undefined as never, a: 9 }, ["id"])} WHERE id = 1`
          expect(yield* sql`SELECT a, b FROM t ORDER BY id`.values).toEqual([
            [9, null],
            [2, null],
            [3, "x"],
            [4, "y"],
            [null, null]
          ])
        })
      )
  )

  test("36 in a transaction, which goes on", {}, ({ admin, database }) =>
    Effect.gen(function*() {
      yield* admin(`CREATE TABLE ${database}.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)`)
      yield* MainDb.withTransaction(MainDb.use((sql) =>
        Effect.gen(function*() {
          yield* sql`INSERT INTO t ${sql.insert({ a: 1 })}`
          yield* refusal(sql`INSERT INTO t ${sql.insert({ a: undefined as never })}`)
          yield* sql`INSERT INTO t ${sql.insert({ a: 2 })}`
        })
      ))
      expect(yield* admin(`SELECT a FROM ${database}.t`)).toEqual([{ a: 1 }, { a: 2 }])
    }))
})

describe("37 a value in the text protocol", () => {
  const attacks = [
    "\\' OR 1=1 -- ",
    "' OR 1=1 -- ",
    "\\",
    "\\\\'",
    "\u00bf\\' OR 1=1 -- ",
    "縗' OR 1=1 -- ",
    "ħ OR 1=1 -- "
  ]

  for (const preparedStatements of [false, true]) {
    const how = preparedStatements ? ".unprepared" : "PREPARED_STATEMENTS=false"
    test(`37 stays a value with NO_BACKSLASH_ESCAPES (${how})`, { ...oneConnection, preparedStatements }, ({
      admin,
      database
    }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (v VARCHAR(40)) CHARACTER SET utf8mb4`)
        yield* admin(`INSERT INTO ${database}.t VALUES ('hidden')`)
        const client = yield* MainDb
        yield* Effect.scoped(Effect.flatMap(client.reserve, (connection) =>
          Effect.gen(function*() {
            for (const mode of ["NO_BACKSLASH_ESCAPES", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "ANSI_QUOTES", ""]) {
              yield* connection.executeUnprepared(`SET SESSION sql_mode = '${mode}'`, [], undefined)
              for (const attack of attacks) {
                expect(
                  yield* connection.executeUnprepared("SELECT v FROM t WHERE v = ?", [attack], undefined),
                  mode + attack
                ).toEqual([])
                expect(yield* connection.executeUnprepared("SELECT ? AS v", [attack], undefined)).toEqual([{
                  v: attack
                }])
              }
            }
          })))
      }))
  }

  // With one of these, values are prepared, also where the text protocol was asked for.
  const charsets = ["sjis", "cp932", "gbk", "big5", "latin1", "ascii", ...byServer({ MySQL: ["gb18030"], MariaDB: [] })]
  for (const charset of prepares ? charsets : []) {
    test(
      `37 stays a value with charset=${charset}`,
      { query: `charset=${charset}` },
      ({ admin, database }) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (v VARCHAR(40)) CHARACTER SET utf8mb4`)
          yield* admin(`INSERT INTO ${database}.t VALUES ('hidden')`)
          for (const attack of attacks) {
            // Found nothing, or refused because the character set has no such character.
            const found = yield* Effect.exit(MainDb.use((sql) => sql`SELECT v FROM t WHERE v = ${attack}`.unprepared))
            if (Exit.isSuccess(found)) expect(found.value).toEqual([])
          }
          if (charset === "latin1" || charset === "ascii") {
            const identifier = refusal(MainDb.use((sql) => sql`SELECT ${sql("Š")} FROM t`))
            expect(yield* identifier).toMatchObject({ reason: "InvalidParameter" })
          }
        })
    )
  }
})

describe("38 JSON that does not parse", () => {
  for (const preparedStatements of [true, false]) {
    test(
      `38 fails typed, and no answer crosses (${preparedStatements ? "binary" : "text"})`,
      { ...oneConnection, preparedStatements },
      ({ admin, database }) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (id INT PRIMARY KEY, doc JSON)`)
          // MariaDB takes [1.] for JSON; no server refuses the integer, which a number would round.
          yield* admin(`INSERT INTO ${database}.t VALUES (1, '[1]'), (2, '[1.]'), (3, '[3]')`).pipe(
            Effect.catchAllDefect(() =>
              admin(`INSERT INTO ${database}.t VALUES (1, '[1]'), (2, '[9007199254740993]'), (3, '[3]')`)
            )
          )
          const all = MainDb.use((sql) => sql`SELECT * FROM t ORDER BY id`)
          const doors = [
            all,
            MainDb.use((sql) => sql`SELECT * FROM t ORDER BY id`.values),
            MainDb.use((sql) => sql`SELECT * FROM t ORDER BY id`.raw),
            MainDb.use((sql) => sql`SELECT * FROM t ORDER BY id`.unprepared),
            MainDb.use((sql) => Stream.runCollect(sql`SELECT * FROM t ORDER BY id`.stream))
          ]
          for (const door of doors) {
            const error = yield* refusal(door)
            expect(error).toMatchObject({ reason: "InvalidData", retryable: false, database: "MainDb" })
            expect(error.detail).toContain("the column \"doc\"")
            expect(error.detail).toContain("has carried the statement out")
            // The same connection, and the answers are its own.
            for (let i = 10; i < 15; i++) {
              expect(yield* MainDb.use((sql) => sql`SELECT ${i} AS i`)).toEqual([{ i }])
            }
          }
          expect((yield* MainDb.stats).opened).toBe(1)
          // The rows before it arrive.
          const seen: Array<unknown> = []
          yield* refusal(MainDb.use((sql) =>
            Stream.runForEach(sql<{ id: number }>`SELECT * FROM t ORDER BY id`.stream, ({ id }) =>
              Effect.sync(() =>
                seen.push(id)
              ))
          ))
          expect(seen).toEqual([1])
        })
    )

    test(
      `38 leaves its transaction open (${preparedStatements ? "binary" : "text"})`,
      { preparedStatements },
      ({ admin, database }) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (id INT PRIMARY KEY, doc JSON)`)
          yield* MainDb.withTransaction(Effect.gen(function*() {
            yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1, '[9007199254740993]')`)
            expect((yield* refusal(MainDb.use((sql) => sql`SELECT * FROM t`))).reason).toBe("InvalidData")
            yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (2, '[2]')`)
          }))
          expect(yield* MainDb.use((sql) => sql`SELECT id FROM t`)).toEqual([{ id: 1 }, { id: 2 }])
        })
    )
  }
})

describe("43 a value that has no exact counterpart", () => {
  for (const preparedStatements of [true, false]) {
    const protocol = preparedStatements ? "binary" : "text"

    test(`43 a date that does not exist is an error, not another date (${protocol})`, { preparedStatements }, ({
      admin,
      database
    }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (d DATE, m DATETIME(3))`)
        for (const date of ["0000-00-00", "1950-06-00", "1950-00-01", "2023-02-29", "2026-04-31"]) {
          yield* admin(`DELETE FROM ${database}.t`)
          yield* permissive(
            `INSERT INTO t VALUES ('${date}', '${date} 00:00:00'), ('2026-01-01', '2026-01-01 00:00:00')`
          )
          for (const column of ["d", "m"]) {
            const read = (text: string) => MainDb.use((sql) => sql.unsafe(text))
            const error = yield* refusal(read(`SELECT ${column} FROM t`))
            expect(error, date).toMatchObject({ reason: "InvalidData", retryable: false })
            expect(error.detail).toContain(`the column "${column}" of its result has a date that does not exist`)
            expect(error.hint).toContain("dates=string")
            expect(yield* read(`SELECT CAST(${column} AS CHAR) AS v FROM t`)).toContainEqual({
              v: column === "d" ? date : `${date} 00:00:00.000`
            })
          }
        }
      }))

    test(`43 a BIGINT beyond 2^53 is an error, not another number (${protocol})`, { preparedStatements }, ({
      admin,
      database
    }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (big BIGINT)`)
        for (const big of ["9007199254740992", "-9007199254740992", "9223372036854775807"]) {
          yield* admin(`DELETE FROM ${database}.t`)
          yield* admin(`INSERT INTO ${database}.t VALUES (${big})`)
          const error = yield* refusal(MainDb.use((sql) => sql`SELECT * FROM t`))
          expect(error).toMatchObject({ reason: "InvalidData", retryable: false })
          expect(error.detail).toContain("the column \"big\" of its result has an integer beyond 2^53")
          expect(error.hint).toContain("bigint")
        }
      }))

    test(
      `43 what cannot be sent exactly is refused (${protocol})`,
      { preparedStatements },
      ({ admin, database }) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (d DATETIME, j JSON, v VARCHAR(40))`)
          const nonsense: ReadonlyArray<unknown> = [
            new Date(Date.UTC(12024, 0)),
            new Date(-62_200_000_000_000),
            new Map([["a", 1]]),
            new Set([1]),
            Redacted.make("secret"),
            Option.some(1),
            { nested: new Map() },
            { nested: Redacted.make("secret") },
            [undefined],
            "\ud83e"
          ]
          for (const value of nonsense) {
            for (const column of ["d", "j", "v"]) {
              const error = yield* refusal(
                MainDb.use((sql) => sql.unsafe(`INSERT INTO t (${column}) VALUES (?)`, [value]))
              )
              expect(error).toMatchObject({ reason: "InvalidParameter", retryable: false })
              expect(error.message).not.toContain("secret")
            }
          }
          expect(yield* MainDb.use((sql) => sql`SELECT * FROM t`)).toEqual([])
        })
    )

    test(
      `43 arithmetic with an integer is exact (${protocol})`,
      { preparedStatements },
      ({ admin, database }) =>
        MainDb.use((sql) =>
          Effect.gen(function*() {
            yield* admin(`CREATE TABLE ${database}.t (big BIGINT, exact DECIMAL(30, 2))`)
            yield* admin(`INSERT INTO ${database}.t VALUES (9007199254740993, 12345678901234567890.12)`)
            yield* sql`UPDATE t SET big = big + ${1}, exact = exact + ${1}`
            yield* sql`UPDATE t SET big = big + ${2n}, exact = exact - ${2n}`
            expect(yield* admin(`SELECT CAST(big AS CHAR) AS big, CAST(exact AS CHAR) AS exact FROM ${database}.t`))
              .toEqual([
                { big: "9007199254740996", exact: "12345678901234567889.12" }
              ])
            expect(yield* sql`SELECT COUNT(*) AS n FROM t WHERE big = ${9007199254740997n}`).toEqual([{ n: 0 }])
            expect(yield* sql`SELECT COUNT(*) AS n FROM t WHERE big = ${9007199254740996n}`).toEqual([{ n: 1 }])
          })
        )
    )

    test(`43 more or fewer values than placeholders are refused (${protocol})`, {
      ...oneConnection,
      preparedStatements
    }, ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(`CREATE TABLE ${database}.t (a INT)`)
        const cases: ReadonlyArray<readonly [string, ReadonlyArray<unknown>]> = [
          ["INSERT INTO t VALUES (?)", [1, 2]],
          ["INSERT INTO t VALUES (?)", [1, null]],
          ["INSERT INTO t VALUES (?), (?)", [1]],
          ["INSERT INTO t VALUES (1)", [1]],
          ["INSERT INTO t SELECT '?' + ?", [1, 2]]
        ]
        for (const [text, params] of cases) {
          for (const _ of ["the first time", "when it is prepared already"]) {
            const error = yield* refusal(MainDb.use((sql) => sql.unsafe(text, params)))
            expect(error, text).toMatchObject({ reason: "InvalidParameter", retryable: false })
          }
        }
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (${7})`)
          yield* refusal(MainDb.use((sql) => sql.unsafe("INSERT INTO t VALUES (?)", [1, 2])))
          yield* refusal(MainDb.use((sql) => Stream.runDrain(sql.unsafe("INSERT INTO t VALUES (?)", [1, 2]).stream)))
        }))
        expect(yield* MainDb.use((sql) => sql`SELECT a FROM t`)).toEqual([{ a: 7 }])
        expect((yield* MainDb.stats).opened).toBe(1)
      }))

    test(
      `43 a stream fails at the row, and its statement ends (${protocol})`,
      { ...oneConnection, preparedStatements },
      ({
        admin,
        database
      }) =>
        Effect.gen(function*() {
          yield* admin(`CREATE TABLE ${database}.t (id INT PRIMARY KEY, d DATE NULL, filler VARCHAR(500))`)
          yield* admin(`INSERT INTO ${database}.t
          WITH RECURSIVE seq AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM seq WHERE n < 300)
          SELECT n, '2026-01-01', REPEAT('x', 100) FROM seq`)
          yield* permissive("UPDATE t SET d = '1950-06-00' WHERE id = 200")
          let seen = 0
          const rows = MainDb.use((sql) =>
            Stream.runForEachChunk(sql`SELECT t.*, u.id AS other FROM t, t AS u ORDER BY t.id`.stream, (chunk) =>
              Effect.sync(() => {
                seen += Chunk.size(chunk)
              }))
          )
          expect(yield* refusal(rows)).toMatchObject({ reason: "InvalidData" })
          expect(seen).toBe(199 * 300)
          expect(
            yield* MainDb.use((sql) =>
              sql`SELECT 1 AS one`
            )
          ).toEqual([{ one: 1 }])
          if (kills) expect((yield* MainDb.stats).opened).toBe(1)
        })
    )
  }

  test(
    "43 a write whose returned rows cannot be read has been carried out",
    {},
    ({ admin, database }) =>
      Effect.gen(function*() {
        yield* admin(
          `CREATE TABLE ${database}.t (id BIGINT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 9007199254740993`
        )
        const error = yield* refusal(MainDb.use((sql) => Database.write(sql`INSERT INTO t VALUES ()`)))
        expect(error.detail).toContain("the server has carried the statement out")
        expect(yield* admin(`SELECT COUNT(*) AS n FROM ${database}.t`)).toEqual([{ n: 1 }])
      })
  )

  test("43 a transformation of the caller that throws harms nothing", oneConnection, () =>
    Effect.gen(function*() {
      const broken = (): never => {
        throw new Error("thrown by the caller")
      }
      yield* Effect.scoped(Effect.flatMap(MainDb, (sql) =>
        Effect.flatMap(sql.reserve, (connection) =>
          Effect.gen(function*() {
            for (
              const run of [
                connection.execute("SELECT 1", [], broken),
                connection.executeUnprepared("SELECT 1", [], broken),
                Stream.runDrain(connection.executeStream("SELECT 1", [], broken))
              ]
            ) {
              const exit = yield* Effect.exit(run)
              expect(Exit.isFailure(exit)).toBe(true)
            }
            expect(yield* connection.execute("SELECT 2 AS two", [], undefined)).toEqual([{ two: 2 }])
          }))))
      expect((yield* MainDb.stats).opened).toBe(1)
    }))
})
