import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Database from "../../src/db/Database.ts"
import { MainDb } from "../../src/db/Database.ts"
import { type Options, type Stage, withDatabase } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"

const everyType = `
  id INT AUTO_INCREMENT PRIMARY KEY,
  tiny TINYINT, flag BOOLEAN, small SMALLINT, medium MEDIUMINT, plain INT, unsigned_plain INT UNSIGNED,
  big BIGINT, unsigned_big BIGINT UNSIGNED, exact DECIMAL(30, 10), single FLOAT, twice DOUBLE,
  day DATE, moment DATETIME(6), stamp TIMESTAMP(6) NULL, duration TIME(3), since YEAR,
  words VARCHAR(200), long_words TEXT, fixed CHAR(5), choice ENUM('a', 'b'), choices SET('x', 'y', 'z'),
  bytes VARBINARY(20), blob_bytes BLOB, bits BIT(12), bit1 BIT(1), doc JSON`

type Row = Readonly<Record<string, unknown>>

const test = (
  name: string,
  options: Options & { readonly query?: string },
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
) =>
  it.live(name, () =>
    Effect.flatMap(server, (at) => {
      const { query, ...rest } = options
      return withDatabase(at, rest, (stage) =>
        Effect.zipRight(
          stage.admin(`CREATE TABLE ${stage.database}.v (${everyType}) CHARACTER SET utf8mb4`),
          body(stage)
        ), query)
    }))

const write = (values: Row) => MainDb.use((sql) => Database.write(sql`INSERT INTO v ${sql.insert(values)}`))
const read = Effect.map(MainDb.use((sql) => sql<Row>`SELECT * FROM v ORDER BY id DESC LIMIT 1`), ([row]) => row!)
const roundTrip = (values: Row) => Effect.zipRight(write(values), read)

for (const preparedStatements of [true, false]) {
  const options: Options = { preparedStatements }

  describe(`values in the ${preparedStatements ? "binary" : "text"} protocol`, () => {
    test("numbers: integers are numbers, decimals are strings", options, () =>
      Effect.gen(function*() {
        expect(yield* roundTrip({ big: 1, unsigned_big: 1, exact: 1, plain: 1, unsigned_plain: 1 })).toMatchObject({
          big: 1,
          unsigned_big: 1,
          exact: "1.0000000000",
          plain: 1,
          unsigned_plain: 1
        })
        expect(
          yield* roundTrip({
            tiny: -128,
            small: -32768,
            medium: 8388607,
            plain: -2147483648,
            unsigned_plain: 4294967295,
            big: Number.MIN_SAFE_INTEGER,
            unsigned_big: Number.MAX_SAFE_INTEGER,
            exact: "12345678901234567890.0123456789",
            since: 2026
          })
        ).toMatchObject({
          tiny: -128,
          small: -32768,
          medium: 8388607,
          plain: -2147483648,
          unsigned_plain: 4294967295,
          big: Number.MIN_SAFE_INTEGER,
          unsigned_big: Number.MAX_SAFE_INTEGER,
          exact: "12345678901234567890.0123456789",
          since: 2026
        })
        // Also expressions that the server makes a BIGINT or a DECIMAL.
        expect(
          yield* MainDb.use((sql) => sql`SELECT COUNT(*) AS count, SUM(plain) AS total, MAX(plain) AS most FROM v`)
        ).toEqual([
          { count: 2, total: "-2147483647", most: 1 }
        ])
        expect(yield* MainDb.use((sql) => sql`SELECT COUNT(*), SUM(plain), MAX(plain) FROM v`.values)).toEqual([
          [2, "-2147483647", 1]
        ])
        expect(yield* roundTrip({ flag: true })).toMatchObject({ flag: 1 })
        expect(yield* roundTrip({ flag: false })).toMatchObject({ flag: 0 })
      }))

    test("floating point: doubles are exact", options, () =>
      Effect.gen(function*() {
        for (const twice of [0, -0.1, 1e-300, 1.7976931348623157e308, 0.1 + 0.2, Number.MAX_SAFE_INTEGER]) {
          expect((yield* roundTrip({ twice }))["twice"]).toBe(twice)
        }
        // FLOAT has 24 bits, which the shortest number stands for. The text protocol has six digits of it at most.
        expect((yield* roundTrip({ single: 0.1 }))["single"]).toBe(0.1)
        expect((yield* roundTrip({ single: 16777215 }))["single"]).toBe(preparedStatements ? 16777215 : 16777200)
        expect((yield* roundTrip({ single: 0.5 }))["single"]).toBe(0.5)
      }))

    test("times are UTC", options, ({ admin, database }) =>
      Effect.gen(function*() {
        const moment = new Date("2026-03-29T02:30:00.123Z")
        expect(yield* roundTrip({ moment, stamp: moment, day: "2026-03-29" })).toMatchObject({
          moment,
          stamp: moment,
          day: new Date("2026-03-29T00:00:00.000Z")
        })
        expect(
          yield* admin(
            `SELECT CAST(moment AS CHAR) AS m, UNIX_TIMESTAMP(stamp) AS s FROM ${database}.v ORDER BY id DESC LIMIT 1`
          )
        ).toEqual([{ m: "2026-03-29 02:30:00.123000", s: "1774751400.123000" }])
        expect(yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE moment = ${moment} AND stamp = ${moment}`))
          .toHaveLength(1)
        const [now] = yield* MainDb.use((sql) => sql<{ now: Date }>`SELECT NOW(3) AS now`)
        expect(Math.abs(now!.now.getTime() - Date.now())).toBeLessThan(5_000)
        expect((yield* roundTrip({ duration: "-12:34:56.789" }))["duration"]).toBe("-12:34:56.789")
      }))

    test("times as text keep their microseconds", { ...options, query: "dates=string" }, () =>
      Effect.gen(function*() {
        const row = { day: "2026-03-29", moment: "2026-03-29 02:30:00.123456", stamp: "2026-03-29 02:30:00.654321" }
        expect(yield* roundTrip(row)).toMatchObject(row)
        expect(yield* roundTrip({ moment: new Date("2026-03-29T02:30:00.123Z") })).toMatchObject({
          moment: "2026-03-29 02:30:00.123000"
        })
      }))

    test("texts, bytes and bits", options, () =>
      Effect.gen(function*() {
        const words = "Zoë 🧪 𝔘 'quoted' \"double\" back\\slash `tick` %_ \n\r\t\0 \u001a 中文"
        const bytes = Buffer.from([0, 1, 2, 39, 92, 255])
        expect(
          yield* roundTrip({
            words,
            long_words: words,
            fixed: "ab",
            choice: "b",
            choices: "x,z",
            bytes,
            blob_bytes: new Uint8Array(bytes),
            bits: Buffer.from([0x0a, 0xbc]),
            bit1: true
          })
        ).toMatchObject({
          words,
          long_words: words,
          fixed: "ab",
          choice: "b",
          choices: "x,z",
          bytes,
          blob_bytes: bytes,
          bits: Buffer.from([0x0a, 0xbc]),
          bit1: Buffer.from([1])
        })
        expect(yield* roundTrip({ words: "", bytes: Buffer.alloc(0) })).toMatchObject({
          words: "",
          bytes: Buffer.alloc(0)
        })
      }))

    test("objects and arrays are JSON", options, () =>
      Effect.gen(function*() {
        const doc = { name: "Zoë 🧪", list: [1, 2.5, null, true], nested: { "a'b\\": "c\"d" } }
        const row = yield* roundTrip({ doc })
        expect(row["doc"]).toEqual(doc)
        expect((yield* roundTrip({ doc: [1, "two", { three: 3 }] }))["doc"]).toEqual([1, "two", { three: 3 }])
        expect(yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE JSON_VALUE(doc, '$.name') = ${"Zoë 🧪"}`))
          .toHaveLength(1)
      }))

    test("parameters keep their type, also where no column has one for them", options, () =>
      Effect.gen(function*() {
        const at = new Date("2026-03-29T02:30:00.000Z")
        const [row] = yield* MainDb.use((sql) =>
          sql<Row>`SELECT ${"x"} AS text, ${1} + 1 AS sum, ${1.5} AS fraction, ${true} AS flag, ${null} AS nothing,
            ${10n} + 0 = 10 AS big, ${
            Buffer.from("b")
          } = 'b' AS bytes, ${at} = TIMESTAMP '2026-03-29 02:30:00' AS moment`
        )
        expect(row).toEqual({
          text: "x",
          sum: 2,
          fraction: 1.5,
          flag: 1,
          nothing: null,
          big: 1,
          bytes: 1,
          moment: 1
        })
        yield* write({ plain: 1 })
        yield* write({ plain: 2 })
        expect(yield* MainDb.use((sql) => sql`SELECT plain FROM v ORDER BY id LIMIT ${1} OFFSET ${1}`)).toEqual([{
          plain: 2
        }])
      }))

    test("NULL is null, in every column", options, () =>
      Effect.gen(function*() {
        const columns = everyType.match(/\b[a-z_]+[0-9]?(?= [A-Z])/g)!.filter((name) => name !== "id")
        expect(columns).toHaveLength(26)
        const nothing = Object.fromEntries(columns.map((name) => [name, null]))
        const { id: _, ...row } = yield* roundTrip(nothing)
        expect(row).toEqual(nothing)
      }))

    test("an object as a parameter cannot become a condition (no injection)", options, () =>
      Effect.gen(function*() {
        yield* write({ words: "secret" })
        const attack: unknown = { words: 1 }
        expect(yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE words = ${attack as string}`)).toEqual([])
        expect(yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE words = ${"' OR '1' = '1"}`)).toEqual([])
        expect(yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE words = ${"\\' OR 1 = 1 -- "}`)).toEqual([])
      }))

    test("a parameter without an SQL value is refused before anything is sent", options, () =>
      Effect.gen(function*() {
        const nonsense: ReadonlyArray<unknown> = [
          undefined,
          Number.NaN,
          Number.POSITIVE_INFINITY,
          new Date(Number.NaN),
          () => 1,
          Symbol("s")
        ]
        for (const value of nonsense) {
          const refused = Effect.flip(MainDb.use((sql) => sql.unsafe("SELECT ? AS x", [value])))
          const expected = {
            _tag: "DatabaseError",
            reason: "InvalidParameter",
            retryable: false,
            statement: "SELECT ? AS x"
          }
          expect(yield* refused).toMatchObject(expected)
          expect(
            yield* MainDb.withTransaction(Effect.gen(function*() {
              yield* write({ words: "kept" })
              return yield* refused
            }))
          ).toMatchObject(expected)
        }
        expect(yield* MainDb.use((sql) => sql`SELECT COUNT(*) AS kept FROM v`)).toEqual([{
          kept: nonsense.length
        }])
      }))

    test("writes report insertId and affectedRows", options, () =>
      Effect.gen(function*() {
        expect(yield* write({ plain: 1 })).toEqual({ insertId: 1, affectedRows: 1 })
        expect(
          yield* MainDb.use((sql) => Database.write(sql`INSERT INTO v ${sql.insert([{ plain: 2 }, { plain: 3 }])}`))
        ).toEqual({ insertId: 2, affectedRows: 2 })
        const update = (to: number) => MainDb.use((sql) => Database.write(sql`UPDATE v SET plain = ${to} WHERE id = 1`))
        expect(yield* update(1)).toEqual({ insertId: 0, affectedRows: 1 })
        expect(yield* update(9)).toEqual({ insertId: 0, affectedRows: 1 })
        expect(yield* MainDb.use((sql) => Database.write(sql`DELETE FROM v`))).toEqual({ insertId: 0, affectedRows: 3 })
        expect(yield* MainDb.use((sql) => Database.write(sql`SELECT 1`))).toEqual({ insertId: 0, affectedRows: 0 })
      }))

    for (const bigint of ["number", "string", "bigint", "auto"] as const) {
      test(
        `insertId with bigint=${bigint}`,
        { ...options, query: `bigint=${bigint}` },
        ({ admin, database }) =>
          Effect.gen(function*() {
            yield* admin(`CREATE TABLE ${database}.w (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n INT)`)
            const insert = MainDb.use((sql) => Database.write(sql`INSERT INTO w (n) VALUES (1)`))
            const small = { number: 1, string: "1", bigint: 1n, auto: 1 }[bigint]
            expect(yield* insert).toEqual({ insertId: small, affectedRows: 1 })
            yield* admin(`ALTER TABLE ${database}.w AUTO_INCREMENT = 9007199254740993`)
            if (bigint === "number") {
              // A write that does not ask for the id works all the same.
              yield* MainDb.use((sql) => sql`INSERT INTO w (n) VALUES (1)`)
              expect(yield* Effect.flip(insert)).toMatchObject({ reason: "InvalidData", retryable: false })
              expect(yield* admin(`SELECT id FROM ${database}.w`)).toHaveLength(3)
            } else {
              const id = bigint === "bigint" ? 9007199254740993n : "9007199254740993"
              expect(yield* insert).toEqual({ insertId: id, affectedRows: 1 })
            }
          })
      )
    }
  })
}

describe("prepared statements", () => {
  const count = (stage: Stage) =>
    Effect.map(stage.admin("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'"), ([row]) => Number(row!["Value"]))

  test("are bounded per connection", { poolSize: 1, maxOverflow: 0 }, (stage) =>
    Effect.gen(function*() {
      const before = yield* count(stage)
      for (let size = 1; size <= 300; size++) {
        const ids = Array.from({ length: size }, (_, i) => i)
        yield* MainDb.use((sql) => sql`SELECT id FROM v WHERE id IN ${sql.in(ids)}`)
      }
      expect((yield* count(stage)) - before).toBeLessThanOrEqual(128)
      expect((yield* MainDb.stats).opened).toBe(1)
    }))

  test(
    "are not used where they are switched off",
    { poolSize: 1, maxOverflow: 0, preparedStatements: false },
    (stage) =>
      Effect.gen(function*() {
        const before = yield* count(stage)
        for (let i = 0; i < 20; i++) yield* MainDb.use((sql) => sql.unsafe(`SELECT ? AS x${i}`, [i]))
        expect((yield* count(stage)) - before).toBeLessThanOrEqual(0)
      })
  )
})
