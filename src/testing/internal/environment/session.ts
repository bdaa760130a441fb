/** One connection to the server of the tests, with session settings of its own, for as long as a scope. */
import * as Reactivity from "@effect/experimental/Reactivity"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { isInTransaction, serverStatus } from "../../../db/internal/borrowed/mysql2Connection.ts"
import * as Client from "../../../db/internal/client.ts"
import { mapSqlErrors } from "../../../db/internal/errors/sqlError.ts"
import * as Settings from "../../../db/internal/settings/settings.ts"
import type { ConfigurationError, DatabaseError } from "../../../Errors.ts"
import { STATEMENT } from "../deadlines.ts"

export interface Session {
  /** Runs one statement. Parameters are put into the text, so it may be any statement. */
  readonly run: <Row extends object>(
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, DatabaseError>
  /** Whether a transaction is open in which something was done. */
  readonly inTransaction: Effect.Effect<boolean, DatabaseError>
}

/** @param name the database in errors, and the beginning of the setting that is named if the URL is wrong */
export const open = (
  name: string,
  prefix: string,
  url: Redacted.Redacted
): Effect.Effect<Session, ConfigurationError | DatabaseError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* Settings.fromConfig(name, prefix, {
      url: Config.succeed(url),
      poolSize: Config.succeed(1),
      maxOverflow: Config.succeed(0),
      startup: Config.succeed("lazy" as const),
      // The connection is held as long as the layer.
      leakThreshold: Config.succeed(0),
      statementTimeout: Config.succeed(STATEMENT)
    })
    const client = yield* Effect.provideServiceEffect(Client.open(settings), Reactivity.Reactivity, Reactivity.make)
    const connection = yield* mapSqlErrors(name, client.reserve)
    return {
      run: (sql, params = []) => mapSqlErrors(name, execute(connection, sql, params)),
      inTransaction: Effect.map(
        mapSqlErrors(name, connection.executeRaw("DO 0", [])),
        (header) => isInTransaction(serverStatus(header) ?? 0)
      )
    }
  })

const execute = (
  connection: SqlConnection.Connection,
  sql: string,
  params: ReadonlyArray<unknown>
): ReturnType<SqlConnection.Connection["executeUnprepared"]> => connection.executeUnprepared(sql, params, undefined)

/** A name as MySQL quotes it. */
export const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``
