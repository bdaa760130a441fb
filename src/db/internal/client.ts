/** The SqlClient of one database, assembled from `@effect/sql`'s compiler and our own statements and transactions. */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DatabaseError } from "../../Errors.ts"
import type { Owner } from "./borrowed/transactionSlot.ts"
import type { UpstreamStatementClass } from "./borrowed/upstreamStatement.ts"
import { compiler, UpstreamStatement } from "./borrowed/upstreamStatement.ts"
import type { DataSource } from "./dataSource.ts"
import * as DataSources from "./dataSource.ts"
import { toSqlError } from "./errors/sqlError.ts"
import type { Applicant, Lender } from "./lease.ts"
import type { Settings } from "./settings/settings.ts"
import { findProblem } from "./statement/helpers.ts"
import { reserve } from "./statement/reservation.ts"
import type { Transform } from "./statement/rows.ts"
import { rows } from "./statement/rows.ts"
import type { SplitTexts } from "./statement/severalStatements.ts"
import { split } from "./statement/severalStatements.ts"
import type { Mode, Runner } from "./statement/statement.ts"
import { ARRAYS, connection, invalidParameter, PREPARED, RUNNER, stream, UNPREPARED } from "./statement/statement.ts"
import { withTransaction } from "./transaction/transaction.ts"

const dataSources = new WeakMap<SqlClient.SqlClient, DataSource>()

/** The data source behind a client of ours; undefined for a client of another driver. */
export const dataSourceOf = (client: SqlClient.SqlClient): DataSource | undefined => dataSources.get(client)

/** A client with a pool of its own, for as long as the scope. */
export const open = (
  settings: Settings
): Effect.Effect<SqlClient.SqlClient, DatabaseError, Scope.Scope | Reactivity.Reactivity> =>
  Effect.flatMap(
    DataSources.open(settings),
    (dataSource) =>
      Effect.map(Reactivity.Reactivity, ({ query, stream: reactive }) => {
        const client = make(dataSource, { reactive, reactiveMailbox: query }, OURS)
        dataSources.set(client, dataSource)
        return client
      })
  )

/** What stands between the statements of a database and its connections: only `testing` has such. */
export interface View extends Lender, Pick<Owner, "onLeave"> {}

/** The same database by way of a view, as a client of its own. */
export const viewOf = (client: SqlClient.SqlClient, dataSource: DataSource, view: View): SqlClient.SqlClient => {
  const viewed: DataSource = Object.create(dataSource, {
    lend: { value: (context: Context.Context<never>, applicant: Applicant) => view.lend(context, applicant) },
    ...view.onLeave === undefined ? {} : { onLeave: { value: view.onLeave } }
  })
  const derived = make(viewed, client, OURS)
  dataSources.set(derived, viewed)
  return derived
}

/** How a client writes, runs and reads its statements. */
export interface Conventions {
  readonly compiler: Statement.Compiler
  readonly transformRows: Transform
  readonly runner: Runner
  readonly withTransaction: typeof withTransaction
  /** Where texts of several statements are kept apart; undefined: such a text is one statement to us. */
  readonly texts: SplitTexts | undefined
}

const OURS: Conventions = { compiler, transformRows: undefined, runner: RUNNER, withTransaction, texts: undefined }

export const make = (
  dataSource: DataSource,
  reactive: Pick<SqlClient.SqlClient, "reactive" | "reactiveMailbox">,
  conventions: Conventions
): SqlClient.SqlClient => {
  const { compiler, runner, texts, transformRows, withTransaction } = conventions
  // Statement.make caches its constructors by the identity of the acquirer, so each client needs one of its own.
  const acquirer = Effect.succeed(connection(dataSource, undefined, runner))
  const OurStatement = statementClass(dataSource, conventions)
  const base = Statement.make(acquirer, compiler, dataSource.spanAttributes, transformRows)
  const build = (segments: ReadonlyArray<Statement.Segment>): OurStatement =>
    new OurStatement(segments, acquirer, compiler, dataSource.spanAttributes, transformRows)

  const template = (strings: any, ...args: Array<any>): any => {
    const built = base(strings, ...args) as unknown
    if (!(built instanceof UpstreamStatement)) return built
    const statement = build(built.segments)
    statement.parts = texts === undefined ?
      undefined :
      split({ strings, args })?.map((part) =>
        build((base(part.strings, ...part.args) as unknown as UpstreamStatement).segments)
      )
    return statement
  }
  const client: any = Object.assign(template, base, {
    [SqlClient.TypeId]: SqlClient.TypeId,
    unsafe: (sql: string, params?: ReadonlyArray<unknown>) => build(Statement.unsafeFragment(sql, params).segments),
    withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => withTransaction(dataSource, effect),
    reserve: reserve(dataSource, runner),
    withoutTransforms: () => withoutTransforms,
    reactive: reactive.reactive,
    reactiveMailbox: reactive.reactiveMailbox
  })
  const withoutTransforms: unknown = transformRows === undefined
    ? client
    : make(dataSource, reactive, { ...conventions, compiler: compiler.withoutTransform, transformRows: undefined })
  client.safe = client
  return client as SqlClient.SqlClient
}

interface OurStatement extends UpstreamStatement {
  /** The statements of a text of several. */
  parts: ReadonlyArray<UpstreamStatement> | undefined
}

/** Statements that run through `statement/`. If a transformer is installed, they run as those of `@effect/sql` do. */
const statementClass = (
  dataSource: DataSource,
  { runner, texts, transformRows }: Conventions
): UpstreamStatementClass<OurStatement> => {
  // The results of several statements are transformed each by itself.
  const transformed = transformRows && ((results: ReadonlyArray<any>): ReadonlyArray<any> =>
    results.some(Array.isArray)
      ? results.map((result) => Array.isArray(result) ? transformRows(result) : result)
      : transformRows(results))

  return class extends UpstreamStatement {
    parts: ReadonlyArray<UpstreamStatement> | undefined

    override compile(withoutTransform?: boolean): ReturnType<UpstreamStatement["compile"]> {
      return this.parts === undefined || texts === undefined
        ? super.compile(withoutTransform)
        : texts.join(this.parts.map((part) => part.compile(withoutTransform)))
    }

    #run<A>(
      operation: string,
      mode: Mode,
      withoutTransform: boolean,
      select: (result: unknown) => A,
      upstream: () => Effect.Effect<A, SqlError>,
      finish?: (result: A) => A
    ): Effect.Effect<A, SqlError> {
      return Effect.withFiberRuntime<A, SqlError>((fiber) => {
        const problem = findProblem(this.segments)
        if (problem !== undefined) return Effect.fail(toSqlError(invalidParameter(dataSource, problem)))
        if (fiber.getFiberRef(Statement.currentTransformer)._tag === "Some") return upstream()
        const [sql, params] = this.compile(withoutTransform)
        const work = runner.run(dataSource, fiber, mode, operation, sql, params, select, this.segments)
        return finish === undefined ? work : Effect.map(work, finish)
      })
    }

    override commit(): Effect.Effect<ReadonlyArray<any>, SqlError> {
      return this.#run("execute", PREPARED, false, rows, () => super.commit(), transformed)
    }

    override get withoutTransform(): Effect.Effect<ReadonlyArray<any>, SqlError> {
      return this.#run("executeWithoutTransform", PREPARED, true, rows, () => super.withoutTransform)
    }

    override get raw(): Effect.Effect<unknown, SqlError> {
      return this.#run("executeRaw", PREPARED, true, (result) => result, () => super.raw)
    }

    override get values(): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> {
      return this.#run("executeValues", ARRAYS, false, rows, () => super.values)
    }

    override get unprepared(): Effect.Effect<ReadonlyArray<any>, SqlError> {
      return this.#run("executeUnprepared", UNPREPARED, false, rows, () => super.unprepared, transformed)
    }

    override get stream(): Stream.Stream<any, SqlError> {
      return Stream.unwrapScoped(
        Effect.withFiberRuntime<Stream.Stream<any, SqlError>, SqlError, Scope.Scope>((fiber) => {
          const problem = findProblem(this.segments)
          if (problem !== undefined) return Effect.fail(toSqlError(invalidParameter(dataSource, problem)))
          if (fiber.getFiberRef(Statement.currentTransformer)._tag === "Some") return Effect.succeed(super.stream)
          const [sql, params] = this.compile()
          return stream(dataSource, fiber, sql, params, transformRows, runner.stream, this.segments)
        })
      )
    }
  }
}
