/** Parameters, results and their types. */
import * as Effect from "effect/Effect"
import { howOf, insert, open, type Row } from "./subject.ts"

/** Puts the process in a time zone with daylight saving, for as long as the scope lasts. */
const inBerlin = Effect.acquireRelease(
  Effect.sync(() => {
    const before = process.env["TZ"]
    process.env["TZ"] = "Europe/Berlin"
    return before
  }),
  (before) =>
    Effect.sync(() => {
      if (before === undefined) delete process.env["TZ"]
      else process.env["TZ"] = before
    })
)

export const values: ReadonlyArray<Row> = [
  {
    defect: "an undefined parameter is a defect",
    observe: (subject) =>
      Effect.gen(function*() {
        const { ids, sql } = yield* open(subject)
        const statement = sql`INSERT INTO records VALUES (1, ${undefined as never})`
        const after = yield* howOf(sql.withTransaction(Effect.zipRight(Effect.ignore(statement), insert(sql, 2))))
        return {
          outside: yield* howOf(statement),
          inside: yield* howOf(sql.withTransaction(statement)),
          after,
          ids: yield* ids
        }
      }),
    sound: { outside: "failure", inside: "failure", after: "success", ids: [2] }
  },
  {
    defect: "an INSERT does not tell which id it gave and how many rows it wrote",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject)
        yield* sql`CREATE TABLE files (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20)) AUTO_INCREMENT = 7`
        return [
          yield* subject.write(sql`INSERT INTO files ${sql.insert([{ name: "a" }, { name: "b" }])}`),
          yield* subject.write(sql`UPDATE files SET name = 'a' WHERE name = 'a'`)
        ]
      }),
    sound: [{ insertId: 7, affectedRows: 2 }, { insertId: 0, affectedRows: 1 }]
  },
  {
    defect: "DATETIMEs are read and written in the zone of the process: what daylight saving skips is moved",
    observe: (subject) =>
      Effect.gen(function*() {
        yield* inBerlin
        const { sql } = yield* open(subject)
        const [read] = yield* sql<{ at: Date }>`SELECT TIMESTAMP'2024-03-31 02:30:00' AS at`
        const [written] = yield* sql<{ at: string }>`
          SELECT CAST(${new Date("2024-03-31T02:30:00Z")} AS CHAR(19)) AS at`
        return { read: read!.at.toISOString(), written: written!.at }
      }),
    sound: { read: "2024-03-31T02:30:00.000Z", written: "2024-03-31 02:30:00" }
  },
  {
    defect: "a BIGINT is a number or a string, depending on its size",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject)
        yield* sql`CREATE TABLE big (n BIGINT NOT NULL, d DECIMAL(30, 2) NOT NULL)`
        yield* sql`INSERT INTO big VALUES (1, 1), (9007199254740993, 9007199254740993.01)`
        const small = sql`SELECT n, d FROM big WHERE n = 1`
        const large = sql`SELECT n FROM big WHERE n > 1`
        return {
          prepared: [yield* small, yield* howOf(large)],
          text: [yield* small.unprepared, yield* howOf(large.unprepared)]
        }
      }),
    sound: {
      prepared: [[{ n: 1, d: "1.00" }], "failure"],
      text: [[{ n: 1, d: "1.00" }], "failure"]
    }
  }
]
