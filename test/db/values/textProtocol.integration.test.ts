/** The text protocol: whatever the values and the `sql_mode`, they stay values, and they are those that were given. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { MainDb } from "../../../src/db/Database.ts"
import { withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"

const modes = [
  "",
  "NO_BACKSLASH_ESCAPES",
  "ANSI_QUOTES",
  "NO_BACKSLASH_ESCAPES,ANSI_QUOTES",
  "PIPES_AS_CONCAT,IGNORE_SPACE,STRICT_ALL_TABLES,REAL_AS_FLOAT,HIGH_NOT_PRECEDENCE"
]

/** Texts made of what an attack is made of. */
const texts = FastCheck.array(
  FastCheck.constantFrom(
    ...Array.from("\\'\"`;?%_-#\0\x1a\n\r\t aZ0é中🧪"),
    "\\'",
    "''",
    " OR 1=1 -- ",
    "/*",
    "*/",
    "ħ",
    "縗",
    "\u00bf'",
    "X'",
    "🧪"
  ),
  { maxLength: 12 }
).map((parts) => parts.join(""))

const numbers = FastCheck.oneof(
  FastCheck.double({ noNaN: true, noDefaultInfinity: true }),
  FastCheck.integer(),
  FastCheck.maxSafeInteger()
)

/** Years of four digits: the driver of the server's clients agree on those only. */
const dates = FastCheck.date({ min: new Date("1000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })

const values = FastCheck.record({
  text: texts,
  bytes: FastCheck.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  number: numbers,
  integer: FastCheck.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  flag: FastCheck.boolean(),
  moment: dates,
  doc: FastCheck.dictionary(texts, texts, { maxKeys: 3 })
})

describe("the text protocol", () => {
  for (const preparedStatements of [false, true]) {
    it.live(
      `${
        preparedStatements ? ".unprepared" : "PREPARED_STATEMENTS=false"
      } keeps values what they are, in every sql_mode`,
      () =>
        Effect.flatMap(
          server,
          (at) =>
            withDatabase(at, { preparedStatements, poolSize: 1, maxOverflow: 0 }, ({ admin, database }) =>
              Effect.gen(function*() {
                yield* admin(
                  `CREATE TABLE ${database}.t (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(200), bytes VARBINARY(40),
                  number DOUBLE, digits DECIMAL(20, 0), flag INT, moment DATETIME(3), doc JSON) CHARACTER SET utf8mb4`
                )
                yield* Effect.scoped(Effect.flatMap(
                  MainDb,
                  (sql) =>
                    Effect.flatMap(sql.reserve, (connection) =>
                      Effect.forEach(modes, (mode) =>
                        Effect.gen(function*() {
                          yield* connection.execute(`SET SESSION sql_mode = '${mode}'`, [], undefined)
                          for (const value of FastCheck.sample(values, { numRuns: 60, seed: 7 })) {
                            const { bytes, doc, flag, integer, moment, number, text } = value
                            yield* connection.executeUnprepared("DELETE FROM t", [], undefined)
                            yield* connection.executeUnprepared(
                              "INSERT INTO t (text, bytes, number, digits, flag, moment, doc) VALUES (?,?,?,?,?,?,?) -- ?",
                              [text, bytes, number, integer, flag, moment, doc],
                              undefined
                            )
                            const rows = yield* connection.executeUnprepared(
                              "SELECT * FROM t WHERE text = ? AND bytes = ? AND number = ? AND digits = ? AND moment = ?",
                              [text, bytes, number, integer, moment],
                              undefined
                            )
                            expect(rows, `${mode} ${JSON.stringify(text)}`).toHaveLength(1)
                            const { id: _, ...row } = rows[0]
                            expect(row, mode).toEqual({
                              text,
                              bytes,
                              number: number === 0 ? row.number : number,
                              digits: String(integer),
                              flag: Number(flag),
                              moment,
                              doc
                            })
                          }
                        })))
                ))
              }))
        )
    )
  }

  it.live("counts placeholders outside of strings, identifiers and comments", () =>
    Effect.flatMap(
      server,
      (at) =>
        withDatabase(at, { preparedStatements: false }, () =>
          MainDb.use((sql) =>
            Effect.gen(function*() {
              const accepted: ReadonlyArray<readonly [string, number]> = [
                ["SELECT ? AS v", 1],
                ["SELECT '?' AS q, ? AS v", 1],
                ["SELECT 'it''s ?' AS q, ? AS v", 1],
                ["SELECT 1 AS `?`, ? AS v", 1],
                ["SELECT 1 AS `a``?`, ? AS v", 1],
                ["SELECT \"?\" AS q, ? AS v", 1],
                ["SELECT ? AS v -- ?", 1],
                ["SELECT ? AS v # ?", 1],
                ["SELECT /* ? ' */ ? AS v", 1],
                ["SELECT /*+ MAX_EXECUTION_TIME(9000) */ ? AS v", 1],
                ["SELECT /*! 1 + */ ? AS v", 1],
                ["SELECT 'back\\\\slash' AS q, ? AS v", 1],
                ["SELECT 5--?+? AS v", 2],
                ["SELECT IF(TRUE AND?,?,0)AS v", 2]
              ]
              for (const [text, count] of accepted) {
                const [row] = yield* sql.unsafe<{ v: number }>(text, Array(count).fill(7))
                expect(row!.v, text).toBe(text.includes("--?") ? 19 : text.includes("/*!") ? 8 : 7)
              }
              const refused: ReadonlyArray<readonly [string, number]> = [
                ["SELECT ? AS v", 2],
                ["SELECT ? AS v, ? AS w", 1],
                ["SELECT '?' AS v", 1],
                // Where these strings end depends on the sql_mode.
                ["SELECT 'a\\' AS q, ? AS v -- '", 1],
                ["SELECT \"a\\\" AS q, ? AS v -- \"", 1],
                ["SELECT 'open, ? AS v", 1],
                ["SELECT /* open ? AS v", 1],
                // Whether this is read depends on the server.
                ["SELECT /*!99999 ? + */ ? AS v", 1],
                ["SELECT /*M! ? + */ ? AS v", 1]
              ]
              for (const [text, count] of refused) {
                expect(yield* Effect.flip(sql.unsafe(text, Array(count).fill(7))), text).toMatchObject({
                  cause: { reason: "InvalidParameter", retryable: false, statement: text }
                })
              }
            })
          ))
    ))

  it.live("shows no value in an error, also not by the name of a column", () =>
    Effect.flatMap(
      server,
      (at) =>
        withDatabase(at, { preparedStatements: false }, () =>
          MainDb.use((sql) =>
            Effect.gen(function*() {
              const secret = "5f4dcc3b5aa765d61d8327deb882cf99"
              for (
                const failing of [
                  sql`SELECT ${secret} FROM missing`,
                  sql`SELECT ${secret} syntax error`,
                  sql`SELECT ${9007199254740993n}`,
                  sql`SELECT JSON_EXTRACT(${`[${secret.length}, 9007199254740993]`}, '$')`
                ]
              ) {
                const error = yield* Effect.flip(failing)
                const shown = JSON.stringify(error) + String(error) + JSON.stringify(error.cause)
                expect(shown).not.toContain(secret)
                expect(shown).not.toContain("9007199254740993")
              }
            })
          ))
    ))
})
