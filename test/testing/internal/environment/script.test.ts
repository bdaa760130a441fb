import { Either } from "effect"
import { expect, it } from "vitest"
import { lineOf, split } from "../../../../src/testing/internal/environment/script.ts"

const texts = (sql: string) => Either.map(split(sql), (statements) => statements.map(({ text }) => text))

it("ends statements at semicolons, and not in texts, names and comments", () => {
  expect(texts(`INSERT INTO t VALUES (';', "a;""b;", 'it''s;', '\\';'); -- x;\n# y;\n/* z; */ SELECT \`a;\` ;; `))
    .toEqual(
      Either.right([
        `INSERT INTO t VALUES (';', "a;""b;", 'it''s;', '\\';')`,
        "-- x;\n# y;\n/* z; */ SELECT `a;`"
      ])
    )
})

it("knows DELIMITER, as mysqldump writes it", () => {
  const trigger = "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; SET NEW.b = 2; END"
  expect(texts(`SELECT 1;\nDELIMITER ;;\n/*!50003 ${trigger} */;;\nDELIMITER ;\r\nSELECT 2`)).toEqual(
    Either.right(["SELECT 1", `/*!50003 ${trigger} */`, "SELECT 2"])
  )
})

it("knows DELIMITER after a comment, and after a statement of the same line", () => {
  expect(texts("SELECT 1; DELIMITER //\n-- triggers\n/* of it */\nDELIMITER ;;\nSELECT 2; SELECT 3;;\nDELIMITER ;"))
    .toEqual(Either.right(["SELECT 1", "SELECT 2; SELECT 3"]))
  expect(texts("SELECT '\nDELIMITER //\n'; SELECT a,\nDELIMITER //")).toMatchObject({
    right: ["SELECT '\nDELIMITER //\n'", "SELECT a,\nDELIMITER //"]
  })
})

it("reads what the server executes of comments as it does", () => {
  const first = "/*!50003 INSERT INTO t VALUES ('a */ ;', \"\\\";\") */"
  const second = "/*M!100100 SELECT /* don't; */ 1 -- it's\n*/"
  expect(texts(`${first};${second};SELECT 2`)).toEqual(Either.right([first, second, "SELECT 2"]))
})

it("takes texts of any length", () => {
  const text = `INSERT INTO t VALUES ('${"\\'x".repeat(5_000_000)}')`
  const found = texts(`${text};SELECT 2`)
  expect(Either.getOrThrow(found).map(({ length }) => length)).toEqual([text.length, 8])
})

it("keeps where statements begin", () => {
  const sql = "\n-- a comment\nSELECT 1;\n\n  SELECT 2;\n"
  expect(Either.getOrThrow(split(sql)).map(({ offset }) => lineOf(sql, offset))).toEqual([2, 5])
})

it.each([
  ["SELECT 1;\nUSE other;", 2, "leaves the database"],
  ["/* x */ CREATE  DATABASE other;", 1, "leaves the database"],
  ["drop schema `main`;", 1, "leaves the database"],
  ["SELECT 1;\n/*!40000 DROP DATABASE IF EXISTS `main`*/;", 2, "leaves the database"],
  ["/*M!100100 USE main */", 1, "leaves the database"],
  ["DROP /* all */ DATABASE main", 1, "leaves the database"],
  ["DROP -- all\nDATABASE main", 1, "leaves the database"],
  ["CREATE OR REPLACE DATABASE main", 1, "leaves the database"],
  ["SELECT 1;\n\nSELECT 'open;", 3, "a quotation mark (') is not closed"],
  ["SELECT 1; /* open", 1, "a comment is not closed"],
  ["source other.sql;", 1, "only DELIMITER is understood"]
])("refuses %j", (sql, line, detail) => {
  const unusable = Either.getOrThrow(Either.flip(split(sql)))
  expect(lineOf(sql, unusable.offset)).toBe(line)
  expect(unusable.detail).toContain(detail)
})

it("takes names that only look like that", () => {
  expect(texts("INSERT INTO used_by VALUES (1); CREATE TABLE `use` (a INT)")).toMatchObject({ _tag: "Right" })
})
