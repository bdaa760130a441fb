/**
 * The way of one statement: look up where it runs, borrow the connection, run it, give the connection back, all in a
 * single asynchronous step. No Scope and no FiberRef is touched on the way, and a span is made only where a tracer
 * would see it: that is most of the difference in cost to `@effect/sql`'s own statements.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { DatabaseError } from "../../../Errors.ts"
import { cancellable } from "../waiting/cancellable.ts"
import type { Request } from "../connection/connection.ts"
import type { Engine, Lease, Lender } from "../dataSource.ts"
import { makeError } from "../errors/classify.ts"
import { Frame } from "../transaction/levels.ts"
import * as Parameters from "./parameters.ts"
import * as Reader from "./rowStream.ts"
import * as Spans from "../telemetry/spans.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { StatementText } from "./inspectSql.ts"
import { inspect } from "./inspectSql.ts"
import { frameOf } from "../transaction/transaction.ts"

export type Transform = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** How a statement is sent and what its rows look like. */
export interface Mode {
  readonly prepared: boolean
  readonly rowsAsArray: boolean
}

export const PREPARED: Mode = { prepared: true, rowsAsArray: false }
export const UNPREPARED: Mode = { prepared: false, rowsAsArray: false }
export const ARRAYS: Mode = { prepared: true, rowsAsArray: true }

/** Runs a statement where the fiber stands: in the open transaction of this database, or on a connection of the pool. */
export const run = <A>(
  engine: Engine,
  fiber: Fiber.RuntimeFiber<any, any>,
  mode: Mode,
  operation: string,
  sql: string,
  params: ReadonlyArray<unknown>,
  select: (result: unknown) => A
): Effect.Effect<A, SqlError> => {
  const context = fiber.currentContext
  const work = runOn(engine, frameOf(engine, context), mode, sql, params, context, select)
  return Spans.isTraced(fiber) ? Spans.statement(engine, operation, sql, work) : work
}

/** Runs a statement on the connection of one lender, or of the pool. */
const runOn = <A>(
  engine: Engine,
  lender: Lender | undefined,
  mode: Mode,
  sql: string,
  params: ReadonlyArray<unknown>,
  context: Context.Context<never>,
  select: (result: unknown) => A
): Effect.Effect<A, SqlError> => {
  const prepared = prepare(engine, lender instanceof Frame, mode, sql, params)
  if (prepared instanceof DatabaseError) return Effect.fail(toSqlError(prepared))
  return Effect.uninterruptibleMask((restore) => {
    const operation = new Operation(engine, prepared, select)
    return cancellable<A, SqlError>(
      restore,
      (resume) => operation.start(lender ?? engine, context, resume),
      () => operation.cancel()
    )
  })
}

type Rows = Stream.Stream<any, SqlError>

/** Streams the rows of a statement where the fiber stands. The connection is held until the stream ends. */
export const stream = (
  engine: Engine,
  fiber: Fiber.RuntimeFiber<any, any>,
  sql: string,
  params: ReadonlyArray<unknown>,
  transform: Transform
): Effect.Effect<Rows, SqlError, Scope.Scope> => {
  const context = fiber.currentContext
  const work = streamOn(engine, frameOf(engine, context), sql, params, transform, context)
  if (!Spans.isTraced(fiber)) return work
  return Effect.tap(
    Effect.makeSpanScoped("sql.execute", { kind: "client", captureStackTrace: false }),
    (span) => Effect.sync(() => Spans.describe(engine, span, "executeStream", sql))
  ).pipe(Effect.zipRight(work))
}

const streamOn = (
  engine: Engine,
  lender: Lender | undefined,
  sql: string,
  params: ReadonlyArray<unknown>,
  transform: Transform,
  context: Context.Context<never>
): Effect.Effect<Rows, SqlError, Scope.Scope> => {
  const prepared = prepare(engine, lender instanceof Frame, PREPARED, sql, params)
  if (prepared instanceof DatabaseError) return Effect.fail(toSqlError(prepared))
  return Reader.open(engine, lender ?? engine, prepared.request, prepared.text, transform, context)
}

interface Prepared {
  readonly request: Request
  readonly text: StatementText
}

/** Refuses what must not be sent; nothing has been borrowed yet. */
const prepare = (
  engine: Engine,
  inTransaction: boolean,
  mode: Mode,
  sql: string,
  params: ReadonlyArray<unknown>
): Prepared | DatabaseError => {
  const text = inspect(sql)
  if (inTransaction && text.endsTransaction) {
    return makeError(
      engine.name,
      "ImplicitCommit",
      `${text.operation} would end the open transaction behind the back of withTransaction; run it outside`,
      { statement: sql }
    )
  }
  const values = Parameters.encode(params)
  if (Either.isLeft(values)) return makeError(engine.name, "InvalidParameter", values.left, { statement: sql })
  return {
    text,
    request: {
      sql,
      values: values.right,
      rowsAsArray: mode.rowsAsArray,
      prepared: mode.prepared && engine.settings.preparedStatements
    }
  }
}

class Operation<A> {
  readonly #engine: Engine
  readonly #prepared: Prepared
  readonly #select: (result: unknown) => A
  #takeBack: (() => void) | undefined
  #lease: Lease | undefined
  #cancelled = false
  #reply: { readonly error: unknown; readonly result: unknown } | undefined

  constructor(engine: Engine, prepared: Prepared, select: (result: unknown) => A) {
    this.#engine = engine
    this.#prepared = prepared
    this.#select = select
  }

  start(
    lender: Lender,
    context: Context.Context<never>,
    resume: (effect: Effect.Effect<A, SqlError>) => void
  ): void {
    this.#takeBack = lender.lend(context, (lease) => {
      this.#lease = lease
      lease.connection.run(this.#prepared.request, (error, result) => {
        this.#reply = { error, result }
        // A cancelled statement keeps its connection until the KILL that was meant for it has been answered.
        if (this.#cancelled) return
        const failure = this.#end(lease, error, result)
        resume(failure === undefined ? Effect.succeed(this.#select(result)) : Effect.fail(toSqlError(failure)))
      })
    }, (error) => resume(Effect.fail(toSqlError(error))))
  }

  /** Does nothing once the answer is there. */
  cancel(): Effect.Effect<void> {
    const lease = this.#lease
    if (lease === undefined) {
      this.#takeBack?.()
      return Effect.void
    }
    if (this.#reply !== undefined) return Effect.void
    this.#cancelled = true
    return Effect.async<void>((resume) => {
      lease.connection.stop(() => {
        this.#end(lease, this.#reply?.error ?? null, this.#reply?.result)
        resume(Effect.void)
      })
    })
  }

  #end(lease: Lease, error: unknown, result: unknown): DatabaseError | undefined {
    const { request, text } = this.#prepared
    return this.#engine.settle(lease, request.sql, text.changesSession, error, result)
  }
}

/** What `@effect/sql` calls a result: rows; an INSERT has none (its counts are in `.raw` and `Database.write`). */
export const rows = (result: unknown): ReadonlyArray<any> => Array.isArray(result) ? result : []

/** What generic code over `@effect/sql` sees as a connection. Without a lender it finds its transaction anew each time. */
export const connection = (engine: Engine, lender?: Lender): SqlConnection.Connection => {
  const send = <A>(
    operation: string,
    mode: Mode,
    sql: string,
    params: ReadonlyArray<unknown>,
    select: (result: unknown) => A
  ): Effect.Effect<A, SqlError> =>
    Effect.withFiberRuntime<A, SqlError>((fiber) =>
      lender === undefined
        ? run(engine, fiber, mode, operation, sql, params, select)
        : runOn(engine, lender, mode, sql, params, fiber.currentContext, select)
    )
  return {
    execute: (sql, params, transform) => send("execute", PREPARED, sql, params, transforming(transform)),
    executeUnprepared: (sql, params, transform) =>
      send("executeUnprepared", UNPREPARED, sql, params, transforming(transform)),
    executeValues: (sql, params) => send("executeValues", ARRAYS, sql, params, rows),
    executeRaw: (sql, params) => send("executeRaw", PREPARED, sql, params, (result) => result),
    executeStream: (sql, params, transform) =>
      Stream.unwrapScoped(
        Effect.withFiberRuntime<Rows, SqlError, Scope.Scope>((fiber) =>
          lender === undefined
            ? stream(engine, fiber, sql, params, transform)
            : streamOn(engine, lender, sql, params, transform, fiber.currentContext)
        )
      )
  }
}

const transforming = (transform: Transform): (result: unknown) => ReadonlyArray<any> =>
  transform === undefined ? rows : (result) => transform(rows(result))
