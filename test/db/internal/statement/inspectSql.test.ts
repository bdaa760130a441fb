import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { inspect } from "../../../../src/db/internal/statement/inspectSql.ts"

/** E: ends the transaction, S: changes the session, R: reads. */
const flags = (sql: string): string => {
  const { changesSession, endsTransaction, reads } = inspect(sql)
  return `${endsTransaction ? "E" : ""}${changesSession ? "S" : ""}${reads ? "R" : ""}`
}

// What ended the transaction, and what did not, was seen on MariaDB 10.11.
const table: ReadonlyArray<readonly [flags: string, statements: ReadonlyArray<string>]> = [
  ["R", [
    "SELECT 1",
    "SELECT * FROM `t` WHERE id = ?",
    "SELECT * FROM t FOR UPDATE",
    "SELECT @@version, @@session.sql_mode",
    "SELECT 'a@b', \"c@d\", `e@f` FROM t",
    "SELECT 'it''s; COMMIT' FROM t",
    "SELECT 'it\\'s' FROM t",
    "SELECT LAST_INSERT_ID(), LAST_INSERT_ID( )",
    "SELECT IS_FREE_LOCK('a')",
    "SELECT 1;",
    "SELECT 1 ; -- done",
    "SELECT a - -1, b--1 FROM t /* @x ; COMMIT */",
    "SELECT 1 # GET_LOCK('a', 1) @x",
    "SELECT /*+ MAX_EXECUTION_TIME(5) */ 1",
    "(SELECT 1) UNION (SELECT 2)",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "VALUES (1)",
    "VALUES ROW(1)",
    "TABLE t",
    "SHOW CREATE TABLE t",
    "EXPLAIN UPDATE t SET a = 1",
    "DESC t",
    "CHECKSUM TABLE t",
    "ANALYZE SELECT 1",
    "ANALYZE FORMAT=JSON SELECT 1",
    "SET STATEMENT max_statement_time=1 FOR SELECT 1"
  ]],
  ["", [
    "",
    "   ",
    "-- nothing",
    ";",
    "INSERT INTO t (a) VALUES (?)",
    "insert into t set a = 1",
    "UPDATE t SET a = 'x;y@z' WHERE id = ?",
    "DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
    "WITH a AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM a)",
    "EXPLAIN ANALYZE UPDATE t SET a = 1",
    "ANALYZE UPDATE t SET a = 1",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "ROLLBACK TO a",
    "ROLLBACK TO SAVEPOINT a",
    "rollback work to savepoint a",
    "DROP TEMPORARY TABLE t",
    "DROP PREPARE p",
    "KILL QUERY 1"
  ]],
  ["S", [
    "SET NAMES utf8mb4",
    "SET @a = 1",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET ROLE NONE",
    "SET STATEMENT max_statement_time=1 FOR DELETE FROM t WHERE a = @b",
    "USE other",
    "PREPARE p FROM 'COMMIT'",
    "DEALLOCATE PREPARE p",
    "CALL refresh()",
    "DO GET_LOCK('a', 1)",
    "HANDLER t OPEN",
    "CREATE TEMPORARY TABLE t (a int)",
    "CREATE  TEMPORARY\n TABLE t (a int)",
    "CREATE OR  REPLACE TEMPORARY TABLE t (a int)",
    "DECLARE a INT",
    "INSERT INTO t (a) VALUES (LAST_INSERT_ID(7))",
    "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = last_insert_id(`id`)",
    "frobnicate",
    "?",
    "'unfinished",
    "SELECT 'unfinished; @",
    "SELECT 1 /* ; unfinished"
  ]],
  ["SR", [
    "SELECT @a := 1",
    "SELECT a INTO @a FROM t",
    "SELECT @@version, @a",
    "SELECT GET_LOCK(?, 1)",
    "select release_lock ('a')",
    "SELECT RELEASE_ALL_LOCKS()",
    "SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1",
    "SELECT 1; SELECT 2",
    "SELECT /*!40001 SQL_NO_CACHE */ 1"
  ]],
  ["ES", [
    "BEGIN",
    "begin work",
    "START TRANSACTION READ ONLY",
    "COMMIT AND CHAIN",
    "COMMIT RELEASE",
    "ROLLBACK AND CHAIN",
    "XA START 'a'",
    "SET autocommit = 0",
    "SET @@session.autocommit=1",
    "SET sql_mode = '', AUTOCOMMIT = 1",
    "SET PASSWORD FOR u = ''",
    "SET DEFAULT ROLE NONE",
    "LOCK TABLES t READ",
    "LOCK TABLE t WRITE",
    "UNLOCK TABLES",
    "FLUSH TABLES",
    "RESET QUERY CACHE",
    "INSTALL PLUGIN p SONAME 'p'",
    "START REPLICA",
    "STOP SLAVE",
    "CHANGE MASTER TO MASTER_HOST = 'x'",
    "EXECUTE p",
    "EXECUTE IMMEDIATE 'COMMIT'",
    "BEGIN NOT ATOMIC COMMIT; END",
    "IF 1 THEN COMMIT; END IF",
    "/*!40000 COMMIT */",
    "/*M! COMMIT */",
    "SELECT 1; COMMIT",
    "SELECT ';'; drop table t",
    "SELECT '\\'; COMMIT; -- '",
    "CREATE PROCEDURE p() BEGIN SELECT 1; END"
  ]],
  ["E", [
    "COMMIT",
    "COMMIT;",
    "  /* why */ -- and\n # so\n (COMMIT",
    "ROLLBACK",
    "ROLLBACK WORK",
    "CREATE TABLE t (a int)",
    "CREATE OR REPLACE TABLE t (a int)",
    "CREATE TABLE temporary_t (a int)",
    "CREATE UNIQUE INDEX i ON t (a)",
    "CREATE DATABASE d",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
    "CREATE USER u",
    "ALTER TABLE t ADD b int",
    "DROP TABLE t",
    "DROP TABLE IF EXISTS t",
    "RENAME TABLE a TO b",
    "TRUNCATE t",
    "GRANT SELECT ON t TO u",
    "REVOKE SELECT ON t FROM u",
    "ANALYZE TABLE t",
    "ANALYZE LOCAL TABLES t",
    "OPTIMIZE TABLE t",
    "REPAIR TABLE t",
    "CHECK TABLE t",
    "CACHE INDEX t IN k",
    "LOAD INDEX INTO CACHE t",
    "SET STATEMENT max_statement_time=1 FOR CREATE TABLE t (a int)"
  ]]
]

describe("statementText", () => {
  for (const [expected, statements] of table) {
    it.each(statements)(`${expected === "" ? "nothing" : expected}: %s`, (sql) => {
      expect(flags(sql)).toBe(expected)
    })
  }

  it.each([
    ["select 1", "SELECT"],
    ["\n\t ( ( SELECT 1", "SELECT"],
    ["/* a */-- b\n--\n# c\nUPDATE t SET a = 1", "UPDATE"],
    ["/*!40101 SET NAMES utf8 */", "SET"],
    ["--1", ""],
    ["", ""]
  ])("the keyword of %s is %s", (sql, keyword) => {
    expect(inspect(sql).keyword).toBe(keyword)
  })

  it("white space, case and comments before a statement change nothing", () => {
    const lead = FastCheck.stringOf(
      FastCheck.constantFrom(" ", "\n", "\t", "/* it's; @x */", "-- '@;\n", "#\"\n", "("),
      { maxLength: 6 }
    )
    // A backslash leaves two readings open, of which the stricter one counts as soon as there is cause to look closely.
    const statements = table.flatMap(([, list]) => list).filter((sql) => /^[A-Z][^\\]*$/i.test(sql))
    FastCheck.assert(
      FastCheck.property(lead, FastCheck.constantFrom(...statements), FastCheck.boolean(), (before, sql, lower) => {
        expect(flags(before + (lower ? sql.toLowerCase() : sql))).toBe(flags(sql))
      })
    )
  })

  it("whatever stands in a string is not seen, and what follows it is", () => {
    const quoted = Arbitrary.make(Schema.String).map((text) =>
      `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
    )
    FastCheck.assert(
      FastCheck.property(quoted, (value) => {
        if (!value.includes("\\")) expect(flags(`SELECT ${value} FROM t`)).toBe("R")
        expect(inspect(`SELECT ${value}; COMMIT`).endsTransaction).toBe(true)
        expect(inspect(`SELECT ${value}, @a`).changesSession).toBe(true)
      })
    )
  })

  it("any text gets an answer", () => {
    FastCheck.assert(FastCheck.property(FastCheck.string(), (sql) => {
      expect(typeof inspect(sql).endsTransaction).toBe("boolean")
    }))
  })

  it("a text of megabytes is inspected in one pass", () => {
    const long = "x\\'".repeat(700_000)
    expect(flags(`INSERT INTO t VALUES ('${long}'); COMMIT`)).toBe("ES")
    expect(flags(`INSERT INTO t VALUES ${"(?, ?), ".repeat(250_000)}(?, ?)`)).toBe("")
  })

  it("a look is remembered, of long texts not, and the memory is bounded", () => {
    const sql = "SELECT 1; SELECT 2"
    const first = inspect(sql)
    expect(inspect(sql)).toBe(first)
    const long = `SELECT 1; SELECT '${"x".repeat(10_000)}'`
    expect(inspect(long)).not.toBe(inspect(long))
    for (let index = 0; index <= 2_000; index++) inspect(`SELECT 1; SELECT ${index} + 2`)
    expect(inspect(sql)).not.toBe(first)
    expect(inspect(sql)).toEqual(first)
  })
})
