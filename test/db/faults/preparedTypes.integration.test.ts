/** MySQL converts the values of a prepared statement to the types that it had first. */
import type * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { type Stage, withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"

const onOneConnection = <A, E>(
  body: (sql: SqlClient.SqlClient, admin: Stage["admin"]) => Effect.Effect<A, E, MainDb>
) =>
  Effect.flatMap(
    server,
    (at) => withDatabase(at, { poolSize: 1, maxOverflow: 0 }, ({ admin }) => MainDb.use((sql) => body(sql, admin)))
  )

describe("a prepared statement whose values change their types", () => {
  // MySQL converts later values to the types of the first ones. Each pair is run in both orders on one connection.
  const at2 = new Date("2026-01-02T03:04:05.000Z")
  const values: ReadonlyArray<readonly [value: unknown, digits: string]> = [
    [5, "5"],
    [5.5, "5.5"],
    [9007199254740993n, "9007199254740993"],
    [18446744073709551615n, "18446744073709551615"],
    [10n ** 20n, "100000000000000000000"],
    ["12345678901234567890", "12345678901234567890"],
    [null, "NULL"]
  ]

  it.live("56 are stored exactly, in whatever order they come", () =>
    onOneConnection((sql) =>
      Effect.gen(function*() {
        yield* sql`CREATE TABLE k (s VARCHAR(30), d DECIMAL(30, 1))`
        for (const [first] of values) {
          for (const [second, digits] of values) {
            const insert = (value: unknown) =>
              sql.unsafe(`INSERT INTO k VALUES (?, ?) -- ${String(first)}`, [value, value])
            yield* insert(first)
            yield* sql`DELETE FROM k`
            yield* insert(second)
            const [row] = yield* sql`SELECT COALESCE(s, 'NULL') AS s, COALESCE(d, 'NULL') AS d FROM k`
            const decimal = digits === "NULL" || digits.includes(".") ? digits : `${digits}.0`
            expect(row, `${String(first)}, then ${digits}`).toEqual({ s: digits, d: decimal })
            yield* sql`DELETE FROM k`
          }
        }
      })
    ))

  it.live("56 mean the same as the first time", () =>
    onOneConnection((sql) =>
      Effect.gen(function*() {
        const json = (value: unknown) =>
          Effect.map(sql`SELECT JSON_OBJECT('a', ${value as string}) AS v`, ([row]) => row!["v"])
        const sum = (value: number) =>
          Effect.map(sql<{ v: string }>`SELECT CAST(9007199254740993 + ${value} AS CHAR) AS v`, ([row]) => row!.v)
        const equal = (value: unknown) =>
          Effect.map(sql<{ v: number }>`SELECT '1999-12-31' = ${value as string} AS v`, ([row]) => row!.v)
        for (const round of [1, 2]) {
          expect(yield* json(5), String(round)).toEqual({ a: 5 })
          expect(yield* json("text")).toEqual({ a: "text" })
          expect(yield* json(null)).toEqual({ a: null })
          expect(yield* json(1.5)).toEqual({ a: 1.5 })
          expect(yield* sum(0.5)).toBe("9.007199254740992e15")
          expect(yield* sum(1)).toBe("9007199254740994")
          expect(yield* equal(at2)).toBe(0)
          expect(yield* equal("1999-12-31")).toBe(1)
        }
      })
    ))

  it.live("56 are bounded: a statement is prepared for each mixture, at most four times", () =>
    onOneConnection((sql, admin) =>
      Effect.gen(function*() {
        const count = Effect.map(
          admin("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'"),
          ([row]) => Number(row!["Value"])
        )
        const before = yield* count
        for (let mixture = 0; mixture < 64; mixture++) {
          const params = Array.from({ length: 6 }, (_, i) => (mixture >> i) & 1 ? "1" : 1)
          const [row] = yield* sql.unsafe("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f", params)
          expect(Object.values(row!)).toEqual(params)
        }
        expect((yield* count) - before).toBeLessThanOrEqual(4)
      })
    ))

  it.live("56 need one statement where the column is a DOUBLE anyway", () =>
    onOneConnection((sql) =>
      Effect.gen(function*() {
        yield* sql`CREATE TABLE r (a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE)`
        const count = Effect.map(
          sql<{ Value: string }>`SHOW SESSION STATUS LIKE 'Com_stmt_prepare'`,
          ([row]) => Number(row!.Value)
        )
        const insert = (mixture: number) =>
          sql`INSERT INTO r ${
            sql.insert({
              a: mixture & 1 ? 1 : 0.5,
              b: mixture & 2 ? 2 : 0.25,
              c: mixture & 4 ? 3 : 0.125,
              d: mixture
            })
          }`
        yield* Effect.zipRight(insert(0), count)
        const before = yield* count
        for (let mixture = 1; mixture < 8; mixture++) yield* insert(mixture)
        expect(yield* count).toBe(before)
        expect(yield* sql`SELECT SUM(a) AS a, SUM(b) AS b, SUM(c) AS c, SUM(d) AS d FROM r`).toEqual([
          { a: 6, b: 9, c: 12.5, d: 28 }
        ])
      })
    ))
})
