/**
 * One of our databases as a client for libraries that were made for `@effect/sql`, by upstream's conventions: DDL may run
 * in its transactions, BIGINT arrives as upstream gives it, names can be transformed, and a template may hold several
 * statements. It runs on the pool, and in the open transactions, of the database.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type { Segment } from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { DatabaseError } from "../../Errors.ts"
import { isTraced } from "../../internal/tracing.ts"
import * as Client from "./client.ts"
import type { DataSource } from "./dataSource.ts"
import { toSqlError } from "./errors/sqlError.ts"
import type { Lender } from "./lease.ts"
import { afterDdl, isDdl, notRepeatable, runDdl } from "./statement/ddl.ts"
import { inspect } from "./statement/inspectSql.ts"
import type { Part } from "./statement/severalStatements.ts"
import { SplitTexts } from "./statement/severalStatements.ts"
import { withLease } from "./statement/sharedLease.ts"
import type { Mode, Runner } from "./statement/statement.ts"
import { implicitCommit, PREPARED, runOn, UNPREPARED } from "./statement/statement.ts"
import * as Spans from "./telemetry/spans.ts"
import { Level } from "./transaction/level.ts"
import { lenderOf, levelOf, withTransaction } from "./transaction/transaction.ts"

/** What upstream's client can be told about names, with the same meaning. */
export interface SqlClientOptions {
  /** Applied to the names that statements are built from, such as `camelToSnake`. Default: names stay as they are. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** Applied to the names of columns in rows, such as `snakeToCamel`. Default: names stay as they are. */
  readonly transformResultNames?: ((name: string) => string) | undefined
}

/** `unlimited`: the database's limit for statements does not count. */
export const make = (
  client: SqlClient.SqlClient,
  options: SqlClientOptions = {},
  unlimited = false
): MysqlClient.MysqlClient => {
  const { transformQueryNames, transformResultNames } = options
  const dataSource = Client.dataSourceOf(client)
  if (dataSource === undefined) return foreign(client, options)
  const texts = new SplitTexts()
  const upstream = Client.make(dataSource, client, {
    compiler: MysqlClient.makeCompiler(transformQueryNames),
    transformRows: transformResultNames && Statement.defaultTransforms(transformResultNames).array,
    runner: runnerFor(texts, unlimited),
    withTransaction: transact,
    texts
  })
  const { credentials, database, host, password, poolSize, maxOverflow, port, user } = dataSource.settings
  const config: MysqlClient.MysqlClientConfig = {
    host,
    port,
    database,
    ...(credentials === undefined ? { username: user, password } : {}),
    maxConnections: poolSize + maxOverflow,
    transformQueryNames,
    transformResultNames
  }
  const without = asMysqlClient(upstream.withoutTransforms(), config)
  return asMysqlClient(Object.assign(upstream, { withoutTransforms: () => without }), config)
}

const asMysqlClient = (
  client: SqlClient.SqlClient,
  config: MysqlClient.MysqlClientConfig
): MysqlClient.MysqlClient => Object.assign(client, { [MysqlClient.TypeId]: MysqlClient.TypeId, config } as const)

/** A client of any driver, provided by `fromSqlClient`, keeps its own conventions. */
const foreign = (client: SqlClient.SqlClient, options: SqlClientOptions): MysqlClient.MysqlClient => {
  if (Object.values(options).some((option) => option !== undefined)) {
    throw new Error(
      "toSqlClientWith has no options for a database that was provided by fromSqlClient: give them to that client"
    )
  }
  return asMysqlClient(client, {})
}

/** A transaction in which DDL may run, unless an outer one of the same database refuses it. */
const transact: typeof withTransaction = (dataSource, effect) =>
  Effect.suspend(() => {
    let level: Level | undefined
    const body = Effect.withFiberRuntime<Effect.Effect.Success<typeof effect>, any, any>((fiber) => {
      level = levelOf(dataSource, fiber.currentContext)
      return effect
    })
    return Effect.mapError(withTransaction(dataSource, body, {}, true), (error) => afterDdl(level?.transaction, error))
  })

/** Runs statements with BIGINT as upstream gives it, DDL where it may run, and texts of several statements one by one. */
const runnerFor = (texts: SplitTexts, unlimited: boolean): Runner => {
  const auto = (mode: Mode): Mode => ({ ...mode, bigint: "auto", unlimited })
  const on: Runner["runOn"] = <A>(
    dataSource: DataSource,
    lender: Lender | DatabaseError,
    mode: Mode,
    sql: string,
    params: ReadonlyArray<unknown>,
    context: Context.Context<never>,
    select: (result: unknown) => A,
    segments?: ReadonlyArray<Segment>
  ): Effect.Effect<A, SqlError> => {
    if (lender instanceof DatabaseError) return Effect.fail(toSqlError(lender))
    const level = lender instanceof Level && lender.allowsDdl ? lender : undefined
    const parts = mode.prepared ? undefined : texts.partsOf(sql)
    const work = parts !== undefined
      ? Effect.map(oneByOne(dataSource, lender, level, parts, params, context, auto), select)
      : level !== undefined && isDdl(inspect(sql))
      ? withLease(
        level,
        context,
        (shared) =>
          runDdl(level, sql, runOn(dataSource, shared.ddl, auto(mode), sql, params, context, select, segments))
      )
      : runOn(dataSource, lender, auto(mode), sql, params, context, select, segments)
    return level === undefined ? work : Effect.mapError(work, (error) => afterDdl(level.transaction, error))
  }
  return {
    run: (dataSource, fiber, mode, operation, sql, params, select, segments) => {
      const context = fiber.currentContext
      const work = on(dataSource, lenderOf(dataSource, context), mode, sql, params, context, select, segments)
      return isTraced(fiber) ? Spans.statement(dataSource, operation, sql, work) : work
    },
    runOn: on,
    stream: auto(PREPARED)
  }
}

/** The results of several statements. The first that fails is the last that is sent. */
const oneByOne = (
  dataSource: DataSource,
  lender: Lender,
  level: Level | undefined,
  parts: ReadonlyArray<Part>,
  params: ReadonlyArray<unknown>,
  context: Context.Context<never>,
  auto: (mode: Mode) => Mode
): Effect.Effect<ReadonlyArray<unknown>, SqlError> => {
  const texts = parts.map(({ sql }) => inspect(sql))
  const refused = texts.findIndex((text) => text.endsTransaction && !(level !== undefined && isDdl(text)))
  if (lender instanceof Level && refused >= 0) {
    return Effect.fail(toSqlError(implicitCommit(dataSource, texts[refused]!, parts[refused]!.sql)))
  }
  return withLease(lender, context, (shared) =>
    Effect.gen(function*() {
      const results: Array<unknown> = []
      let offset = 0
      let written = false
      for (const [index, { params: count, sql }] of parts.entries()) {
        const text = texts[index]!
        const mode = auto(count === 0 ? UNPREPARED : PREPARED)
        const own = params.slice(offset, offset + count)
        const ddl = level !== undefined && isDdl(text)
        const statement = runOn(dataSource, ddl ? shared.ddl : shared, mode, sql, own, context, (result) => result)
        const work = ddl ? runDdl(level, sql, statement) : statement
        // Outside of a transaction, what an earlier statement of the text has written stays.
        const stays = written && !(lender instanceof Level)
        results.push(
          yield* stays
            ? Effect.mapError(work, (error) =>
              notRepeatable(error, "an earlier statement of the same text was carried out"))
            : work
        )
        offset += count
        written ||= !text.reads
      }
      return results
    }))
}
