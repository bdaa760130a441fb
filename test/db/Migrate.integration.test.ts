/** `MainDb.migrate`. What upstream's Migrator does with the same loaders is in test/ecosystem. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Migrator from "@effect/sql/Migrator"
import * as FileSystem from "@effect/sql/Migrator/FileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { MainDb } from "../../src/db/Database.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { reasonOf } from "../support/db/errors.ts"
import { layerOf, onStage, type Options, type Stage, withDatabase } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"

/** One connection at most: a migration that needed a second one would time out. */
const one: Options = { poolSize: 1, maxOverflow: 0, poolTimeout: "2 seconds" }

const test = (name: string, body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb>, options = one): void =>
  it.live(name, () => Effect.flatMap(server, (at) => withDatabase(at, options, body)))

const sql = (work: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.asVoid(Effect.flatMap(SqlClient.SqlClient, work))

const create = (table: string) => sql((sql) => sql`CREATE TABLE ${sql(table)} (id INT PRIMARY KEY)`)
const insert = (table: string, id: number) => sql((sql) => sql`INSERT INTO ${sql(table)} VALUES (${id})`)
const record = (migrations: Record<string, Effect.Effect<void, unknown, SqlClient.SqlClient>>) =>
  Migrator.fromRecord(migrations)

const applied = (table = "effect_sql_migrations") =>
  Effect.map(
    MainDb.use((sql) =>
      sql<{ id: number; name: string }>`SELECT migration_id AS id, name FROM ${sql(table)} ORDER BY 1`
    ),
    (rows) => rows.map(({ id, name }) => `${id}_${name}`)
  )
const idsIn = (table: string) =>
  Effect.map(
    MainDb.use((sql) => sql<{ id: number }>`SELECT id FROM ${sql(table)} ORDER BY 1`),
    (rows) => rows.map(({ id }) => id)
  )

const migrationError = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    expect(error).toBeInstanceOf(Migrator.MigrationError)
    return error as unknown as Migrator.MigrationError
  })

describe("migrate", () => {
  test("runs what is not recorded, in the order of the ids, and once", () =>
    Effect.gen(function*() {
      const two = { "10_ten": insert("a", 10), "2_two": create("a") }
      expect(yield* MainDb.migrate(record(two))).toEqual([[2, "two"], [10, "ten"]])
      expect(yield* MainDb.migrate(record(two))).toEqual([])
      expect(yield* MainDb.migrate(record({ ...two, "11_more": insert("a", 11) }))).toEqual([[11, "more"]])
      expect(yield* applied()).toEqual(["2_two", "10_ten", "11_more"])
      expect(yield* idsIn("a")).toEqual([10, 11])
      expect((yield* MainDb.stats).active).toBe(0)
      // The lock is gone with the session's state, and no transaction is open.
      const [row] = yield* MainDb.use((sql) =>
        sql`SELECT (SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()) AS open,
          RELEASE_ALL_LOCKS() AS locks`
      )
      expect([Number(row!["open"]), Number(row!["locks"])]).toEqual([0, 0])
    }))

  test("takes every loader of upstream, and a table of the caller's choice", () =>
    Effect.gen(function*() {
      const glob = Migrator.fromGlob({
        "x/0001_a.ts": () => Promise.resolve({ default: create("a") }),
        "x/0002_b.js": () => Promise.resolve({ default: { default: insert("a", 1) } })
      })
      expect(yield* MainDb.migrate(glob, { table: "my_migrations" })).toEqual([[1, "a"], [2, "b"]])
      expect(yield* applied("my_migrations")).toEqual(["1_a", "2_b"])
      const files = FileSystem.fromFileSystem(fileURLToPath(new URL("../ecosystem/migrations", import.meta.url)))
      const fromFiles = MainDb.migrate(files, { table: "file_migrations" })
      expect(yield* Effect.provide(fromFiles, NodeFileSystem.layer)).toEqual([[1, "create_people"], [2, "add_people"]])
      const babel = Migrator.fromBabelGlob({ _0003_c: insert("a", 3) })
      expect(yield* MainDb.migrate(babel)).toEqual([[3, "c"]])
    }))

  test("and upstream's Migrator go on with each other's table", ({ url }) =>
    Effect.gen(function*() {
      const first = { "1_one": create("a") }
      const second = { ...first, "2_two": insert("a", 2) }
      const third = { ...second, "3_three": insert("a", 3) }
      const upstream = Layer.orDie(MysqlClient.layer({ url: Redacted.make(url) }))
      const run = Migrator.make({})
      yield* MainDb.migrate(record(first))
      expect(yield* Effect.provide(run({ loader: record(second) }), upstream)).toEqual([[2, "two"]])
      expect(yield* MainDb.migrate(record(third))).toEqual([[3, "three"]])
      expect(yield* Effect.provide(run({ loader: record(third) }), MainDb.toSqlClient)).toEqual([])
    }))

  test("a migration that fails is not recorded, what is before it is, and it can run again", () =>
    Effect.gen(function*() {
      let wrong = true
      const migrations = record({
        "1_create": create("a"),
        "2_rows": insert("a", 2),
        "3_fails": Effect.zipRight(insert("a", 3), Effect.suspend(() => wrong ? Effect.fail("refused") : Effect.void)),
        "4_never": insert("a", 4)
      })
      const error = yield* migrationError(MainDb.migrate(migrations))
      expect(error).toMatchObject({ reason: "failed", cause: "refused" })
      expect(error.message).toContain("\"3_fails\"")
      expect(error.message).toContain("It has been rolled back")
      expect(yield* applied()).toEqual(["1_create", "2_rows"])
      expect(yield* idsIn("a")).toEqual([2])
      wrong = false
      expect(yield* MainDb.migrate(migrations)).toEqual([[3, "fails"], [4, "never"]])
      expect(yield* idsIn("a")).toEqual([2, 3, 4])
    }))

  test("says what stays of a migration that fails after DDL", () =>
    Effect.gen(function*() {
      const SECRET = "Mrk7x9Q"
      const error = yield* migrationError(MainDb.migrate(record({
        "1_create": create("a"),
        "2_fails": sql((sql) =>
          Effect.gen(function*() {
            yield* sql`INSERT INTO a VALUES (1)`
            yield* sql`ALTER TABLE a ADD COLUMN name VARCHAR(20) UNIQUE`
            yield* sql`INSERT INTO a VALUES (2, ${SECRET})`
            yield* sql`INSERT INTO a VALUES (3, ${SECRET})`
          })
        )
      })))
      expect(error.message).toContain("ALTER TABLE a ADD COLUMN name VARCHAR(20) UNIQUE and what ran before it stays")
      expect(error.cause).toBeInstanceOf(DatabaseError)
      expect(error.cause).toMatchObject({ reason: "UniqueViolation", constraint: "name" })
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(SECRET)
      expect(yield* idsIn("a")).toEqual([1])
      expect(yield* applied()).toEqual(["1_create"])

      const failedDdl = yield* migrationError(MainDb.migrate(record({
        "1_create": create("a"),
        "3_fails": sql((sql) =>
          Effect.zipRight(sql`INSERT INTO a (id) VALUES (9)`, sql`ALTER TABLE a ADD COLUMN name INT`)
        )
      })))
      expect(failedDdl.message).toContain("whatever ran before ALTER TABLE a ADD COLUMN name INT stays")
      expect(yield* idsIn("a")).toEqual([1, 9])
    }))

  test("a defect of a migration is a failure of it, and an interruption rolls it back", () =>
    Effect.gen(function*() {
      const dies = yield* migrationError(MainDb.migrate(record({ "1_dies": Effect.die(new Error("bug")) })))
      expect(dies).toMatchObject({ reason: "failed", cause: { message: "bug" } })
      const entered = yield* Deferred.make<void>()
      yield* MainDb.migrate(record({ "1_create": create("a") }))
      const fiber = yield* Effect.fork(MainDb.migrate(record({
        "1_create": create("a"),
        "2_slow": Effect.zipRight(
          insert("a", 2),
          Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never)
        )
      })))
      yield* Deferred.await(entered)
      yield* Fiber.interrupt(fiber)
      expect(yield* idsIn("a")).toEqual([])
      expect(yield* applied()).toEqual(["1_create"])
    }))

  test("loads every migration before it runs the first", () =>
    Effect.gen(function*() {
      const loader = Migrator.fromGlob({
        "1_create.ts": () => Promise.resolve({ default: create("a") }),
        "2_broken.ts": () => Promise.reject(new Error("no such module"))
      })
      const error = yield* migrationError(MainDb.migrate(loader))
      expect(error).toMatchObject({ reason: "import-error", cause: { message: "no such module" } })
      expect(error.message).toContain("2_broken")
      expect(yield* applied()).toEqual([])
      const noEffect = Migrator.fromGlob({ "1_no.ts": () => Promise.resolve({ default: 1 }) })
      expect(yield* migrationError(MainDb.migrate(noEffect))).toMatchObject({ reason: "import-error" })
    }))

  test("refuses ids that are there twice, and what does not fit what is recorded", () =>
    Effect.gen(function*() {
      const all = (...labels: ReadonlyArray<readonly [number, string]>): Migrator.Loader =>
        Effect.succeed(labels.map(([id, name]) => [id, name, Effect.succeed(Effect.void)] as const))
      expect(yield* migrationError(MainDb.migrate(all([1, "a"], [1, "b"])))).toMatchObject({ reason: "duplicates" })
      for (const id of [0, -1, 1.5, 2 ** 32]) {
        expect(yield* migrationError(MainDb.migrate(all([id, "a"])))).toMatchObject({ reason: "bad-state" })
      }
      yield* MainDb.migrate(all([2, "a"], [4, "b"]))
      const renamed = yield* migrationError(MainDb.migrate(all([2, "other"], [4, "b"])))
      expect(renamed).toMatchObject({ reason: "bad-state", message: expect.stringContaining("\"2_a\"") })
      const late = yield* migrationError(MainDb.migrate(all([2, "a"], [3, "late"], [4, "b"])))
      expect(late).toMatchObject({ reason: "bad-state", message: expect.stringContaining("\"3_late\"") })
      // Older code, after a newer one has migrated.
      expect(yield* MainDb.migrate(all([2, "a"]))).toEqual([])
      expect(yield* applied()).toEqual(["2_a", "4_b"])
    }))

  test("is refused in a transaction of its database", () =>
    Effect.gen(function*() {
      const migrate = MainDb.migrate(record({ "1_create": create("a") }))
      expect(yield* reasonOf(MainDb.withTransaction(migrate))).toBe("ImplicitCommit")
    }))

  test("does not count the limit for statements, which holds for requests", () =>
    Effect.gen(function*() {
      // 1, or an error, if it was stopped.
      let stopped: unknown
      const slow = sql((sql) =>
        Effect.tap(sql<{ stopped: number }>`SELECT SLEEP(0.6) AS stopped`, ([row]) =>
          Effect.sync(() => {
            stopped = row!.stopped
          }))
      )
      yield* MainDb.migrate(record({ "1_slow": slow }))
      expect(stopped).toBe(0)
    }), { ...one, statementTimeout: "300 millis" })

  const loaderFailure = new Migrator.MigrationError({ reason: "failed", message: "no directory" } as never)
  test("fails as its loader fails", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(MainDb.migrate(Effect.fail(loaderFailure)))).toBe(loaderFailure)
    }))
})

describe("migrate, at the same time in several processes", () => {
  // With snapshots that last as long as the transaction: what others have recorded must be seen all the same.
  const process = (stage: Stage) => Layer.fresh(layerOf(stage.url, { ...one, isolationLevel: "REPEATABLE READ" }))

  it.live("runs each migration once, and all wait until they are done", () =>
    Effect.flatMap(server, (at) =>
      onStage(at, (stage) =>
        Effect.gen(function*() {
          let runs = 0
          const slow = (id: number) =>
            Effect.zipRight(
              Effect.sync(() => runs++),
              sql((sql) => Effect.zipRight(sql`SELECT SLEEP(0.1)`, sql`INSERT INTO a VALUES (${id})`))
            )
          const migrations = record({ "1_create": create("a"), "2_b": slow(2), "3_c": slow(3), "4_d": slow(4) })
          const results = yield* Effect.forEach(
            [1, 2, 3, 4],
            () => Effect.provide(Effect.zip(MainDb.migrate(migrations), idsIn("a")), process(stage)),
            { concurrency: "unbounded" }
          )
          expect(results.map(([, ids]) => ids)).toEqual(Array(4).fill([2, 3, 4]))
          expect(results.flatMap(([migrated]) => migrated.map(([id]) => id)).sort()).toEqual([1, 2, 3, 4])
          expect(runs).toBe(3)
        }))))

  it.live("gives up when another one takes too long, and goes on when that one dies", () =>
    Effect.flatMap(server, (at) =>
      onStage(at, (stage) =>
        Effect.gen(function*() {
          const entered = yield* Deferred.make<number>()
          const holder = record({
            "1_create": create("a"),
            "2_slow": sql((sql) =>
              Effect.gen(function*() {
                yield* sql`INSERT INTO a VALUES (1)`
                const [row] = yield* sql<{ id: number }>`SELECT CONNECTION_ID() AS id`
                yield* Deferred.succeed(entered, row!.id)
                yield* sql`SELECT SLEEP(20)`
                yield* sql`INSERT INTO a VALUES (1)`
              })
            )
          })
          const first = yield* Effect.fork(Effect.flip(Effect.provide(MainDb.migrate(holder), process(stage))))
          const id = yield* Deferred.await(entered)
          const quick = record({ "1_create": create("a"), "2_slow": insert("a", 2) })
          const tooLong = MainDb.migrate(quick, { lockTimeout: "500 millis" })
          const locked = yield* migrationError(Effect.provide(tooLong, process(stage)))
          expect(locked).toMatchObject({ reason: "locked", message: expect.stringContaining("500ms") })

          const second = yield* Effect.fork(
            Effect.provide(Effect.zip(MainDb.migrate(quick), idsIn("a")), process(stage))
          )
          yield* Effect.sleep("300 millis")
          expect(second.unsafePoll()).toBeNull()
          yield* stage.admin(`KILL ${id}`)
          expect(yield* Fiber.join(second)).toEqual([[[2, "slow"]], [2]])
          const lost = yield* Fiber.join(first)
          expect(lost).toBeInstanceOf(Migrator.MigrationError)
          expect(lost).toMatchObject({ reason: "failed", cause: { reason: "ConnectionLost" } })
        }))))
})
