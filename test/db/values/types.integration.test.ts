/** Every column type, in both protocols, over every door: what is written is what is read. */
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import { MainDb } from "../../../src/db/Database.ts"
import { byServer } from "../../support/db/dialect.ts"
import { type Stage, withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"

interface Type {
  readonly type: string
  /** What the table of docs/databases.md says that it arrives as. */
  readonly arrivesAs: "number" | "string" | "Date" | "parsed" | "Buffer"
  /** A value that is read back as it was written, or what is written and what is read. NULL is tried for every type. */
  readonly values: ReadonlyArray<unknown>
  /** What the server refuses. */
  readonly refused?: ReadonlyArray<unknown>
  /** An expression for the value written, with one placeholder. */
  readonly written?: string
  /** Not every server has it: a server that refuses the type is left out. */
  readonly optional?: true
}

class Becomes {
  readonly written: unknown
  readonly read: unknown
  constructor(written: unknown, read: unknown) {
    this.written = written
    this.read = read
  }
}
const becomes = (written: unknown, read: unknown) => new Becomes(written, read)

const integer = (type: string, least: number, greatest: number): ReadonlyArray<Type> => [
  { type, arrivesAs: "number", values: [0, 1, -1, least, greatest], refused: [least - 1, greatest + 1] },
  {
    type: `${type} UNSIGNED`,
    arrivesAs: "number",
    values: [0, 1, greatest - least],
    refused: [-1, greatest - least + 1]
  },
  { type: `${type} UNSIGNED ZEROFILL`, arrivesAs: "number", values: [0, 1, greatest - least] }
]

const text = (type: string, greatest: number): Type => ({
  type,
  arrivesAs: "string",
  values: ["", "0", "Zoë 🧪 'q' \"d\" back\\slash `t` %_ \n\r\t\0\x1a", "x".repeat(greatest)],
  refused: greatest > 1000 ? [] : ["x".repeat(greatest + 1)]
})

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
const binary = (type: string, greatest: number): Type => ({
  type,
  arrivesAs: "Buffer",
  values: [Buffer.alloc(0), allBytes.subarray(0, greatest), allBytes.subarray(256 - Math.min(greatest, 256))],
  refused: greatest > 1000 ? [] : [Buffer.alloc(greatest + 1, 1)]
})

const day = (date: string) => becomes(date, new Date(`${date}T00:00:00.000Z`))
const moments = [
  new Date("1970-01-01T00:00:01.000Z"),
  new Date("2026-03-29T02:30:00.000Z"),
  new Date("2038-01-19T03:14:07.000Z")
]
const oldMoments = ["1000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z", "2024-02-29T12:00:00.000Z"].map((at) =>
  new Date(at)
)

const floats32 = (...numbers: ReadonlyArray<number>) => Buffer.from(new Float32Array(numbers).buffer)

const types: ReadonlyArray<Type> = [
  ...integer("TINYINT", -128, 127),
  ...integer("SMALLINT", -32768, 32767),
  ...integer("MEDIUMINT", -8388608, 8388607),
  ...integer("INT", -2147483648, 2147483647),
  {
    type: "BIGINT",
    arrivesAs: "number",
    values: [0, 1, -1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER],
    refused: [2n ** 63n, -(2n ** 63n) - 1n]
  },
  { type: "BIGINT UNSIGNED", arrivesAs: "number", values: [0, 1, Number.MAX_SAFE_INTEGER], refused: [-1, 2n ** 64n] },
  { type: "BIGINT(11)", arrivesAs: "number", values: [0, Number.MAX_SAFE_INTEGER] },
  { type: "BOOLEAN", arrivesAs: "number", values: [becomes(true, 1), becomes(false, 0)] },
  { type: "YEAR", arrivesAs: "number", values: [1901, 2026, 2155], refused: [1900, 2156] },
  {
    type: "FLOAT",
    arrivesAs: "number",
    values: [0, 0.1, -1.5, 123456, 1.17549e-38, 1e38, -3.40282e38],
    refused: [3.5e38]
  },
  { type: "FLOAT(7,4)", arrivesAs: "number", values: [0, 0.1, -123.4567] },
  {
    type: "DOUBLE",
    arrivesAs: "number",
    // The driver's reading of the text 9229103.144836603 gives …605.
    values: [0, 0.1 + 0.2, -0.1, 9229103.144836603, Number.MAX_VALUE, -Number.MAX_VALUE, 2.2250738585072014e-308]
  },
  {
    type: "DECIMAL(30,10)",
    arrivesAs: "string",
    values: [
      "0.0000000000",
      "12345678901234567890.0123456789",
      "-99999999999999999999.9999999999",
      becomes(1, "1.0000000000"),
      becomes(1.5, "1.5000000000"),
      becomes(12345678901234567890n, "12345678901234567890.0000000000")
    ],
    refused: ["100000000000000000000"]
  },
  { type: "DECIMAL(65,0)", arrivesAs: "string", values: ["9".repeat(65), becomes(10n ** 65n - 1n, "9".repeat(65))] },
  {
    type: "DATE",
    arrivesAs: "Date",
    values: [day("1000-01-01"), day("2024-02-29"), day("9999-12-31"), day("0099-03-01")],
    refused: ["2023-02-29", "2026-13-01"]
  },
  { type: "DATETIME", arrivesAs: "Date", values: [...moments, ...oldMoments], refused: ["2023-02-29 00:00:00"] },
  { type: "DATETIME(3)", arrivesAs: "Date", values: [...moments, new Date("2026-03-29T02:30:00.123Z")] },
  {
    type: "DATETIME(6)",
    arrivesAs: "Date",
    values: [...moments, becomes("2026-03-29 02:30:00.123999", new Date("2026-03-29T02:30:00.123Z"))]
  },
  { type: "TIMESTAMP", arrivesAs: "Date", values: moments, refused: ["1969-12-31 23:59:59"] },
  { type: "TIMESTAMP(6)", arrivesAs: "Date", values: [...moments, new Date("2026-03-29T02:30:00.123Z")] },
  {
    type: "TIME",
    arrivesAs: "string",
    values: ["00:00:00", "-838:59:59", "838:59:59", "12:34:56", "-00:00:01"],
    refused: ["839:00:00"]
  },
  { type: "TIME(3)", arrivesAs: "string", values: ["00:00:00.000", "12:34:56.700", "-00:00:00.001"] },
  { type: "TIME(6)", arrivesAs: "string", values: ["00:00:00.000000", "100:34:56.000007", "12:00:00.000000"] },
  { type: "CHAR(5)", arrivesAs: "string", values: ["", "abcde", "Zoë"], refused: ["abcdef"] },
  text("VARCHAR(200)", 200),
  text("TINYTEXT", 255),
  text("TEXT", 65535),
  text("MEDIUMTEXT", 70_000),
  text("LONGTEXT", 70_000),
  { type: "ENUM('a','b')", arrivesAs: "string", values: ["a", "b"], refused: ["c"] },
  { type: "SET('x','y','z')", arrivesAs: "string", values: ["", "x", "x,z"], refused: ["q"] },
  { type: "BINARY(4)", arrivesAs: "Buffer", values: [Buffer.from([0, 39, 92, 255])], refused: [Buffer.alloc(5, 1)] },
  binary("VARBINARY(200)", 200),
  binary("TINYBLOB", 255),
  binary("BLOB", 65535),
  binary("MEDIUMBLOB", 70_000),
  binary("LONGBLOB", 70_000),
  { type: "BIT(1)", arrivesAs: "Buffer", values: [becomes(true, Buffer.from([1])), Buffer.from([0])] },
  { type: "BIT(12)", arrivesAs: "Buffer", values: [Buffer.from([0x0a, 0xbc])], refused: [Buffer.from([0x1f, 0xff])] },
  { type: "BIT(64)", arrivesAs: "Buffer", values: [Buffer.alloc(8, 255), Buffer.alloc(8)] },
  {
    type: "JSON",
    arrivesAs: "parsed",
    values: [
      { name: "Zoë 🧪", list: [1, 2.5, null, true], nested: { "a'b\\": "c\"d" } },
      [],
      [1, "two", { three: 3 }],
      becomes("\"text\"", "text"),
      becomes("1.5", 1.5),
      becomes("null", null),
      becomes("[9007199254740991, \"9007199254740993\"]", [9007199254740991, "9007199254740993"])
    ]
  },
  {
    type: "POINT",
    arrivesAs: "parsed",
    values: [becomes("POINT(1 2.5)", { x: 1, y: 2.5 })],
    written: "ST_GeomFromText(?)"
  },
  {
    type: "GEOMETRY",
    arrivesAs: "parsed",
    values: [
      becomes("LINESTRING(0 0,1 1)", [{ x: 0, y: 0 }, { x: 1, y: 1 }]),
      becomes("GEOMETRYCOLLECTION(POINT(1 2))", [{ x: 1, y: 2 }])
    ],
    written: "ST_GeomFromText(?)"
  },
  {
    type: "VECTOR(2)",
    arrivesAs: "parsed",
    // MariaDB does not tell a VECTOR apart from a VARBINARY.
    values: [becomes(floats32(1.5, -2), byServer<unknown>({ MySQL: [1.5, -2], MariaDB: floats32(1.5, -2) }))],
    optional: true
  },
  {
    type: "UUID",
    arrivesAs: "string",
    values: ["123e4567-e89b-12d3-a456-426655440000"],
    refused: ["not a uuid"],
    optional: true
  },
  { type: "INET4", arrivesAs: "string", values: ["192.168.0.1"], optional: true },
  { type: "INET6", arrivesAs: "string", values: ["2001:db8::ff00:42:8329"], refused: ["x"], optional: true }
]

const written = (value: unknown): unknown => value instanceof Becomes ? value.written : value
const read = (value: unknown): unknown => value instanceof Becomes ? value.read : value

/** The doors: every one gives the same rows. */
const doors = (query: string): Effect.Effect<Record<string, ReadonlyArray<unknown>>, unknown, MainDb> =>
  Effect.flatMap(MainDb, (sql) =>
    Effect.all({
      statement: Effect.map(sql.unsafe<{ v: unknown }>(query), (rows) => rows.map(({ v }) => v)),
      withoutTransform: Effect.map(
        sql.unsafe<{ v: unknown }>(query).withoutTransform,
        (rows) => rows.map(({ v }) => v)
      ),
      values: Effect.map(sql.unsafe(query).values, (rows) => rows.map(([v]) => v)),
      raw: Effect.map(sql.unsafe(query).raw, (rows) => (rows as ReadonlyArray<{ v: unknown }>).map(({ v }) => v)),
      unprepared: Effect.map(sql.unsafe<{ v: unknown }>(query).unprepared, (rows) => rows.map(({ v }) => v)),
      stream: Effect.map(Stream.runCollect(sql.unsafe<{ v: unknown }>(query).stream), (rows) =>
        Chunk.toReadonlyArray(rows).map(({ v }) => v)),
      reserved: Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) =>
          Effect.map(connection.executeValues(query, []), (rows) =>
            rows.map(([v]) =>
              v
            )))
      )
    }))

const test = (
  name: string,
  preparedStatements: boolean,
  query: string,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
) => it.live(name, () => Effect.flatMap(server, (at) => withDatabase(at, { preparedStatements }, body, query)))

/** Makes the table of a type; false if the server has no such type. */
const makeTable = ({ admin, database }: Stage, { optional, type }: Type) =>
  admin(`CREATE TABLE ${database}.t (id INT AUTO_INCREMENT PRIMARY KEY, v ${type} NULL) CHARACTER SET utf8mb4`).pipe(
    Effect.as(true),
    Effect.catchAllDefect((defect) => optional === true ? Effect.succeed(false) : Effect.die(defect))
  )

const insert = (value: unknown, expression = "?") =>
  MainDb.use((sql) => sql.unsafe(`INSERT INTO t (v) VALUES (${expression})`, [value]))

for (const preparedStatements of [true, false]) {
  describe(`in the ${preparedStatements ? "binary" : "text"} protocol`, () => {
    for (const type of types) {
      test(
        `${type.type}: NULL, least, greatest, and what is out of range`,
        preparedStatements,
        "",
        (stage) =>
          Effect.gen(function*() {
            if (!(yield* makeTable(stage, type))) return
            for (const value of type.refused ?? []) {
              expect(yield* Effect.flip(insert(value, type.written)), String(value)).toMatchObject({
                reason: "InvalidData",
                retryable: false
              })
            }
            for (const value of [null, ...type.values]) yield* insert(written(value), type.written)
            const expected = [null, ...type.values.map(read)]
            const found = yield* doors("SELECT v FROM t ORDER BY id")
            for (const [door, values] of Object.entries(found)) expect(values, door).toEqual(expected)
          })
      )
    }

    test(
      "dates=string: the server's text, with as many decimals as the column has",
      preparedStatements,
      "dates=string",
      (
        stage
      ) =>
        Effect.gen(function*() {
          const { admin, database } = stage
          yield* admin(
            `CREATE TABLE ${database}.t (d DATE, m0 DATETIME, m3 DATETIME(3), m6 DATETIME(6), s6 TIMESTAMP(6) NULL)`
          )
          const rows = [
            {
              d: "2026-03-29",
              m0: "2026-03-29 00:00:00",
              m3: "2026-03-29 00:00:00.000",
              m6: "2026-03-29 02:30:00.123456",
              s6: "2026-03-29 02:30:00.000001"
            },
            {
              d: "1000-01-01",
              m0: "9999-12-31 23:59:59",
              m3: "2026-03-29 02:30:00.120",
              m6: "2026-03-29 02:30:00.000000",
              s6: "1970-01-01 00:00:01.000000"
            },
            {
              d: "0000-00-00",
              m0: "1950-06-00 00:00:00",
              m3: "0000-00-00 00:00:00.000",
              m6: "0000-00-00 00:00:00.000000",
              s6: null
            }
          ]
          yield* MainDb.use((sql) =>
            Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
              Effect.zipRight(
                connection.execute("SET SESSION sql_mode = ''", [], undefined),
                Effect.forEach(
                  rows,
                  (row) => connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", Object.values(row), undefined)
                )
              )))
          )
          expect(yield* MainDb.use((sql) => sql`SELECT * FROM t ORDER BY d DESC`)).toEqual(rows)
          expect(yield* MainDb.use((sql) => sql`SELECT * FROM t ORDER BY d DESC`.values)).toEqual(
            rows.map(Object.values)
          )
        })
    )

    const beyond = [9007199254740992n, 9223372036854775807n, -9223372036854775808n]
    for (
      const [option, expected] of [
        ["string", { small: "1", big: beyond.map(String), unsigned: "18446744073709551615", narrow: "1", count: "3" }],
        ["bigint", { small: 1n, big: beyond, unsigned: 18446744073709551615n, narrow: 1n, count: 3n }],
        ["auto", { small: 1, big: beyond.map(String), unsigned: "18446744073709551615", narrow: 1, count: 3 }]
      ] as const
    ) {
      test(
        `bigint=${option}: every BIGINT column has that type`,
        preparedStatements,
        `bigint=${option}`,
        (stage) =>
          Effect.gen(function*() {
            const { admin, database } = stage
            yield* admin(
              `CREATE TABLE ${database}.b (id INT, small BIGINT, big BIGINT, u BIGINT UNSIGNED, narrow BIGINT(11))`
            )
            yield* MainDb.use((sql) =>
              sql`INSERT INTO b ${
                sql.insert(beyond.map((big, id) => ({ id, small: 1, big, u: 18446744073709551615n, narrow: 1 })))
              }`
            )
            const rows = yield* MainDb.use((sql) => sql<Record<string, unknown>>`SELECT * FROM b ORDER BY id`)
            expect(rows.map(({ big }) => big)).toEqual(expected.big)
            expect(rows[0]).toMatchObject({
              id: 0,
              small: expected.small,
              u: expected.unsigned,
              narrow: expected.narrow
            })
            expect(yield* MainDb.use((sql) => sql`SELECT COUNT(*) AS n, EXISTS(SELECT 1) AS e, 1 AS one FROM b`))
              .toEqual([
                { n: expected.count, e: 1, one: 1 }
              ])
            expect(yield* MainDb.use((sql) => sql`SELECT COUNT(*), EXISTS(SELECT 1), 1 FROM b`.values)).toEqual([
              [expected.count, 1, 1]
            ])
          })
      )
    }
  })
}

describe("docs/databases.md", () => {
  it("says what each type arrives as", () => {
    const docs = Fs.readFileSync(new URL("../../../docs/databases.md", import.meta.url), "utf8")
    const table = [...docs.matchAll(/^\| ([^|]+) \| ([^|]+) \|$/gm)].map(([, names, arrivesAs]) => ({
      names,
      arrivesAs
    }))
    const documented = new Map(
      types.map(({ type }) => {
        const name = /^\w+/.exec(type)![0]
        return [name, table.find(({ names }) => new RegExp(`\\b${name}\\b`).test(names!))?.arrivesAs?.split(/\W/)[0]]
      })
    )
    expect(Object.fromEntries(documented)).toEqual(
      Object.fromEntries(types.map(({ arrivesAs, type }) => [/^\w+/.exec(type)![0], arrivesAs]))
    )
  })
})
