/** Spans by OpenTelemetry's conventions for database clients: the statement's text and never a parameter. */
import { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import type { Engine } from "../dataSource.ts"
import { fromSqlError } from "../errors/sqlError.ts"

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Nobody could ever see a span of the tracer that is there by default: none is made for it. */
export const isTraced = (fiber: Fiber.RuntimeFiber<any, any>): boolean =>
  Context.get(fiber.currentDefaultServices, Tracer.Tracer) !== nativeTracer

export const statement = <A>(
  engine: Engine,
  operation: string,
  sql: string,
  work: Effect.Effect<A, SqlError>
): Effect.Effect<A, SqlError> =>
  Effect.useSpan("sql.execute", { kind: "client", captureStackTrace: false }, (span) => {
    describe(engine, span, operation, sql)
    return Effect.tapError(work, (error) => Effect.sync(() => describeFailure(engine, span, error)))
  })

export const describe = (engine: Engine, span: Tracer.Span, operation: string, sql: string): void => {
  for (const [key, value] of engine.spanAttributes) span.attribute(key, value)
  span.attribute("db.operation.name", operation)
  span.attribute("db.query.text", sql)
}

/** The parent of what runs in the transaction. */
export const transaction = <A, E, R>(engine: Engine, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withSpan(
    Effect.tapError(work, (error) =>
      error instanceof SqlError
        ? Effect.map(Effect.orDie(Effect.currentSpan), (span) => describeFailure(engine, span, error))
        : Effect.void),
    "sql.transaction",
    { kind: "client", captureStackTrace: false, attributes: Object.fromEntries(engine.spanAttributes) }
  )

const describeFailure = (engine: Engine, span: Tracer.Span, error: SqlError): void => {
  const { errno, reason } = fromSqlError(engine.name, error)
  span.attribute("error.type", reason)
  if (errno !== undefined) span.attribute("db.response.status_code", String(errno))
}
