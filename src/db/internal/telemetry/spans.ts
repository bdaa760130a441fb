/**
 * Spans by OpenTelemetry's conventions for database clients: the text of the statement, never a parameter.
 * The names of all spans of this wing are here.
 */
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { DataSource } from "../dataSource.ts"
import { fromSqlError, toSqlError } from "../errors/sqlError.ts"

/** One statement, whichever way it is run. */
const STATEMENT = "sql.execute"

/** A whole transaction: the parent of the statements in it. */
const TRANSACTION = "sql.transaction"

/** One request to a data loader, from the call to its answer. */
const DATA_LOADER = "Repository.dataLoader"

/** One method of a repository, under the `spanPrefix` that was given to `Repository.make`. */
const REPOSITORY_METHOD = (prefix: string, method: string): string => `${prefix}.${method}`

const client = { kind: "client", captureStackTrace: false } as const

export const statement = <A>(
  dataSource: DataSource,
  operation: string,
  sql: string,
  work: Effect.Effect<A, SqlError>
): Effect.Effect<A, SqlError> =>
  Effect.useSpan(STATEMENT, client, (span) => {
    describe(dataSource, span, operation, sql)
    return Effect.tapError(work, (error) => Effect.sync(() => describeFailure(dataSource, span, error)))
  })

/** The span of a streamed statement lasts as long as the scope. */
export const streamedStatement = <A, R>(
  dataSource: DataSource,
  sql: string,
  work: Effect.Effect<A, SqlError, R>
): Effect.Effect<A, SqlError, R | Scope.Scope> =>
  Effect.zipRight(
    Effect.tap(
      Effect.makeSpanScoped(STATEMENT, client),
      (span) => Effect.sync(() => describe(dataSource, span, "executeStream", sql))
    ),
    work
  )

/**
 * The span of a transaction ends with the body's failure, which may be the SqlError of another library with parameters in
 * its text: the span gets the DatabaseError inside it.
 */
export const transaction = <A, E, R>(
  dataSource: DataSource,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const clean = <Failure>(error: Failure): Failure | SqlError =>
    error instanceof SqlError ? toSqlError(fromSqlError(dataSource.name, error)) : error
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.makeSpan(TRANSACTION, { ...client, attributes: Object.fromEntries(dataSource.spanAttributes) }),
      (span) =>
        Effect.onExit(restore(Effect.withParentSpan(work, span)), (exit) =>
          Effect.map(Clock.currentTimeNanos, (now) => {
            if (Exit.isSuccess(exit)) return span.end(now, exit)
            const [failure] = [...Cause.failures(exit.cause)]
            if (failure instanceof SqlError) describeFailure(dataSource, span, failure)
            span.end(now, Exit.failCause(mapErrors(exit.cause, clean)))
          }))
    )
  )
}

/** A cause with each failure and each defect replaced. */
const mapErrors = (cause: Cause.Cause<unknown>, f: (error: unknown) => unknown): Cause.Cause<unknown> =>
  Cause.match(cause, {
    onEmpty: Cause.empty as Cause.Cause<unknown>,
    onFail: (error) => Cause.fail(f(error)),
    onDie: (defect) => Cause.die(f(defect)),
    onInterrupt: Cause.interrupt,
    onSequential: Cause.sequential,
    onParallel: Cause.parallel
  })

export const dataLoader = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withSpan(work, DATA_LOADER, client)

export const repository = <A, E, R>(
  prefix: string,
  method: string,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => Effect.withSpan(work, REPOSITORY_METHOD(prefix, method), { captureStackTrace: false })

const describe = (dataSource: DataSource, span: Tracer.Span, operation: string, sql: string): void => {
  for (const [key, value] of dataSource.spanAttributes) span.attribute(key, value)
  span.attribute("db.operation.name", operation)
  span.attribute("db.query.text", sql)
}

const describeFailure = (dataSource: DataSource, span: Tracer.Span, error: SqlError): void => {
  const { errno, reason } = fromSqlError(dataSource.name, error)
  span.attribute("error.type", reason)
  if (errno !== undefined) span.attribute("db.response.status_code", String(errno))
}
