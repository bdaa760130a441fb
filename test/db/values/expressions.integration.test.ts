/** What the server makes of expressions has the same types from both servers and in both protocols. */
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import { type Options, withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"

const at = new Date("2026-03-29T02:30:00.123Z")

/** An expression over a row of `e`, its parameters, and what it gives. */
const expressions: ReadonlyArray<readonly [sql: string, params: ReadonlyArray<unknown>, expected: unknown]> = [
  ["1", [], 1],
  ["TRUE", [], 1],
  ["1 = 2", [], 0],
  ["i IN (1, 2)", [], 1],
  ["s LIKE 'a%'", [], 1],
  ["i IS NULL", [], 0],
  ["EXISTS(SELECT 1 FROM e AS f WHERE f.i = 99)", [], 0],
  ["EXISTS(SELECT 1 FROM e AS f)", [], 1],
  ["COUNT(*) OVER ()", [], 1],
  ["ROW_NUMBER() OVER (ORDER BY i)", [], 1],
  ["(SELECT COUNT(*) FROM e)", [], 1],
  ["(SELECT MAX(i) FROM e)", [], 1],
  ["(SELECT SUM(i) FROM e)", [], "1"],
  ["(SELECT AVG(i) FROM e)", [], "1.0000"],
  ["(SELECT SUM(d) FROM e)", [], 0.5],
  ["IF(i = 1, 2, 3)", [], 2],
  ["CASE WHEN i = 1 THEN 10 ELSE 20 END", [], 10],
  ["COALESCE(i, 0)", [], 1],
  ["COALESCE(b, 0)", [], 2],
  ["GREATEST(i, b)", [], 2],
  ["i + 1", [], 2],
  ["b + 1", [], 3],
  ["-i", [], -1],
  ["i * 1.5", [], "1.5"],
  ["i / 4", [], "0.2500"],
  ["7 DIV 2", [], 3],
  ["7 % 4", [], 3],
  ["ABS(-5)", [], 5],
  ["FLOOR(1.5)", [], 1],
  ["CEIL(d)", [], 1],
  ["ROUND(1.25, 1)", [], "1.3"],
  ["ROUND(d, 0)", [], 0],
  ["SQRT(4)", [], 2],
  ["LENGTH('abc')", [], 3],
  ["CHAR_LENGTH(s)", [], 3],
  ["LOCATE('b', s)", [], 2],
  ["DATEDIFF('2026-03-02', '2026-03-01')", [], 1],
  ["YEAR('2026-03-02')", [], 2026],
  ["UNIX_TIMESTAMP('2026-03-29 02:30:00')", [], 1774751400],
  ["TIMESTAMPDIFF(SECOND, '2026-03-01', '2026-03-02')", [], 86400],
  ["CAST('5' AS SIGNED)", [], 5],
  ["CAST('5' AS UNSIGNED)", [], 5],
  ["CAST(1.5 AS DECIMAL(10, 3))", [], "1.500"],
  ["CAST('1.5' AS DOUBLE)", [], 1.5],
  ["CAST(i AS CHAR)", [], "1"],
  ["CAST('2026-03-29' AS DATE)", [], new Date("2026-03-29T00:00:00.000Z")],
  ["CAST('2026-03-29 02:30:00.123' AS DATETIME(3))", [], at],
  ["DATE(t)", [], new Date("2026-03-29T00:00:00.000Z")],
  ["MAX(t) OVER ()", [], at],
  ["t + INTERVAL 1 DAY", [], new Date("2026-03-30T02:30:00.123Z")],
  ["SEC_TO_TIME(3661)", [], "01:01:01"],
  ["CAST('12:34:56.5' AS TIME(3))", [], "12:34:56.500"],
  ["TIMEDIFF('12:00:00', '13:00:00')", [], "-01:00:00"],
  ["1.5", [], "1.5"],
  ["1.5e0", [], 1.5],
  ["'text'", [], "text"],
  ["CONCAT(i, 'x')", [], "1x"],
  ["NULL", [], null],
  ["X'00ff'", [], Buffer.from([0, 255])],
  ["JSON_OBJECT('a', 1)", [], { a: 1 }],
  ["JSON_ARRAY(1, 'two', NULL)", [], [1, "two", null]],
  ["JSON_EXTRACT(j, '$.list')", [], [1, 2]],
  ["JSON_UNQUOTE(JSON_EXTRACT(j, '$.name'))", [], "Zoë"],
  ["JSON_LENGTH(j, '$.list')", [], 2],
  ["JSON_CONTAINS(j, '1', '$.list')", [], 1],
  ["JSON_VALID(j)", [], 1],
  ["(SELECT JSON_ARRAYAGG(i) FROM e)", [], [1]],
  ["@seen", [], 7],
  ["CONNECTION_ID() > 0", [], 1],
  ["LAST_INSERT_ID() >= 0", [], 1],
  ["@@autocommit", [], 1],
  // Parameters
  ["?", [5], 5],
  ["?", [-5], -5],
  ["?", [5.5], 5.5],
  ["?", [1e300], 1e300],
  ["?", [true], 1],
  ["?", ["text"], "text"],
  ["?", [null], null],
  ["?", [at], at],
  ["CAST(? AS BINARY)", [Buffer.from("b")], Buffer.from("b")],
  ["? + 1", [1], 2],
  ["? + 1", [1.5], 2.5],
  ["i + ?", [1], 2],
  ["i + ?", [0.5], 1.5],
  ["IF(? = 1, 'yes', 'no')", [1], "yes"],
  ["COALESCE(NULL, ?)", [3], 3],
  ["t = ?", [at], 1],
  ["s = ?", ["abc"], 1],
  // 2^53 + 1 and 2^63 - 1 in a BIGINT, 20 digits in a DECIMAL: exact, if nothing goes through DOUBLE.
  ["large + ? = 9007199254740994", [1], 1],
  ["large - ? = 1", [9007199254740992n], 1],
  ["large = ?", [9007199254740993n], 1],
  ["large = ?", [9007199254740992n], 0],
  ["largest - ? = 0", [9223372036854775807n], 1],
  ["dec20 + ? = 12345678901234567891.5", [1], 1],
  ["dec20 + ? = 12345678901234567892.5", [1], 0],
  ["dec20 + ? = 112345678901234567890.5", [10n ** 20n], 1],
  ["CAST(? AS CHAR)", [18446744073709551615n], "18446744073709551615"],
  ["CONCAT(?, '')", [1e15], "1000000000000000"]
]

const setUp = MainDb.use((sql) =>
  Effect.zipRight(
    sql.unsafe(`CREATE TABLE e (i INT, b BIGINT, s VARCHAR(10), d DOUBLE, t DATETIME(3), j JSON, large BIGINT,
      largest BIGINT, dec20 DECIMAL(30, 1)) CHARACTER SET utf8mb4`),
    sql`INSERT INTO e ${
      sql.insert({
        i: 1,
        b: 2,
        s: "abc",
        d: 0.5,
        t: at,
        j: { name: "Zoë", list: [1, 2] },
        large: 9007199254740993n,
        largest: 9223372036854775807n,
        dec20: "12345678901234567890.5"
      })
    }`
  )
)

for (const options of [{}, { preparedStatements: false }] satisfies ReadonlyArray<Options>) {
  describe(`expressions in the ${"preparedStatements" in options ? "text" : "binary"} protocol`, () => {
    it.live("have the same types, over every door", () =>
      Effect.flatMap(server, (at) =>
        withDatabase(at, options, () =>
          Effect.gen(function*() {
            yield* setUp
            const sql = yield* MainDb
            const connection = yield* sql.reserve
            yield* connection.execute("SET @seen = 7", [], undefined)
            for (const [expression, params, expected] of expressions) {
              const text = `SELECT ${expression} AS v FROM e`
              const message = `${expression} of ${params.map(String).join(", ")}`
              expect(yield* connection.execute(text, params, undefined), message).toEqual([{ v: expected }])
              expect(yield* connection.executeValues(text, params), message).toEqual([[expected]])
              expect(yield* connection.executeUnprepared(text, params, undefined), message).toEqual([{ v: expected }])
              expect(yield* connection.executeRaw(text, params), message).toEqual([{ v: expected }])
              expect(Chunk.toReadonlyArray(yield* Stream.runCollect(connection.executeStream(text, params, undefined))))
                .toEqual([{ v: expected }])
            }
          }).pipe(Effect.scoped))))

    it.live("columns of the same name: a row has the last, an array has all", () =>
      Effect.flatMap(server, (at) =>
        withDatabase(at, options, () =>
          MainDb.use((sql) =>
            Effect.gen(function*() {
              yield* setUp
              const text = "SELECT t AS v, j AS v, s AS v, i AS w, t AS w FROM e"
              expect(yield* sql.unsafe(text)).toEqual([{ v: "abc", w: new Date("2026-03-29T02:30:00.123Z") }])
              const [row] = yield* sql.unsafe(text).values
              expect(row).toHaveLength(5)
              expect(row!.slice(2)).toEqual(["abc", 1, new Date("2026-03-29T02:30:00.123Z")])
            })
          ))))
  })
}
