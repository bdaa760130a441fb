/**
 * `npm run test:upstream`: the rows of the contract on upstream's own client, where each is expected to show its defect.
 * If a row fails, upstream no longer has that defect.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Model from "@effect/sql/Model"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { rows, type Subject, suite, type Target } from "../contract/SqlClients.ts"
import { batchingRegion } from "../contract/sqlClients/transactions.ts"

/** The target as upstream's settings, as far as it has them. */
const configOf = (target: Target): MysqlClient.MysqlClientConfig => {
  const connections = target.connections ?? 4
  const common = {
    maxConnections: connections,
    connectionTTL: target.lifetime,
    poolConfig: target.plain === true ? undefined : { maxIdle: connections, dateStrings: target.datesAsText === true }
  }
  if (target.byUrl === true) return { ...common, url: Redacted.make(target.url) }
  const url = new URL(target.url)
  return {
    ...common,
    host: url.hostname,
    port: Number(url.port),
    database: url.pathname.slice(1),
    username: url.username,
    password: Redacted.make(url.password)
  }
}

class Record extends Model.Class<Record>("Record")({ id: Schema.Number, mark: Schema.String }) {}

const upstream: Subject = {
  name: "@effect/sql-mysql2",
  expectDefect: true,
  // As its source says.
  connectTimeout: 5_000,
  make: (target) => Effect.provide(closedInTime(MysqlClient.make(configOf(target))), Reactivity.layer),
  loaders: (sql) =>
    Effect.map(
      Model.makeDataLoaders(Record, {
        tableName: "records",
        spanPrefix: "Records",
        idColumn: "id",
        window: "10 millis"
      }),
      (loaders) => ({
        find: loaders.findById,
        insert: (record: { readonly id: number; readonly mark: string }) =>
          loaders.insertVoid(Record.insert.make(record))
      })
    ).pipe(Effect.provideService(SqlClient.SqlClient, sql)),
  write: (statement) => Effect.map(statement, ([result]) => result)
}

/** Closing the scope waits two seconds for the client, not for ever. */
const closedInTime = <A, E, R>(
  make: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.flatMap(Scope.make(), (scope) =>
    Effect.acquireRelease(
      Effect.onError(Scope.extend(Effect.interruptible(make), scope), () => Scope.close(scope, Exit.void)),
      () => Scope.close(scope, Exit.void).pipe(Effect.disconnect, Effect.timeoutOption(2_000))
    ))

/** The same client with a transaction tag of its own: the first fix one would try. */
const privately = (client: SqlClient.SqlClient): SqlClient.SqlClient => {
  const tag = Context.GenericTag<unknown, readonly [conn: SqlConnection.Connection, counter: number]>(
    `private/${Math.random()}`
  )
  const { acquirer, compiler } = client.unsafe("") as unknown as {
    readonly acquirer: SqlConnection.Connection.Acquirer
    readonly compiler: Statement.Compiler
  }
  const run = (text: (id: number) => string) => (conn: SqlConnection.Connection, id = 0) =>
    conn.executeUnprepared(text(id), [], undefined)
  const statements = Statement.make(
    Effect.flatMap(
      Effect.serviceOption(tag),
      (open) => open._tag === "Some" ? Effect.succeed(open.value[0]) : acquirer
    ),
    compiler,
    [],
    undefined
  )
  return Object.assign(statements, {
    ...client,
    ...statements,
    withTransaction: SqlClient.makeWithTransaction({
      transactionTag: tag,
      spanAttributes: [],
      acquireConnection: Effect.flatMap(
        Scope.make(),
        (scope) => Effect.map(Scope.extend(client.reserve, scope), (conn) => [scope, conn] as const)
      ),
      begin: run(() => "BEGIN"),
      savepoint: run((id) => `SAVEPOINT s${id}`),
      commit: run(() => "COMMIT"),
      rollback: run(() => "ROLLBACK"),
      rollbackSavepoint: run((id) => `ROLLBACK TO SAVEPOINT s${id}`)
    })
  })
}

suite(upstream, rows)

suite({
  ...upstream,
  name: "@effect/sql-mysql2 with a private tag for each database",
  make: (target) => Effect.map(upstream.make(target), privately)
}, [batchingRegion])
