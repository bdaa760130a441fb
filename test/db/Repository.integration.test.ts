import * as Model from "@effect/sql/Model"
import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import { GarminDb, MainDb } from "../../src/db/Database.ts"
import * as Repository from "../../src/db/Repository.ts"
import type { DatabaseError } from "../../src/Errors.ts"
import { garmin, main } from "../support/db/databases.ts"
import { databaseError } from "../support/db/errors.ts"
import { realClock } from "../support/realClock.ts"

class File extends Model.Class<File>("File")({
  id: Model.Generated(Schema.Number),
  name: Schema.String.pipe(Schema.maxLength(40)),
  note: Model.FieldOption(Schema.String),
  created: Model.DateTimeInsertFromDate
}) {}

class Label extends Model.Class<Label>("Label")({
  code: Model.GeneratedByApp(Schema.String),
  text: Schema.String
}) {}

const files = Repository.make(MainDb, File, { tableName: "files", idColumn: "id", spanPrefix: "Files" })
const labels = Repository.make(MainDb, Label, { tableName: "labels", idColumn: "code", spanPrefix: "Labels" })

const setUp = MainDb.use((sql) =>
  Effect.gen(function*() {
    yield* sql`CREATE TABLE IF NOT EXISTS files (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL,
      note VARCHAR(20), created DATETIME(3) NOT NULL, UNIQUE KEY file_name (name))`
    yield* sql`CREATE TABLE IF NOT EXISTS labels (code VARCHAR(20) PRIMARY KEY, text VARCHAR(20) NOT NULL)`
    yield* sql`DELETE FROM files`
    yield* sql`DELETE FROM labels`
  })
)

const file = (name: string) => File.insert.make({ name, note: Option.none() })

const failure = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<DatabaseError, never, R> =>
  Effect.map(Effect.exit(effect), databaseError)

describe("Repository", () => {
  layer(Layer.merge(main(), garmin()), realClock)((it) => {
    it.effect("inserts, and gives the row with what the database generated", () =>
      Effect.gen(function*() {
        yield* setUp
        const { findById, insert, insertVoid } = yield* files
        const first = yield* insert(file("a"))
        expect(first).toBeInstanceOf(File)
        expect(first).toMatchObject({ name: "a", note: Option.none() })
        yield* insertVoid(file("b"))
        const third = yield* insert(File.insert.make({ name: "c", note: Option.some("n") }))
        expect(third.id).toBe(first.id + 2)
        expect(yield* findById(third.id)).toEqual(Option.some(third))
        expect(yield* findById(third.id + 1)).toEqual(Option.none())
      }))

    it.effect("inserts a record that brings its id", () =>
      Effect.gen(function*() {
        yield* setUp
        const { findById, insert } = yield* labels
        const label = yield* insert(Label.insert.make({ code: "x", text: "one" }))
        expect(label).toEqual(new Label({ code: "x", text: "one" }))
        expect(yield* findById("x")).toEqual(Option.some(label))
      }))

    it.effect("updates, and says if there was nothing to update", () =>
      Effect.gen(function*() {
        yield* setUp
        const { findById, insert, update, updateVoid } = yield* files
        const made = yield* insert(file("a"))
        const changed = yield* update(File.update.make({ id: made.id, name: "b", note: Option.some("n") }))
        expect(changed).toEqual(Option.some(new File({ ...made, name: "b", note: Option.some("n") })))
        expect(yield* update(File.update.make({ id: made.id, name: "b", note: Option.some("n") })), "unchanged")
          .toEqual(changed)
        const missing = File.update.make({ id: made.id + 1, name: "c", note: Option.none() })
        expect(yield* update(missing)).toEqual(Option.none())
        yield* updateVoid(missing)
        yield* updateVoid(File.update.make({ id: made.id, name: "d", note: Option.none() }))
        expect(Option.map(yield* findById(made.id), ({ name }) => name)).toEqual(Option.some("d"))
      }))

    it.effect("deletes, also a row that is not there", () =>
      Effect.gen(function*() {
        yield* setUp
        const repository = yield* files
        const made = yield* repository.insert(file("a"))
        yield* repository.delete(made.id)
        yield* repository.delete(made.id)
        expect(yield* repository.findById(made.id)).toEqual(Option.none())
      }))

    it.effect("fails with a typed error that shows no value, for what the server refuses and for what a schema refuses", () =>
      Effect.gen(function*() {
        yield* setUp
        const { findById, insert, insertVoid } = yield* files
        yield* insert(file("a"))
        expect(yield* failure(insert(file("a")))).toMatchObject({
          reason: "UniqueViolation",
          constraint: "file_name",
          database: "MainDb"
        })
        expect(yield* failure(insertVoid(file("x".repeat(30))))).toMatchObject({ reason: "InvalidData" })
        const refused = yield* failure(insert({ name: "marker-1234 ".repeat(9), note: Option.none() } as never))
        expect(refused).toMatchObject({ reason: "InvalidParameter", retryable: false, database: "MainDb" })
        expect(refused.message).toContain("name")
        expect(JSON.stringify(refused) + refused.message).not.toContain("marker")
        expect(yield* failure(findById("marker" as never))).toMatchObject({ reason: "InvalidParameter" })
        const narrow = yield* Repository.make(
          MainDb,
          class extends Model.Class<any>("Narrow")({
            id: Model.Generated(Schema.Number),
            name: Schema.Literal("only this")
          }) {},
          { tableName: "files", idColumn: "id", spanPrefix: "Narrow" }
        )
        const id = yield* MainDb.use((sql) => sql<{ id: number }>`SELECT id FROM files`)
        const unfit = yield* failure(narrow.findById(id[0]!.id as never))
        expect(unfit).toMatchObject({
          reason: "InvalidData",
          detail: "a row of files does not fit its model in name",
          hint: "compare it with the schema of the model"
        })
      }))

    it.effect("insert leaves no row where it cannot read it back", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) =>
          sql`CREATE TABLE IF NOT EXISTS no_id (id VARCHAR(40) DEFAULT (UUID()) PRIMARY KEY, name VARCHAR(20))`
        )
        class NoId extends Model.Class<NoId>("NoId")({ id: Model.Generated(Schema.String), name: Schema.String }) {}
        const { insert, insertVoid } = yield* Repository.make(MainDb, NoId, {
          tableName: "no_id",
          idColumn: "id",
          spanPrefix: "NoId"
        })
        expect(yield* failure(insert(NoId.insert.make({ name: "a" })))).toMatchObject({ reason: "InvalidParameter" })
        expect(yield* MainDb.use((sql) => sql`SELECT * FROM no_id`)).toEqual([])
        yield* insertVoid(NoId.insert.make({ name: "a" }))
        expect(yield* MainDb.use((sql) => sql`SELECT name FROM no_id`)).toEqual([{ name: "a" }])
      }))

    it.effect("works in the open transaction of its own database only", () =>
      Effect.gen(function*() {
        yield* setUp
        const repository = yield* files
        const count = MainDb.use((sql) => sql<{ n: number }>`SELECT COUNT(*) AS n FROM files`).pipe(
          Effect.map(([row]) => Number(row!.n))
        )
        yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
          const { id } = yield* repository.insert(file("a"))
          expect(Option.isSome(yield* repository.findById(id))).toBe(true)
          expect(yield* count).toBe(1)
          // A refused insert undoes itself alone.
          expect((yield* failure(repository.insert(file("a")))).reason).toBe("UniqueViolation")
          yield* repository.insert(file("b"))
          yield* Effect.fail("undo")
        })))
        expect(yield* count).toBe(0)
        yield* Effect.ignore(
          GarminDb.withTransaction(Effect.zipRight(repository.insert(file("a")), Effect.fail("undo")))
        )
        expect(yield* count).toBe(1)
      }))

    it.effect("has typed channels", () =>
      Effect.gen(function*() {
        class Service extends Context.Tag("Service")<Service, string>() {}
        const repository = yield* files
        expectTypeOf(files).toEqualTypeOf<Effect.Effect<Repository.Repository<typeof File, "id">, never, MainDb>>()
        expectTypeOf(repository.insert).returns.toEqualTypeOf<Effect.Effect<File, DatabaseError>>()
        expectTypeOf(repository.update).returns.toEqualTypeOf<Effect.Effect<Option.Option<File>, DatabaseError>>()
        expectTypeOf(repository.findById).parameters.toEqualTypeOf<[number]>()
        expectTypeOf(repository.delete).returns.toEqualTypeOf<Effect.Effect<void, DatabaseError>>()
        class Needy extends Model.Class<Needy>("Needy")({
          id: Model.Generated(Schema.Number),
          name: Schema.transformOrFail(Schema.String, Schema.String, {
            decode: (text) => Effect.map(Service, (prefix) => prefix + text),
            encode: (text) => Effect.map(Service, (prefix) => text.slice(prefix.length))
          })
        }) {}
        const needy = Repository.make(MainDb, Needy, { tableName: "files", idColumn: "id", spanPrefix: "Needy" })
        expectTypeOf(needy).toEqualTypeOf<Effect.Effect<Repository.Repository<typeof Needy, "id">, never, MainDb>>()
        type Insert = ReturnType<Effect.Effect.Success<typeof needy>["insert"]>
        expectTypeOf<Insert>().toEqualTypeOf<Effect.Effect<Needy, DatabaseError, Service>>()
      }))
  })
})
