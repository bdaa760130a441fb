/**
 * Checks of `sql.insert`, `sql.update` and the like, before a statement is compiled. The compiler of `@effect/sql` takes the
 * columns of the first row for all rows: what later rows lack becomes NULL, what they have more of is dropped, and a piece
 * of SQL as a value becomes NULL too.
 */
import * as Statement from "@effect/sql/Statement"
import type { Finding } from "../../../internal/valueChecks.ts"
import { refusalOf, refusalOfMissing } from "./parameters.ts"

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

/** Why a value cannot be sent, as the end of a sentence; undefined if it can. */
type ValueCheck = (value: unknown) => Finding | undefined

/**
 * What must not be compiled in a statement, or has a value that `check` refuses; undefined if nothing. Names the row and
 * the column, never the value. Without `check` the values are only checked for what the compiler would change.
 */
export const findProblem = (
  segments: ReadonlyArray<Statement.Segment>,
  check: ValueCheck = refusalOfMissing
): Finding | undefined => {
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    switch (segment._tag) {
      case "RecordInsertHelper": {
        const problem = findInRows(segment.value, check)
        if (problem !== undefined) return problem
        break
      }
      case "RecordUpdateHelperSingle": {
        const problem = findInUpdate(segment.value, segment.omit, check)
        if (problem !== undefined) return problem
        break
      }
      case "RecordUpdateHelper":
        return {
          detail: "sql.updateValues has no form for MySQL",
          hint: "update the rows one by one, or use INSERT … ON DUPLICATE KEY UPDATE"
        }
    }
  }
  return undefined
}

const findInRows = (rows: Rows, check: ValueCheck): Finding | undefined => {
  const [first] = rows
  if (first === undefined) return { detail: "sql.insert has no rows", hint: "send no statement where there are none" }
  const columns = Object.keys(first)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    for (const column of columns) {
      if (!Object.hasOwn(row, column)) {
        return {
          detail: `row ${i + 1} of sql.insert has no column ${column}, which the first row has`,
          hint: "give all rows the same columns, with null for SQL NULL"
        }
      }
      const problem = findInValue(row[column], check)
      if (problem !== undefined) return about(`column ${column} of row ${i + 1} of sql.insert`, problem)
    }
    if (i > 0 && Object.keys(row).length > columns.length) {
      const extra = Object.keys(row).find((column) => !Object.hasOwn(first, column))
      return {
        detail: `row ${i + 1} of sql.insert has the column ${extra}, which the first row has not`,
        hint: "give all rows the same columns, with null for SQL NULL"
      }
    }
  }
  return undefined
}

const findInUpdate = (
  row: Readonly<Record<string, unknown>>,
  omitted: ReadonlyArray<string>,
  check: ValueCheck
): Finding | undefined => {
  const columns = Object.keys(row).filter((column) => !omitted.includes(column))
  if (columns.length === 0) {
    return { detail: "sql.update has no columns", hint: "send no statement where there are none" }
  }
  for (const column of columns) {
    const problem = findInValue(row[column], check)
    if (problem !== undefined) return about(`column ${column} of sql.update`, problem)
  }
  return undefined
}

const about = (what: string, { detail, ...hint }: Finding): Finding => ({ detail: `${what} ${detail}`, ...hint })

/** The compiler takes the value of a fragment that is one parameter; of other fragments it makes NULL. */
const findInValue = (value: unknown, check: ValueCheck): Finding | undefined => {
  if (typeof value === "object" && Statement.isFragment(value)) {
    const [parameter, ...more] = value.segments
    if (parameter?._tag === "Parameter" && more.length === 0) return findInValue(parameter.value, check)
    return refusalOf(value)
  }
  return check(value)
}
