/** Databases of a worker's own, on the server of the run. */
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GarminDb, MainDb } from "../../src/db/Database.ts"
import { Testing } from "../../src/testing/index.ts"
import { byServer } from "../support/db/dialect.ts"
import { admin, urlOf } from "../support/db/testServer.ts"

/** Runs an effect on these databases, on the server of the run. */
const on =
  <D extends ReadonlyArray<Testing.TestDatabase<any, any, any>>>(...databases: D) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    Effect.flatMap(urlOf("mysql"), (url) =>
      test.pipe(
        Effect.provide(Testing.databases(...databases)),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["LOCAL_MYSQL_URL", url], ["VITEST_POOL_ID", "3"]])))
      )) as Effect.Effect<A, any, never>

const current = Effect.map(MainDb.use((sql) => sql<{ name: string }>`SELECT DATABASE() AS name`), ([row]) => row!.name)

const exists = (name: string) =>
  Effect.map(admin(`SHOW DATABASES LIKE '${name.replaceAll("_", "\\_")}'`), (rows) => rows.length === 1)

/** A file of that text, gone with the scope. */
const file = (text: string | Uint8Array) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "infrastructure-testing-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const path = join(folder, "tables.sql")
      writeFileSync(path, text)
      return path
    }
  )

const schema = `
CREATE TABLE files (
  id INT AUTO_INCREMENT PRIMARY KEY,
  owner INT NOT NULL,
  name VARCHAR(20) NOT NULL,
  upper_name VARCHAR(20) AS (UPPER(name)) STORED,
  CONSTRAINT of_owner FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=100;
CREATE TABLE owners (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL);
CREATE TABLE log (what VARCHAR(60) NOT NULL);
CREATE VIEW b_files AS SELECT owners.name AS owner, files.name FROM files JOIN owners ON owners.id = files.owner;
CREATE VIEW a_names AS SELECT name FROM b_files;
DELIMITER //
CREATE TRIGGER logged AFTER INSERT ON files FOR EACH ROW BEGIN
  INSERT INTO log VALUES (CONCAT('new; ', NEW.name));
END//
DELIMITER ;
INSERT INTO owners (id, name) VALUES (1, 'Ada'), (2, 'Grace');
`

const seeds = { files: [{ owner: 1, name: "one" }, { owner: 2, name: "two" }] }

const everything = Effect.all({
  files: MainDb.use((sql) => sql`SELECT id, owner, name, upper_name FROM files ORDER BY id`),
  owners: MainDb.use((sql) => sql`SELECT id, name FROM owners ORDER BY id`),
  log: MainDb.use((sql) => sql`SELECT what FROM log ORDER BY what`)
})

describe("databases", () => {
  it.scoped("have tables, keys, views, triggers and rows, and are gone with their layer", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(yield* file(schema))
      const name = yield* Effect.gen(function*() {
        expect(yield* everything).toMatchObject({
          files: [{ id: 100, upper_name: "ONE" }, { id: 101, upper_name: "TWO" }],
          log: [{ what: "new; one" }, { what: "new; two" }]
        })
        const orphan = yield* Effect.flip(MainDb.use((sql) => sql`INSERT INTO files (owner, name) VALUES (9, 'x')`))
        expect(orphan).toMatchObject({ reason: "ForeignKeyViolation", constraint: "of_owner" })
        // The other database is another one, and empty.
        expect(yield* GarminDb.use((sql) => sql`SHOW TABLES`)).toEqual([])
        const name = yield* current
        expect(yield* exists(name)).toBe(true)
        return name
      }).pipe(on(Testing.database(MainDb, { tables, seeds }), Testing.database(GarminDb)))
      expect(name).toMatch(/^betterai_test_maindb_3_[0-9a-f]{8}_[0-9a-f]{12}$/)
      expect(yield* exists(name)).toBe(false)
      expect(yield* exists(`${name}_rows`)).toBe(false)
    }))

  it.scoped("are copies of an existing one, whose rows stay where they are", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(yield* file(schema))
      yield* Effect.gen(function*() {
        const original = yield* current
        const url = yield* urlOf(original)
        for (const from of [original, Config.succeed(Redacted.make(url))]) {
          const seen = yield* Effect.gen(function*() {
            expect(yield* everything).toEqual({ files: [], owners: [], log: [] })
            yield* MainDb.use((sql) => sql`INSERT INTO owners (name) VALUES ('Joan')`)
            yield* MainDb.use((sql) => sql`INSERT INTO files (owner, name) VALUES (1, 'three')`)
            expect(yield* MainDb.use((sql) => sql`SELECT name FROM a_names`)).toEqual([{ name: "three" }])
            return yield* everything
          }).pipe(on(Testing.database(MainDb, { tables: Testing.copyOf(from) })))
          // AUTO_INCREMENT begins anew.
          expect(seen).toMatchObject({ files: [{ id: 1 }], owners: [{ id: 1 }], log: [{ what: "new; three" }] })
        }
        expect((yield* everything).files).toHaveLength(2)
      }).pipe(on(Testing.database(MainDb, { tables, seeds })))
    }))

  it.scoped("by migrations are made once for their content", () =>
    Effect.gen(function*() {
      const path = yield* file(randomBytes(8).toString("hex"))
      let runs = 0
      const loader = Migrator.fromRecord({
        "1_tables": Effect.gen(function*() {
          runs++
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE kinds (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20)) AUTO_INCREMENT = 7`
          yield* sql`INSERT INTO kinds (name) VALUES ('a'), ('b')`
        })
      })
      const kinds = MainDb.use((sql) => sql`SELECT id, name FROM kinds`)
      const shared = on(Testing.database(MainDb, { tables: Testing.migrations(loader, { files: path }) }))
      const found = yield* Effect.all(
        [shared(kinds), shared(Effect.zipRight(MainDb.use((sql) => sql`DELETE FROM kinds`), kinds)), shared(kinds)],
        { concurrency: 2 }
      )
      expect(found).toEqual([[{ id: 7, name: "a" }, { id: 8, name: "b" }], [], found[0]])
      expect(runs).toBe(1)
      // They are recorded, so nothing is left to migrate.
      expect(yield* shared(MainDb.migrate(loader))).toEqual([])
      writeFileSync(path, "changed")
      yield* shared(kinds)
      expect(runs).toBe(2)
      yield* on(Testing.database(MainDb, { tables: Testing.migrations(loader) }))(kinds)
      expect(runs).toBe(3)
    }))

  it.scoped("a migration that fails is told, and leaves no template", () =>
    Effect.gen(function*() {
      const path = yield* file(randomBytes(8).toString("hex"))
      let broken = true
      const loader = Migrator.fromRecord({
        "1_tables": Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE one (id INT)`
          if (broken) yield* sql`CREATE TABLE two (id NONSENSE)`
        })
      })
      const shared = on(Testing.database(MainDb, { tables: Testing.migrations(loader, { files: path }) }))
      expect(yield* Effect.flip(shared(current))).toMatchObject({ _tag: "MigrationError", reason: "failed" })
      broken = false
      expect(yield* shared(MainDb.use((sql) => sql`SELECT * FROM one`))).toEqual([])
    }))

  it.scoped("what cannot be used is told with its place", () =>
    Effect.gen(function*() {
      const message = (options: Testing.DatabaseOptions<MainDb, never, never>) =>
        Effect.map(Effect.flip(on(Testing.database(MainDb, options))(current)), (error: Error) => error.message)
      const tables = Testing.sqlFile(yield* file(schema))
      const broken = yield* file("CREATE TABLE a (id INT);\n\nCREATE TABEL b (id INT);")
      expect(yield* message({ tables: Testing.sqlFile(broken) })).toMatch(
        /tables\.sql, line 3: the server does not understand the statement/
      )
      expect(yield* message({ tables: Testing.sqlFile(yield* file("USE main;")) })).toContain("leaves the database")
      const latin1 = yield* file(Buffer.from("CREATE TABLE t (a INT COMMENT 'é')", "latin1"))
      expect(yield* message({ tables: Testing.sqlFile(latin1) })).toContain("is not UTF-8")
      expect(yield* message({ tables: Testing.sqlFile("no/such.sql") })).toContain("no/such.sql: cannot be read")
      expect(yield* message({ tables: Testing.copyOf("no_such") })).toContain("no_such")
      expect(
        yield* message({
          tables,
          seeds: {
            owners: [{ name: "x" }, { nmae: "y" }],
            file: [],
            files: [{ owner: null, name: "x", upper_name: "X" }]
          }
        })
      ).toBe(
        "MainDb is not configured correctly (InvalidSettings):"
          + " seeds of owners[1].nmae: there is no column of that name; its columns are id, name;"
          + " seeds of owners[1].name: is missing and has no default;"
          + " seeds of file: there is no table of that name; its tables are a_names, b_files, files, log, owners;"
          + " seeds of files[0].owner: must not be null;"
          + " seeds of files[0].upper_name: the column is generated; leave it out"
      )
      expect(yield* message({ tables, seeds: { files: [{ owner: 1, name: "x" }, { owner: 9, name: "secret" }] } }))
        .toMatch(/seeds of files\[1\]: is refused \(ForeignKeyViolation\): (?!.*secret)/)
      expect(yield* message({ tables, seeds: { files: [{ owner: 1, name: "x".repeat(21) }] } }))
        .toMatch(/seeds of files\[0\]: is refused \(InvalidData\): .*name/)
    }))

  it.scoped("what was written without types is told with its place", () =>
    Effect.gen(function*() {
      const message = (options: object) =>
        Effect.map(Effect.flip(on(Testing.database(MainDb, options))(current)), (error: Error) => error.message)
      const tables = Testing.sqlFile(yield* file("CREATE TABLE t (a INT)"))
      expect(yield* message({ tables, seeds: { t: { a: 1 } } })).toContain("seeds of t: must be a list of rows")
      expect(yield* message({ tables, seeds: { t: [3, null] } })).toMatch(
        /t\[0\]: must be a row.*t\[1\]: must be a row/
      )
      expect(yield* message({ tables, seeds: 5 })).toContain("seeds: must be lists of rows by table")
      for (const source of ["tables.sql", null]) {
        expect(yield* message({ tables: source })).toContain("tables[0]: is not where tables can come from")
      }
      const elsewhere = Testing.sqlFile(new URL("http://127.0.0.1/tables.sql"))
      expect(yield* message({ tables: elsewhere })).toContain("tables.sql: cannot be read")
    }))

  it.scoped("a file that ends in a transaction is refused, since its rows would be lost", () =>
    Effect.gen(function*() {
      const rows = (end: string, begin: string) =>
        Effect.flatMap(file(`CREATE TABLE t (a INT);\n${begin};\nINSERT INTO t VALUES (1);${end}`), (path) =>
          MainDb.use((sql) =>
            sql`SELECT a FROM t`
          ).pipe(
            on(Testing.database(MainDb, { tables: Testing.sqlFile(path) })),
            Effect.mapError((error: Error) => error.message)
          ))
      for (const begin of ["START TRANSACTION", "SET autocommit = 0"]) {
        expect(yield* Effect.flip(rows("", begin))).toMatch(
          /tables\.sql, line 3: the file ends in a transaction.*COMMIT/
        )
        expect(yield* rows("\nCOMMIT;", begin)).toEqual([{ a: 1 }])
      }
      expect(yield* rows("\nUNLOCK TABLES;", "LOCK TABLES t WRITE")).toEqual([{ a: 1 }])
    }))
})

describe("what killed runs have left", () => {
  it.scoped("is dropped, however many templates are in use", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 11 }, () => `betterai_template_${randomBytes(20).toString("hex")}`)
      const left = `betterai_test_maindb_1_00000001_${randomBytes(6).toString("hex")}`
      const make = (name: string) =>
        Effect.acquireRelease(admin(`CREATE DATABASE ${name}`), () => admin(`DROP DATABASE IF EXISTS ${name}`))
      yield* Effect.forEach(names, (name) =>
        Effect.zipRight(
          make(name),
          admin(`CREATE TABLE ${name}.betterai_template_complete AS SELECT UNIX_TIMESTAMP() AS used_at`)
        ))
      yield* make(left)
      yield* on(Testing.database(MainDb))(current)
      expect(yield* exists(left)).toBe(false)
      expect(yield* exists(names[0]!)).toBe(true)
    }))
})

describe("copyOf", () => {
  it.scoped("keeps the sql_mode of routines, and defaults that the server would not take any more", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(
        yield* file(`
          SET sql_mode = 'PIPES_AS_CONCAT';
          CREATE TABLE old (d DATE NOT NULL DEFAULT '0000-00-00');
          CREATE FUNCTION joined() RETURNS VARCHAR(9) DETERMINISTIC RETURN 'a' || 'b';`)
      )
      yield* Effect.gen(function*() {
        const original = yield* current
        const joined = MainDb.use((sql) => sql`SELECT joined() AS j, (SELECT COUNT(*) FROM old) AS n`)
        expect(yield* on(Testing.database(MainDb, { tables: Testing.copyOf(original) }))(joined))
          .toEqual([{ j: "ab", n: 0 }])
      }).pipe(on(Testing.database(MainDb, { tables })))
    }))

  it.scoped("keeps the collation of the database, which parameters of routines have", () =>
    Effect.gen(function*() {
      const seeds = Effect.gen(function*() {
        const statements = [
          `ALTER DATABASE ${yield* current} COLLATE utf8mb4_spanish_ci`,
          "CREATE TABLE t (name VARCHAR(9))",
          "CREATE FUNCTION count_of(n VARCHAR(9)) RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM t WHERE name = n)"
        ]
        // On one connection: another one might still have the collation of before.
        yield* MainDb.use((sql) =>
          Effect.scoped(Effect.flatMap(sql.reserve, ({ executeUnprepared }) =>
            Effect.forEach(statements, (statement) =>
              executeUnprepared(statement, [], undefined))))
        )
      })
      yield* Effect.gen(function*() {
        const original = yield* current
        const found = MainDb.use((sql) =>
          sql`SELECT count_of('x') AS n`
        )
        expect(yield* on(Testing.database(MainDb, { tables: Testing.copyOf(original) }))(found)).toEqual([{ n: 0 }])
      }).pipe(on(Testing.database(MainDb, { seeds })))
    }))
})

describe("restore", () => {
  it.scoped("brings back rows, also those that cascades and triggers have touched, and where counting goes on", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(yield* file(schema))
      yield* Effect.gen(function*() {
        const before = yield* everything
        expect(yield* Testing.restore(MainDb)).toEqual([])
        for (
          const statement of [
            "DELETE FROM owners WHERE id = 1",
            "INSERT INTO files (owner, name) VALUES (2, 'x')",
            "CREATE TABLE more (id INT)"
          ]
        ) yield* MainDb.use((sql) => sql.unsafe(statement))
        expect((yield* everything).files).toMatchObject([{ id: 101 }, { id: 102 }])
        expect(yield* Testing.restore(MainDb)).toEqual(["files", "log", "more", "owners"])
        expect(yield* everything).toEqual(before)
        yield* MainDb.use((sql) => sql`UPDATE owners SET name = 'ADA' WHERE id = 1`)
        expect(yield* Testing.restore(MainDb)).toEqual(["owners"])
        // A row that came and went has moved the counter only.
        yield* MainDb.use((sql) => sql`INSERT INTO owners (name) VALUES ('x')`)
        yield* MainDb.use((sql) => sql`DELETE FROM owners WHERE name = 'x'`)
        yield* Testing.restore(MainDb)
        yield* MainDb.use((sql) => sql`INSERT INTO owners (name) VALUES ('next')`)
        expect((yield* everything).owners[2]).toEqual({ id: 3, name: "next" })
        // The trigger is there again.
        yield* MainDb.use((sql) => sql`INSERT INTO files (owner, name) VALUES (2, 'x')`)
        expect((yield* everything).log).toHaveLength(3)
      }).pipe(on(Testing.database(MainDb, { tables, seeds })))
    }))

  it.scoped("keeps rows as they are stored: with the id 0, with a zero date", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(
        yield* file(`
          SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
          CREATE TABLE old (id INT AUTO_INCREMENT PRIMARY KEY, d DATE NOT NULL DEFAULT '0000-00-00');
          INSERT INTO old (id) VALUES (0);
          ${byServer({ MariaDB: "CREATE SEQUENCE numbers;", MySQL: "" })}`)
      )
      yield* Effect.gen(function*() {
        const rows = MainDb.use((sql) => sql`SELECT id, CAST(d AS CHAR) AS d FROM old`)
        expect(yield* rows).toEqual([{ id: 0, d: "0000-00-00" }])
        yield* MainDb.use((sql) => sql`UPDATE old SET d = '2026-01-01'`)
        yield* MainDb.use((sql) => sql.unsafe(byServer({ MariaDB: "SELECT NEXTVAL(numbers)", MySQL: "SELECT 1" })))
        expect(yield* Testing.restore(MainDb)).toEqual(["old"])
        expect(yield* rows).toEqual([{ id: 0, d: "0000-00-00" }])
      }).pipe(on(Testing.database(MainDb, { tables })))
    }))

  it.scoped("comes after a test, however it has ended", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(yield* file(schema))
      yield* Effect.gen(function*() {
        const before = yield* everything
        const change = MainDb.use((sql) => sql`DELETE FROM owners`)
        const failed = Effect.zipRight(change, Effect.fail("why"))
        expect(yield* Effect.flip(Testing.restoring(MainDb)(failed))).toBe("why")
        expect(yield* everything).toEqual(before)
        yield* Effect.exit(Testing.restoring(MainDb)(Effect.zipRight(change, Effect.interrupt)))
        expect(yield* everything).toEqual(before)
      }).pipe(on(Testing.database(MainDb, { tables, seeds })))
    }))

  it.scoped("that fails loses no trigger", () =>
    Effect.gen(function*() {
      const tables = Testing.sqlFile(
        yield* file(`
          CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TABLE log (what INT);
          CREATE TRIGGER of_a AFTER INSERT ON a FOR EACH ROW INSERT INTO log VALUES (1);
          CREATE TRIGGER of_b AFTER INSERT ON b FOR EACH ROW INSERT INTO log VALUES (2);`)
      )
      const triggers = MainDb.use((sql) =>
        sql`SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1`
      )
      yield* Effect.gen(function*() {
        const before = yield* triggers
        expect(before).toHaveLength(2)
        yield* MainDb.use((sql) => sql`INSERT INTO a VALUES (1)`)
        yield* MainDb.use((sql) => sql`INSERT INTO b VALUES (1)`)
        const error = yield* MainDb.withTransaction(
          Effect.zipRight(MainDb.use((sql) => sql`SELECT id FROM b`), Effect.flip(Testing.restore(MainDb)))
        )
        expect(error).toMatchObject({ reason: "LockWaitTimeout" })
        expect(yield* triggers).toEqual(before)
        expect(yield* Testing.restore(MainDb)).toEqual(["a", "b", "log"])
        expect(yield* triggers).toEqual(before)
      }).pipe(on(Testing.database(MainDb, { tables })))
    }))

  it.scoped("says that a table is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.gen(function*() {
        yield* MainDb.use((sql) => sql`DROP TABLE t`)
        return yield* Effect.flip(Testing.restore(MainDb))
      }).pipe(on(Testing.database(MainDb, { tables: Testing.sqlFile(yield* file("CREATE TABLE t (id INT)")) })))
      expect(error).toMatchObject({ reason: "UnknownObject", detail: "the table t is not there any more" })
    }))
})
