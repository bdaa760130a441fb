/** Upstream's Migrator, with each of its loaders. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as MysqlMigrator from "@effect/sql-mysql2/MysqlMigrator"
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import { onBoth, Subject } from "./subjects.ts"

const run = Migrator.make({})

const sql = (make: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.asVoid(Effect.flatMap(SqlClient.SqlClient, make))

const directory = fileURLToPath(new URL("migrations", import.meta.url))

onBoth("Migrator", (it) => {
  it.effect("fromRecord: DDL and DML, once, in order", () =>
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      const first = {
        "1_create": sql((sql) => sql`CREATE TABLE record_a (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)`),
        "2_fill": sql((sql) => sql`INSERT INTO record_a (n) VALUES (1), (2)`)
      }
      const loader = Migrator.fromRecord(first)
      expect(yield* run({ loader, table: "record_migrations" })).toEqual([[1, "create"], [2, "fill"]])
      expect(yield* run({ loader, table: "record_migrations" })).toEqual([])
      const more = Migrator.fromRecord({
        ...first,
        "10_alter": sql((sql) =>
          Effect.zipRight(
            sql`ALTER TABLE record_a ADD COLUMN twice INT`,
            sql`UPDATE record_a SET twice = 2 * n`
          )
        ),
        "3_index": sql((sql) => sql.withTransaction(sql`CREATE INDEX by_n ON record_a (n)`))
      })
      expect(yield* run({ loader: more, table: "record_migrations" })).toEqual([[3, "index"], [10, "alter"]])
      expect(yield* client`SELECT id, n, twice FROM record_a ORDER BY id`).toEqual([
        { id: 1, n: 1, twice: 2 },
        { id: 2, n: 2, twice: 4 }
      ])
      expect(yield* client`SELECT migration_id, name FROM record_migrations ORDER BY migration_id`).toEqual([
        { migration_id: 1, name: "create" },
        { migration_id: 2, name: "fill" },
        { migration_id: 3, name: "index" },
        { migration_id: 10, name: "alter" }
      ])
    }))

  it.effect("fromGlob", () =>
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      const loader = Migrator.fromGlob({
        "./migrations/0001_create_glob.ts": () =>
          Promise.resolve({ default: sql((sql) => sql`CREATE TABLE glob_a (id INT PRIMARY KEY)`) }),
        "./migrations/0002_fill_glob.js": () =>
          Promise.resolve({ default: { default: sql((sql) => sql`INSERT INTO glob_a VALUES (7)`) } })
      })
      expect(yield* run({ loader, table: "glob_migrations" })).toEqual([[1, "create_glob"], [2, "fill_glob"]])
      expect(yield* client`SELECT id FROM glob_a`).toEqual([{ id: 7 }])
    }))

  it.effect("MysqlMigrator.layer, fromFileSystem", () =>
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      const layer = MysqlMigrator.layer({
        loader: MysqlMigrator.fromFileSystem(directory),
        table: "file_migrations"
      }).pipe(Layer.provide(NodeContext.layer))
      yield* Effect.scoped(Layer.build(layer))
      yield* Effect.scoped(Layer.build(Layer.fresh(layer)))
      expect(yield* client`SELECT id, name FROM files_people ORDER BY id`).toEqual([
        { id: 1, name: "Ada" },
        { id: 2, name: "Grace" }
      ])
    }))

  it.effect("two processes at once run a migration once", () =>
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      const { another } = yield* Subject
      yield* client`CREATE TABLE once_a (n INT)`
      const loader = Migrator.fromRecord({ "1_once": sql((sql) => sql`INSERT INTO once_a VALUES (1)`) })
      const migrate = run({ loader, table: "once_migrations" })
      const results = yield* Effect.all([migrate, Effect.provide(migrate, another)], { concurrency: 2 })
      expect(results.filter((ran) => ran.length === 1)).toHaveLength(1)
      expect(yield* client`SELECT n FROM once_a`).toEqual([{ n: 1 }])
    }))

  it.effect("what fails is a defect with the failure as its cause, and duplicates are refused", () =>
    Effect.gen(function*() {
      const failing = run({
        loader: Migrator.fromRecord({ "1_fails": Effect.fail("refused by the migration") }),
        table: "failing_migrations"
      })
      const defect = yield* Effect.flip(Effect.catchAllDefect(failing, Effect.fail))
      expect(defect).toMatchObject({ _tag: "MigrationError", reason: "failed", cause: "refused by the migration" })
      const twice = run({
        loader: Effect.succeed([[1, "a", Effect.succeed(Effect.void)], [1, "b", Effect.succeed(Effect.void)]]),
        table: "failing_migrations"
      })
      expect(yield* Effect.flip(twice)).toMatchObject({ _tag: "MigrationError", reason: "duplicates" })
    }))
})
