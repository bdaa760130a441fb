/**
 * Borrowed from `@effect/sql`: the class of its statements, which it does not export, and the parts of its client that
 * a statement holds.
 *
 * Our statements extend that class, so that compiling, fragments and transformers stay upstream's and only the way to
 * the server is ours. `fromSqlClient` rebuilds another client's statements from their parts.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"

/** The compiler of MySQL's dialect. */
export const compiler: Statement.Compiler = MysqlClient.makeCompiler()

/** An instance of upstream's class. */
export interface UpstreamStatement extends Statement.Statement<any> {
  readonly segments: ReadonlyArray<Statement.Segment>
  compile(withoutTransform?: boolean): readonly [sql: string, params: ReadonlyArray<unknown>]
  commit(): Effect.Effect<ReadonlyArray<any>, SqlError>
}

export type UpstreamStatementClass<Self = UpstreamStatement> = new(
  segments: ReadonlyArray<Statement.Segment>,
  acquirer: SqlConnection.Connection.Acquirer,
  compiler: Statement.Compiler,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>,
  transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
) => Self

/** Upstream's class, taken from a statement that is never run. */
export const UpstreamStatement: UpstreamStatementClass = Statement.make(Effect.never, compiler, [], undefined)
  .unsafe("").constructor as UpstreamStatementClass

/** What a statement holds beyond its own types: how to get a connection, and how its text and rows are made. */
export interface StatementParts {
  readonly acquirer: SqlConnection.Connection.Acquirer
  readonly compiler: Statement.Compiler
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
  readonly transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
}

/** The parts of the statements of that client. */
export const partsOf = (client: SqlClient.SqlClient): StatementParts => client.unsafe("") as unknown as StatementParts
