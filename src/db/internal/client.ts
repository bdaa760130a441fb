/** The SqlClient of one database, assembled from `@effect/sql`'s compiler and our own statements and transactions. */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DatabaseError } from "../../Errors.ts"
import type { UpstreamStatementClass } from "./borrowed/upstreamStatement.ts"
import { compiler, UpstreamStatement } from "./borrowed/upstreamStatement.ts"
import type { DataSource } from "./dataSource.ts"
import * as DataSources from "./dataSource.ts"
import type { Settings } from "./settings/settings.ts"
import { reserve } from "./statement/reservation.ts"
import { rows } from "./statement/rows.ts"
import type { Mode } from "./statement/statement.ts"
import { ARRAYS, connection, PREPARED, run, stream, UNPREPARED } from "./statement/statement.ts"
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
      Effect.map(Reactivity.Reactivity, (reactivity) => {
        const client = make(dataSource, reactivity)
        dataSources.set(client, dataSource)
        return client
      })
  )

const make = (dataSource: DataSource, reactivity: Reactivity.Reactivity["Type"]): SqlClient.SqlClient => {
  // Statement.make caches its constructors by the identity of the acquirer, so each client needs one of its own.
  const acquirer = Effect.succeed(connection(dataSource))
  const OurStatement = statementClass(dataSource)
  const base = Statement.make(acquirer, compiler, dataSource.spanAttributes, undefined)
  const build = (segments: ReadonlyArray<Statement.Segment>): UpstreamStatement =>
    new OurStatement(segments, acquirer, compiler, dataSource.spanAttributes, undefined)

  const template = (strings: any, ...args: Array<any>): any => {
    const built = base(strings, ...args) as unknown
    return built instanceof UpstreamStatement ? build(built.segments) : built
  }
  const client: any = Object.assign(template, base, {
    [SqlClient.TypeId]: SqlClient.TypeId,
    unsafe: (sql: string, params?: ReadonlyArray<unknown>) => build(Statement.unsafeFragment(sql, params).segments),
    withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => withTransaction(dataSource, effect),
    reserve: reserve(dataSource),
    withoutTransforms: () => client,
    reactive: reactivity.stream,
    reactiveMailbox: reactivity.query
  })
  client.safe = client
  return client as SqlClient.SqlClient
}

/** Statements that run through `statement/`. If a transformer is installed, they run as those of `@effect/sql` do. */
const statementClass = (dataSource: DataSource): UpstreamStatementClass =>
  class extends UpstreamStatement {
    #run<A>(
      operation: string,
      mode: Mode,
      withoutTransform: boolean,
      select: (result: unknown) => A,
      upstream: () => Effect.Effect<A, SqlError>
    ): Effect.Effect<A, SqlError> {
      return Effect.withFiberRuntime<A, SqlError>((fiber) => {
        if (fiber.getFiberRef(Statement.currentTransformer)._tag === "Some") return upstream()
        const [sql, params] = this.compile(withoutTransform)
        return run(dataSource, fiber, mode, operation, sql, params, select)
      })
    }

    override commit(): Effect.Effect<ReadonlyArray<any>, SqlError> {
      return this.#run("execute", PREPARED, false, rows, () => super.commit())
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
      return this.#run("executeUnprepared", UNPREPARED, false, rows, () => super.unprepared)
    }

    override get stream(): Stream.Stream<any, SqlError> {
      return Stream.unwrapScoped(
        Effect.withFiberRuntime<Stream.Stream<any, SqlError>, SqlError, Scope.Scope>((fiber) => {
          if (fiber.getFiberRef(Statement.currentTransformer)._tag === "Some") return Effect.succeed(super.stream)
          const [sql, params] = this.compile()
          return stream(dataSource, fiber, sql, params, undefined)
        })
      )
    }
  }
