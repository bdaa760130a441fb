/**
 * One statement: find where it runs, borrow the connection, run it and give the connection back, all in a single
 * asynchronous step. No Scope and no FiberRef is touched, and a span is made only where a tracer would see it: that is
 * most of the difference in cost to `@effect/sql`'s own statements.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type { Segment } from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { DatabaseError } from "../../../Errors.ts"
import type { Work } from "../../../internal/cancellable.ts"
import { cancellable } from "../../../internal/cancellable.ts"
import { async, uninterruptibleMask } from "../../../internal/effectPrimitives.ts"
import { isTraced } from "../../../internal/tracing.ts"
import type { Finding } from "../../../internal/valueChecks.ts"
import type { ResultColumns } from "../borrowed/mysql2Commands.ts"
import type { Request } from "../connection/connection.ts"
import type { DataSource } from "../dataSource.ts"
import { isUnpreparable, makeError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Applicant, Lease, Lender } from "../lease.ts"
import * as Spans from "../telemetry/spans.ts"
import { Level } from "../transaction/level.ts"
import { lenderOf } from "../transaction/transaction.ts"
import { decodeReply } from "../values/result.ts"
import type { InspectedSql } from "./inspectSql.ts"
import { inspect } from "./inspectSql.ts"
import * as Requests from "./request.ts"
import type { Transform } from "./rows.ts"
import { rows, transformedRows } from "./rows.ts"
import * as RowStream from "./rowStream.ts"
import { runWithinLimit } from "./timeLimit.ts"

/** How a statement is sent and what its rows look like. */
export interface Mode {
  readonly prepared: boolean
  readonly rowsAsArray: boolean
  /** How BIGINT arrives, where it is not as the settings of the database say. */
  readonly bigint?: "auto" | undefined
  /** The limit for statements of the settings does not count. */
  readonly unlimited?: boolean | undefined
}

export const PREPARED: Mode = { prepared: true, rowsAsArray: false }
export const UNPREPARED: Mode = { prepared: false, rowsAsArray: false }
export const ARRAYS: Mode = { prepared: true, rowsAsArray: true }

/**
 * Runs a statement in the fiber's open transaction of this database, or on a connection of the pool. `segments` are what it
 * was compiled from, if it was.
 */
export const run = <A>(
  dataSource: DataSource,
  fiber: Fiber.RuntimeFiber<any, any>,
  mode: Mode,
  operation: string,
  sql: string,
  params: ReadonlyArray<unknown>,
  select: (result: unknown) => A,
  segments: ReadonlyArray<Segment> = []
): Effect.Effect<A, SqlError> => {
  const context = fiber.currentContext
  const work = runOn(dataSource, lenderOf(dataSource, context), mode, sql, params, context, select, segments)
  return isTraced(fiber) ? Spans.statement(dataSource, operation, sql, work) : work
}

/** Runs a statement on a connection of that lender. */
export const runOn = <A>(
  dataSource: DataSource,
  lender: Lender | DatabaseError,
  mode: Mode,
  sql: string,
  params: ReadonlyArray<unknown>,
  context: Context.Context<never>,
  select: (result: unknown) => A,
  segments: ReadonlyArray<Segment> = []
): Effect.Effect<A, SqlError> => {
  if (lender instanceof DatabaseError) return Effect.fail(toSqlError(lender))
  const prepared = prepare(dataSource, lender instanceof Level, mode, sql, params, segments)
  if (prepared instanceof DatabaseError) return Effect.fail(toSqlError(prepared))
  return uninterruptibleMask((restore) =>
    cancellable(restore, new StatementRun(dataSource, lender, context, prepared, select))
  )
}

type Rows = Stream.Stream<any, SqlError>

/** Streams the rows of a statement, in the open transaction or on a connection of the pool, until the stream ends. */
export const stream = (
  dataSource: DataSource,
  fiber: Fiber.RuntimeFiber<any, any>,
  sql: string,
  params: ReadonlyArray<unknown>,
  transform: Transform,
  mode: Mode = PREPARED,
  segments: ReadonlyArray<Segment> = []
): Effect.Effect<Rows, SqlError, Scope.Scope> => {
  const context = fiber.currentContext
  const work = streamOn(dataSource, lenderOf(dataSource, context), sql, params, transform, context, mode, segments)
  return isTraced(fiber) ? Spans.streamedStatement(dataSource, sql, work) : work
}

const streamOn = (
  dataSource: DataSource,
  lender: Lender | DatabaseError,
  sql: string,
  params: ReadonlyArray<unknown>,
  transform: Transform,
  context: Context.Context<never>,
  mode: Mode,
  segments: ReadonlyArray<Segment> = []
): Effect.Effect<Rows, SqlError, Scope.Scope> => {
  if (lender instanceof DatabaseError) return Effect.fail(toSqlError(lender))
  const prepared = prepare(dataSource, lender instanceof Level, mode, sql, params, segments)
  if (prepared instanceof DatabaseError) return Effect.fail(toSqlError(prepared))
  return RowStream.open(dataSource, lender, prepared.request, prepared.text, transform, context)
}

interface Prepared {
  readonly request: Request
  readonly text: InspectedSql
}

/** The refusal of a statement that would end the open transaction. */
export const implicitCommit = (dataSource: DataSource, text: InspectedSql, sql: string): DatabaseError =>
  makeError(
    dataSource.name,
    "ImplicitCommit",
    `${text.keyword} would end the open transaction without withTransaction knowing`,
    { hint: "run it outside of the transaction", statement: sql }
  )

/** Refuses what must not be sent, before anything is borrowed. */
const prepare = (
  dataSource: DataSource,
  inTransaction: boolean,
  mode: Mode,
  sql: string,
  params: ReadonlyArray<unknown>,
  segments: ReadonlyArray<Segment>
): Prepared | DatabaseError => {
  const text = inspect(sql)
  if (inTransaction && text.endsTransaction) return implicitCommit(dataSource, text, sql)
  const request = Requests.make(dataSource, mode, sql, params, segments)
  return Either.isLeft(request)
    ? invalidParameter(dataSource, request.left, sql)
    : { text, request: request.right }
}

/** The error for what must not be sent. */
export const invalidParameter = (dataSource: DataSource, { detail, hint }: Finding, sql?: string): DatabaseError =>
  makeError(dataSource.name, "InvalidParameter", detail, {
    ...(hint === undefined ? {} : { hint }),
    ...(sql === undefined ? {} : { statement: sql })
  })

/** One run of a statement. Its steps are methods, not closures: a thousand that wait for a connection are a thousand objects. */
class StatementRun<A> implements Work<A, SqlError>, Applicant {
  readonly #dataSource: DataSource
  readonly #lender: Lender
  readonly #context: Context.Context<never>
  readonly #prepared: Prepared
  readonly #select: (result: unknown) => A
  #resume!: (effect: Effect.Effect<A, SqlError>) => void
  #takeBack: (() => void) | undefined
  #lease: Lease | undefined
  #sent = false
  #cancelled = false
  #reply: { readonly error: unknown; readonly result: unknown } | undefined

  constructor(
    dataSource: DataSource,
    lender: Lender,
    context: Context.Context<never>,
    prepared: Prepared,
    select: (result: unknown) => A
  ) {
    this.#dataSource = dataSource
    this.#lender = lender
    this.#context = context
    this.#prepared = prepared
    this.#select = select
  }

  start(resume: (effect: Effect.Effect<A, SqlError>) => void): void {
    this.#resume = resume
    this.#takeBack = this.#lender.lend(this.#context, this)
  }

  onLease(lease: Lease): void {
    this.#lease = lease
    this.#sent = !lease.connection.dead
    this.#send(lease, this.#prepared.request)
  }

  onRefusal(error: DatabaseError): void {
    this.#resume(Effect.fail(toSqlError(error)))
  }

  #send(lease: Lease, request: Request): void {
    runWithinLimit(this.#dataSource, lease.connection, request, (error, result, columns) => {
      const asText = this.#cancelled || !isUnpreparable(error)
        ? undefined
        : Requests.unprepared(this.#dataSource, request)
      if (asText !== undefined) return this.#send(lease, asText)
      this.#reply = { error, result }
      // A cancelled statement keeps its connection until the KILL meant for it has been answered.
      if (this.#cancelled) return
      const failure = this.#end(lease, error, result) ?? this.#decode(result, columns)
      this.#resume(failure === undefined ? this.#selected(result) : Effect.fail(toSqlError(failure)))
    })
  }

  /** What the caller's own transform throws is a defect of the caller. */
  #selected(result: unknown): Effect.Effect<A> {
    try {
      return Effect.succeed(this.#select(result))
    } catch (defect) {
      return Effect.die(defect)
    }
  }

  /** Takes the request back, or stops the statement on the server. Does nothing once the answer has come. */
  cancel(): Effect.Effect<void> {
    const lease = this.#lease
    if (lease === undefined) {
      this.#takeBack?.()
      return Effect.void
    }
    if (this.#reply !== undefined) return Effect.void
    this.#cancelled = true
    return Effect.flatten(async<Effect.Effect<void>>((resume) => {
      lease.connection.stop(() => {
        const failure = this.#end(lease, this.#reply?.error ?? null, this.#reply?.result)
        resume(Effect.succeed(failure?.outcome === "unknown" ? warnOfUnknown(failure) : Effect.void))
      })
    }))
  }

  #decode(result: unknown, columns: ResultColumns | undefined): DatabaseError | undefined {
    return columns === undefined
      ? undefined
      : decodeReply(this.#dataSource.settings, this.#prepared.request, result, columns)
  }

  #end(lease: Lease, error: unknown, result: unknown): DatabaseError | undefined {
    const { request, text } = this.#prepared
    return this.#dataSource.settle(lease, request.sql, text, this.#sent, error, result)
  }
}

/** An interruption has no error that could say so. */
const warnOfUnknown = ({ database, statement }: DatabaseError): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(
      `${database}: an interrupted statement may have been carried out: the server did not confirm its end`
    ),
    { database, ...(statement === undefined ? {} : { statement }) }
  )

/** How a connection runs what it is given. */
export interface Runner {
  readonly run: typeof run
  readonly runOn: typeof runOn
  readonly stream: Mode
}

export const RUNNER: Runner = { run, runOn, stream: PREPARED }

/** The connection that generic code of `@effect/sql` sees. Without a lender it looks for the open transaction each time. */
export const connection = (
  dataSource: DataSource,
  lender?: Lender,
  runner: Runner = RUNNER
): SqlConnection.Connection => {
  const send = <A>(
    operation: string,
    mode: Mode,
    sql: string,
    params: ReadonlyArray<unknown>,
    select: (result: unknown) => A
  ): Effect.Effect<A, SqlError> =>
    Effect.withFiberRuntime<A, SqlError>((fiber) =>
      lender === undefined
        ? runner.run(dataSource, fiber, mode, operation, sql, params, select)
        : runner.runOn(dataSource, lender, mode, sql, params, fiber.currentContext, select)
    )
  return {
    execute: (sql, params, transform) => send("execute", PREPARED, sql, params, transformedRows(transform)),
    executeUnprepared: (sql, params, transform) =>
      send("executeUnprepared", UNPREPARED, sql, params, transformedRows(transform)),
    executeValues: (sql, params) => send("executeValues", ARRAYS, sql, params, rows),
    executeRaw: (sql, params) => send("executeRaw", PREPARED, sql, params, (result) => result),
    executeStream: (sql, params, transform) =>
      Stream.unwrapScoped(
        Effect.withFiberRuntime<Rows, SqlError, Scope.Scope>((fiber) =>
          lender === undefined
            ? stream(dataSource, fiber, sql, params, transform, runner.stream)
            : streamOn(dataSource, lender, sql, params, transform, fiber.currentContext, runner.stream)
        )
      )
  }
}
