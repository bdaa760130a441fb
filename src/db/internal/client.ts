/** The SqlClient of one database, assembled from `@effect/sql`'s compiler and our own statements and transactions. */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine } from "./dataSource.ts"
import { reserve } from "./statement/reservation.ts"
import type { Mode } from "./statement/statement.ts"
import { ARRAYS, connection, PREPARED, rows, run, stream, UNPREPARED } from "./statement/statement.ts"
import { withTransaction } from "./transaction/transaction.ts"

const compiler = MysqlClient.makeCompiler()

/** The class behind the statements of `@effect/sql`, which it does not export: their shape, compiling and transformers are its. */
interface Primitive extends Statement.Statement<any> {
  readonly segments: ReadonlyArray<Statement.Segment>
  commit(): Effect.Effect<ReadonlyArray<any>, SqlError>
}

type PrimitiveClass = new(
  segments: ReadonlyArray<Statement.Segment>,
  acquirer: SqlConnection.Connection.Acquirer,
  compiler: Statement.Compiler,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>,
  transformRows: undefined
) => Primitive

const PrimitiveStatement = Statement.make(Effect.never, compiler, [], undefined).unsafe("")
  .constructor as PrimitiveClass

export const make = (engine: Engine): Effect.Effect<SqlClient.SqlClient, never, Reactivity.Reactivity> =>
  Effect.map(Reactivity.Reactivity, (reactivity) => {
    // Statement.make keeps its constructors by the identity of the acquirer: one of its own for every client.
    const acquirer = Effect.succeed(connection(engine))
    const OurStatement = statementClass(engine)
    const base = Statement.make(acquirer, compiler, engine.spanAttributes, undefined)
    const build = (segments: ReadonlyArray<Statement.Segment>): Primitive =>
      new OurStatement(segments, acquirer, compiler, engine.spanAttributes, undefined)

    const template = (strings: any, ...args: Array<any>): any => {
      const built = base(strings, ...args) as unknown
      return built instanceof PrimitiveStatement ? build(built.segments) : built
    }
    const client: any = Object.assign(template, base, {
      [SqlClient.TypeId]: SqlClient.TypeId,
      unsafe: (sql: string, params?: ReadonlyArray<unknown>) => build(Statement.unsafeFragment(sql, params).segments),
      withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => withTransaction(engine, effect),
      reserve: reserve(engine),
      withoutTransforms: () => client,
      reactive: reactivity.stream,
      reactiveMailbox: reactivity.query
    })
    client.safe = client
    return client as SqlClient.SqlClient
  })

/** Statements that take the short way, unless a transformer wants to see them: then they take `@effect/sql`'s own. */
const statementClass = (engine: Engine): PrimitiveClass =>
  class extends PrimitiveStatement {
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
        return run(engine, fiber, mode, operation, sql, params, select)
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
          return stream(engine, fiber, sql, params, undefined)
        })
      )
    }
  }
