/** Four MySQL databases: what is committed stays, what is rolled back is gone, and they never mix. */
import { BloodDb, GarminDb, MainDb, type Repository, UfcDb } from "@betterai/infrastructure"
import { Data, Effect, Either } from "effect"
import type { StoredFile } from "../files.ts"
import { row, verify } from "../report.ts"
import type { Step } from "../step.ts"

class ChangedMind extends Data.TaggedError("ChangedMind") {}

export const recordFiles: Step = {
  heading: "The main database records them",
  run: (files) => Effect.zipRight(record(files), Effect.forEach(files.slice(0, 1), rollBack, { discard: true }))
}

/** Files are recorded in one transaction: all of them or none. */
const record = Effect.fn("demo.record")(function*(files: ReadonlyArray<StoredFile>) {
  // CREATE TABLE makes MySQL commit, so it is refused inside a transaction.
  yield* MainDb.use((sql) =>
    sql`CREATE TABLE IF NOT EXISTS demo_files (
      id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
      storage_key VARCHAR(255) NOT NULL,
      name VARCHAR(255) NOT NULL,
      bytes BIGINT NOT NULL,
      UNIQUE KEY demo_files_storage_key (storage_key)
    )`
  )

  yield* row(
    "record the files",
    MainDb.withTransaction(Effect.gen(function*() {
      yield* Effect.forEach(files, insert)
      return yield* recorded(files)
    })),
    (count) => ({ result: `${count} committed in Main` })
  )
})

/** A row is inserted, then the transaction fails. */
const rollBack = Effect.fn("demo.rollBack")(function*(file: StoredFile) {
  const changed = { ...file, stored: { ...file.stored, key: `${file.stored.key}.changed` } }
  yield* row(
    "roll back",
    Effect.gen(function*() {
      const outcome = yield* Effect.either(MainDb.withTransaction(Effect.gen(function*() {
        yield* insert(changed)
        yield* verify((yield* recorded([changed])) === 1, "the transaction does not see its own row")
        return yield* new ChangedMind()
      })))
      yield* verify(Either.isLeft(outcome) && outcome.left._tag === "ChangedMind", "the failure was lost")
      yield* verify((yield* recorded([changed])) === 0, "a row that was rolled back is still there")
    }),
    () => ({ result: "1 row inserted, then a failure: it is not there" })
  )
})

export const insert = ({ bytes, name, stored }: StoredFile) =>
  MainDb.use((sql) => sql`INSERT INTO demo_files ${sql.insert({ storage_key: stored.key, name, bytes })}`)

const recorded = (files: ReadonlyArray<StoredFile>) =>
  MainDb.use((sql) =>
    Effect.map(
      sql`SELECT storage_key FROM demo_files WHERE ${sql.in("storage_key", files.map(({ stored }) => stored.key))}`,
      (rows) => rows.length
    )
  )

/** Transactions of different databases, nested: each commits or rolls back by its own result. */
export const fourDatabases: Step = {
  heading: "Databases never mix, however transactions are nested",
  run: Effect.fn("demo.fourDatabases")(function*() {
    const main = yield* notesOf(MainDb)
    const garmin = yield* notesOf(GarminDb)
    const blood = yield* notesOf(BloodDb)
    const ufc = yield* notesOf(UfcDb)

    yield* row(
      "all inside each other",
      MainDb.withTransaction(
        GarminDb.withTransaction(
          BloodDb.withTransaction(
            UfcDb.withTransaction(
              Effect.all([main.name, garmin.name, blood.name, ufc.name])
            )
          )
        )
      ).pipe(
        Effect.tap((names) => verify(new Set(names).size === 4, `the databases were mixed up: ${names.join(", ")}`))
      ),
      (names) => ({ result: `${names.join(", ")} answer, each for itself` })
    )

    yield* row(
      "Garmin inside Main",
      Effect.gen(function*() {
        yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
          yield* main.add
          yield* GarminDb.withTransaction(garmin.add)
          return yield* new ChangedMind()
        })))
        yield* verify((yield* main.count) === 0, "Main kept a row that was rolled back")
        yield* verify((yield* garmin.count) === 1, "Garmin lost the row that it committed")
      }),
      () => ({ result: "Garmin committed, then Main rolled back: 1 row and 0" })
    )

    yield* row(
      "Ufc inside Blood",
      Effect.gen(function*() {
        yield* BloodDb.withTransaction(Effect.gen(function*() {
          yield* blood.add
          yield* Effect.ignore(UfcDb.withTransaction(Effect.zipRight(ufc.add, new ChangedMind())))
        }))
        yield* verify((yield* blood.count) === 1, "Blood lost the row that it committed")
        yield* verify((yield* ufc.count) === 0, "Ufc kept a row that was rolled back")
      }),
      () => ({ result: "Ufc rolled back, then Blood committed: 0 rows and 1" })
    )
  })
}

/** A table of notes in that database, and the notes of this run in it. */
const notesOf = Effect.fnUntraced(function*<Self>(db: Repository.Database<Self>) {
  const run = crypto.randomUUID()
  yield* db.use((sql) => sql`CREATE TABLE IF NOT EXISTS demo_notes (run CHAR(36) NOT NULL, note VARCHAR(100) NOT NULL)`)
  return {
    name: db.use((sql) => Effect.map(sql<{ name: string }>`SELECT DATABASE() AS name`, ([first]) => first?.name)),
    add: db.use((sql) => sql`INSERT INTO demo_notes ${sql.insert({ run, note: "written by the demo" })}`),
    count: db.use((sql) => Effect.map(sql`SELECT note FROM demo_notes WHERE run = ${run}`, (rows) => rows.length))
  }
})
