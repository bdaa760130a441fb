/** `Model.makeRepository` and `Model.makeDataLoaders` of @effect/sql. */
import * as Model from "@effect/sql/Model"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as SqlSchema from "@effect/sql/SqlSchema"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { onBoth } from "./subjects.ts"

class Person extends Model.Class<Person>("Person")({
  id: Model.Generated(Schema.Number),
  name: Schema.String,
  note: Model.FieldOption(Schema.String),
  joined: Model.DateTimeInsertFromDate
}) {}

const options = { tableName: "people", idColumn: "id", spanPrefix: "People" } as const

const table = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS people (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL UNIQUE,
      note VARCHAR(80), joined DATETIME(3) NOT NULL)`,
    sql`DELETE FROM people`
  ))

const person = (name: string) => Person.insert.make({ name, note: Option.none() })
const awkward = "'; DROP TABLE people; -- \\' ? \" `"

onBoth("Model", (it) => {
  it.effect("makeRepository: every method, with a BIGINT id", () =>
    Effect.gen(function*() {
      yield* table
      const people = yield* Model.makeRepository(Person, options)
      const ada = yield* people.insert(person("Ada"))
      expect(ada).toBeInstanceOf(Person)
      expect(ada.name).toBe("Ada")
      const odd = yield* people.insert(Person.insert.make({ name: awkward, note: Option.some("a;b") }))
      expect(odd).toMatchObject({ name: awkward, note: Option.some("a;b") })
      yield* people.insertVoid(person("Grace"))
      const changed = yield* people.update(Person.update.make({ ...ada, name: "Ada L.", note: Option.some("?;") }))
      expect(changed).toMatchObject({ id: ada.id, name: "Ada L.", note: Option.some("?;") })
      yield* people.updateVoid(Person.update.make({ ...changed, note: Option.none() }))
      expect(yield* people.findById(ada.id)).toMatchObject({ value: { name: "Ada L.", note: Option.none() } })
      yield* people.delete(ada.id)
      expect(yield* people.findById(ada.id)).toEqual(Option.none())
    }))

  it.effect("makeRepository: many at once, and in a transaction that is undone", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      const people = yield* Model.makeRepository(Person, options)
      const names = Array.from({ length: 50 }, (_, index) => `Person ${index}`)
      const inserted = yield* Effect.forEach(names, (name) => people.insert(person(name)), { concurrency: "unbounded" })
      expect(inserted.map(({ name }) => name)).toEqual(names)
      expect(new Set(inserted.map(({ id }) => id)).size).toBe(50)
      yield* Effect.ignore(sql.withTransaction(Effect.zipRight(
        Effect.forEach(names, (name) => people.insert(person(`${name} in it`)), { concurrency: "unbounded" }),
        Effect.fail("undo")
      )))
      expect(yield* sql`SELECT COUNT(*) AS n FROM people`).toEqual([{ n: 50 }])
    }))

  it.effect("makeRepository: failures are defects", () =>
    Effect.gen(function*() {
      yield* table
      const people = yield* Model.makeRepository(Person, options)
      yield* people.insert(person("Ada"))
      const defect = yield* Effect.flip(Effect.catchAllDefect(people.insert(person("Ada")), Effect.fail))
      expect(defect).toMatchObject({ _tag: "SqlError", cause: { errno: 1062 } })
    }))

  it.scoped("makeDataLoaders", () =>
    Effect.gen(function*() {
      yield* table
      const people = yield* Model.makeDataLoaders(Person, { ...options, window: "5 millis", maxBatchSize: 50 })
      const names = Array.from({ length: 30 }, (_, index) => `Person ${index}`)
      const inserted = yield* Effect.forEach(names, (name) => people.insert(person(name)), { concurrency: "unbounded" })
      expect(inserted.map(({ name }) => name)).toEqual(names)
      yield* people.insertVoid(person("Ada"))
      const found = yield* Effect.forEach(inserted, ({ id }) => people.findById(id), { concurrency: "unbounded" })
      expect(found.map(Option.map(({ name }) => name))).toEqual(names.map(Option.some))
      yield* people.delete(inserted[0]!.id)
      expect(yield* people.findById(inserted[0]!.id)).toEqual(Option.none())
    }))

  it.effect("SqlSchema and SqlResolver, inside a transaction", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      const insert = SqlSchema.void({
        Request: Schema.Struct({ name: Schema.String }),
        execute: ({ name }) => sql`INSERT INTO people (name, joined) VALUES (${name}, NOW(3))`
      })
      const byName = yield* SqlResolver.findById("PersonByName", {
        Id: Schema.String,
        Result: Schema.Struct({ id: Schema.Number, name: Schema.String }),
        ResultId: ({ name }) => name,
        execute: (names) => sql`SELECT id, name FROM people WHERE ${sql.in("name", names)}`
      })
      const found = yield* sql.withTransaction(Effect.gen(function*() {
        yield* insert({ name: "Ada" })
        yield* insert({ name: "Grace" })
        return yield* Effect.forEach(["Ada", "Grace", "Alan"], (name) => byName.execute(name), { batching: true })
      }))
      expect(found.map(Option.map(({ name }) => name))).toEqual([
        Option.some("Ada"),
        Option.some("Grace"),
        Option.none()
      ])
    }))
})
