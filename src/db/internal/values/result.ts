/** The conversion of a whole reply, after the driver has read it: a failure concerns this reply alone. */
import type { DatabaseError } from "../../../Errors.ts"
import { isWriteHeader, type WriteHeader } from "../borrowed/mysql2Connection.ts"
import type { Request } from "../connection/connection.ts"
import { makeError } from "../errors/classify.ts"
import type { Settings } from "../settings/settings.ts"
import { type Column, decodeRow } from "./columns.ts"

/**
 * Converts the rows of a reply in place, and the insertId of a write. Returns an error if a value has no exact JavaScript
 * value. The server has carried the statement out all the same.
 */
export const decodeReply = (
  ofDatabase: Settings,
  { bigint, sql }: Pick<Request, "bigint" | "sql">,
  result: unknown,
  columns: ReadonlyArray<ReadonlyArray<Column> | undefined>
): DatabaseError | undefined => {
  const settings = bigint === undefined ? ofDatabase : { ...ofDatabase, bigint }
  if (columns.length === 1) return decodeResult(settings, sql, result, columns[0])
  for (let i = 0; i < columns.length; i++) {
    const error = decodeResult(settings, sql, (result as ReadonlyArray<unknown>)[i], columns[i])
    if (error !== undefined) return error
  }
  return undefined
}

const decodeResult = (
  settings: Settings,
  sql: string,
  result: unknown,
  columns: ReadonlyArray<Column> | undefined
): DatabaseError | undefined => {
  if (columns === undefined) {
    if (isWriteHeader(result)) decodeInsertId(settings, sql, result)
    return undefined
  }
  for (const row of result as ReadonlyArray<any>) {
    const column = decodeRow(row, columns)
    if (column !== undefined) return undecodable(settings.name, sql, column)
  }
  return undefined
}

/** The error for a value of that column. */
export const undecodable = (database: string, sql: string, { decoder, field, index }: Column): DatabaseError => {
  // An expression without a name of its own is called by its text, which may hold values.
  const name = field.orgName !== "" || sql.includes(field.name) ? `"${field.name}"` : `number ${index + 1}`
  const { detail, hint } = decoder.problem
  return carriedOut(database, sql, `the column ${name} of its result ${detail}`, hint)
}

const carriedOut = (database: string, sql: string, what: string, hint: string | undefined): DatabaseError =>
  makeError(database, "InvalidData", `the server has carried the statement out, but ${what}`, {
    ...(hint === undefined ? {} : { hint }),
    statement: sql
  })

const decodeInsertId = ({ bigint, name }: Settings, sql: string, header: WriteHeader): void => {
  const { insertId } = header
  switch (bigint) {
    case "number":
      if (typeof insertId === "number") return
      insertIdErrors.set(
        header,
        carriedOut(
          name,
          sql,
          "its insertId is beyond 2^53, which no JavaScript number holds exactly",
          "set the URL option bigint to string, bigint or auto"
        )
      )
      return
    case "string":
    case "bigint":
      ;(header as { insertId: WriteHeader["insertId"] }).insertId = bigint === "string"
        ? String(insertId)
        : BigInt(insertId)
  }
}

const insertIdErrors = new WeakMap<object, DatabaseError>()

/** Why the insertId of a write must not be used; undefined if it may. */
export const insertIdError = (header: WriteHeader): DatabaseError | undefined => insertIdErrors.get(header)
