/**
 * DDL in a transaction, for libraries that were made for other databases. MySQL commits the transaction before it carries
 * DDL out. Here the transaction is begun again at once, so that what follows can still be rolled back; what was committed
 * is remembered, because no failure of that transaction may be answered by repeating it.
 */
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { DatabaseError } from "../../../Errors.ts"
import { STATEMENT_IN_MESSAGE, truncate } from "../../../internal/textLimits.ts"
import { isInTransaction, serverStatus } from "../borrowed/mysql2Connection.ts"
import { BEGIN, ROLLBACK } from "../deadlines.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Level } from "../transaction/level.ts"
import type { OpenTransaction } from "../transaction/openTransaction.ts"
import { opening } from "../transaction/openTransaction.ts"
import type { InspectedSql } from "./inspectSql.ts"

/** Statements that define things, and commit by the way. Those that are about transactions (COMMIT, LOCK TABLES …) are not. */
const KEYWORDS: ReadonlySet<string> = new Set([
  "ALTER",
  "ANALYZE",
  "CHECK",
  "CREATE",
  "DROP",
  "GRANT",
  "OPTIMIZE",
  "RENAME",
  "REPAIR",
  "REVOKE",
  "TRUNCATE"
])

export const isDdl = ({ endsTransaction, keyword }: InspectedSql): boolean => endsTransaction && KEYWORDS.has(keyword)

const committed = new WeakMap<OpenTransaction, string>()

/** What of the transaction has been committed, in words, because of the last DDL that did so; undefined if nothing has. */
export const committedIn = (transaction: OpenTransaction): string | undefined => committed.get(transaction)

/** Runs DDL on the connection of a level that allows it, then begins again what it has ended. */
export const runDdl = <A>(
  level: Level,
  sql: string,
  statement: Effect.Effect<A, SqlError>
): Effect.Effect<A, SqlError> =>
  Effect.onExit(statement, (exit) => beginAgain(level, inShort(sql), Exit.isSuccess(exit)))

/**
 * Not all DDL that fails has committed, so the server is asked. Where it cannot be asked, or the transaction cannot be
 * begun again, the connection is cut: nothing may run outside the transaction by mistake.
 */
const beginAgain = ({ savepoints, transaction }: Level, ddl: string, succeeded: boolean): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const done = (): void => resume(Effect.void)
    const lose = (): void => {
      if (!succeeded) committed.set(transaction, `whatever ran before ${ddl}, and perhaps that itself,`)
      transaction.cut()
      done()
    }
    const isOpen = (result: unknown): boolean => {
      const status = serverStatus(result)
      return status !== undefined && isInTransaction(status)
    }
    const begin = ([statement, ...rest]: ReadonlyArray<string>): void => {
      if (statement === undefined) return done()
      transaction.send(
        statement,
        BEGIN,
        (error, result) => error === null && (rest.length > 0 || isOpen(result)) ? begin(rest) : lose()
      )
    }
    if (succeeded) committed.set(transaction, `${ddl} and what ran before it`)
    if (transaction.connection?.dead !== false) return lose()
    transaction.send("DO 0", ROLLBACK, (error, result) => {
      if (error !== null || serverStatus(result) === undefined) return lose()
      if (isOpen(result)) return done()
      if (!succeeded) committed.set(transaction, `whatever ran before ${ddl}`)
      begin([...opening(transaction.options), ...savepoints.map((name) => `SAVEPOINT ${name}`)])
    })
  })

/** A failure in a transaction of which a part is committed: the same, but it is not safe to repeat the transaction. */
export const afterDdl = <E>(transaction: OpenTransaction | undefined, error: E): E | SqlError => {
  const what = transaction === undefined ? undefined : committedIn(transaction)
  return what === undefined ? error : notRepeatable(error, `${what} has been committed`)
}

/** The same failure, and why the same work must not be repeated. */
export const notRepeatable = <E>(error: E, why: string): E | SqlError =>
  error instanceof SqlError && error.cause instanceof DatabaseError
    && (error.cause.retryable || error.cause.outcome === "unknown")
    ? toSqlError(
      new DatabaseError({
        ...error.cause,
        retryable: false,
        hint: `do not repeat it blindly: ${why}`
      })
    )
    : error

const inShort = (sql: string): string => truncate(sql.replace(/\s+/g, " ").trim(), STATEMENT_IN_MESSAGE)
