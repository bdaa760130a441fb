/** The contract of test/contract/SqlClients.ts on our client: it has none of the defects of the packages below it. */
import * as SqlResolver from "@effect/sql/SqlResolver"
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Database from "../../src/db/Database.ts"
import * as Repository from "../../src/db/Repository.ts"
import { type Subject, suite } from "../contract/SqlClients.ts"
import { open } from "../contract/sqlClients/subject.ts"

class SubjectDb extends Database.Tag("SubjectDb", { prefix: "SUBJECT_DB" })<SubjectDb>() {}

const Record = Schema.Struct({ id: Schema.Number, mark: Schema.String })

const ours: Subject = {
  name: "our client",
  expectDefect: false,
  connectTimeout: 1_000,
  make: (target) =>
    Effect.map(
      Layer.build(SubjectDb.layerConfig(Config.succeed({
        url: Redacted.make(target.datesAsText === true ? `${target.url}?dates=string` : target.url),
        poolSize: target.connections ?? 4,
        maxOverflow: 0,
        connectTimeout: target.connectTimeout,
        poolTimeout: target.acquireTimeout,
        poolRecycle: target.lifetime,
        poolPrePingSkip: target.pingAlways === true ? 0 : undefined,
        isolationLevel: target.isolation
      }))),
      Context.get(SubjectDb)
    ),
  loaders: (sql) =>
    Effect.gen(function*() {
      const window = "10 millis"
      const find = yield* SqlResolver.findById("FindRecord", {
        Id: Schema.Number,
        Result: Record,
        ResultId: ({ id }) => id,
        execute: (ids) => sql`SELECT * FROM records WHERE ${sql.in("id", ids)}`
      })
      const insert = yield* SqlResolver.void("InsertRecord", {
        Request: Record,
        execute: (records) => sql`INSERT INTO records ${sql.insert(records)}`
      })
      return {
        find: yield* Repository.dataLoader(find, { window }),
        insert: yield* Repository.dataLoader(insert, { window })
      }
    }),
  write: Database.write
}

suite(ours)

describe("what is no defect, but good to know", () => {
  it.scopedLive("FLOAT is the shortest number that stands for it; the text protocol has six digits at most", () =>
    Effect.gen(function*() {
      const { sql } = yield* open(ours)
      yield* sql`CREATE TABLE floats (f FLOAT NOT NULL, d DOUBLE NOT NULL)`
      yield* sql`INSERT INTO floats VALUES (0.1, 0.1), (16777215, 1)`
      const rows = sql`SELECT f, d FROM floats`
      expect(yield* rows).toEqual([{ f: 0.1, d: 0.1 }, { f: 16777215, d: 1 }])
      expect(yield* rows.unprepared).toEqual([{ f: 0.1, d: 0.1 }, { f: 16777200, d: 1 }])
    }))

  it.scopedLive("JSON is parsed, BIT and binary are bytes, in both protocols", () =>
    Effect.gen(function*() {
      const { sql } = yield* open(ours)
      yield* sql`CREATE TABLE odd (j JSON NOT NULL, b BIT(3) NOT NULL, x VARBINARY(4) NOT NULL)`
      yield* sql`INSERT INTO odd ${
        sql.insert({ j: JSON.stringify({ a: [1] }), b: Buffer.from([5]), x: new Uint8Array([0, 255]) })
      }`
      const rows = sql`SELECT j, b, x FROM odd`
      const expected = [{ j: { a: [1] }, b: Buffer.from([5]), x: Buffer.from([0, 255]) }]
      expect(yield* rows).toEqual(expected)
      expect(yield* rows.unprepared).toEqual(expected)
    }))
})
