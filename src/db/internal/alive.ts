/** Whether a database answers, for health checks. */
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../Errors.ts"
import { dataSourceOf } from "./client.ts"
import type { DataSource } from "./dataSource.ts"
import { mapSqlErrors } from "./errors/sqlError.ts"
import type { Lease } from "./lease.ts"
import { unfailed } from "./lease.ts"
import type { Stats } from "./pool/model.ts"
import { inspect } from "./statement/inspectSql.ts"

/** What health checks do with one database. */
export interface Watched {
  /** Undefined for a client of another driver. */
  readonly stats: () => Stats | undefined
  /** Every connection that may exist is in use. */
  readonly full: () => boolean
  readonly closed: () => boolean
  /** What the last attempt to open a connection failed with. Undefined after one that succeeded. */
  readonly unreachable: () => DatabaseError | undefined
  /**
   * Asks on an idle connection, or opens one. It waits behind nobody: do not run it while the pool is full. It sets no
   * deadline; interrupted, it gives the connection up.
   */
  readonly ping: Effect.Effect<void, DatabaseError>
}

export const watch = (name: string, client: SqlClient.SqlClient): Watched => {
  const dataSource = dataSourceOf(client)
  return dataSource === undefined
    ? {
      stats: () => undefined,
      full: () => false,
      closed: () => false,
      unreachable: () => undefined,
      ping: Effect.asVoid(mapSqlErrors(name, client`SELECT 1`))
    }
    : {
      stats: () => dataSource.stats,
      full: () => {
        const { active, max } = dataSource.stats
        return active >= max
      },
      closed: () => dataSource.pool.closed,
      unreachable: () => {
        const cause = dataSource.pool.lastFailure
        return cause === undefined
          ? undefined
          : dataSource.acquireError({ _tag: "DialFailed", cause, stats: dataSource.stats })
      },
      ping: ping(dataSource)
    }
}

/** A sandbox of `testing` knows no ping of the protocol. */
const QUESTION = { sql: "SELECT 1", values: [], rowsAsArray: false, prepared: false } as const

const ping = (dataSource: DataSource): Effect.Effect<void, DatabaseError> =>
  Effect.async<void, DatabaseError>((resume) => {
    let lent: Lease | undefined
    const takeBack = dataSource.lend(Context.empty(), {
      onLease: (lease) => {
        lent = lease
        lease.connection.run(QUESTION, (error, result) => {
          if (lent === undefined) return
          lent = undefined
          const failure = dataSource.settle(lease, QUESTION.sql, inspect(QUESTION.sql), true, error, result)
          resume(failure === undefined ? Effect.void : Effect.fail(failure))
        })
      },
      onRefusal: (error) => resume(Effect.fail(error))
    })
    return Effect.sync(() => {
      takeBack()
      if (lent === undefined) return
      lent.connection.destroy()
      dataSource.pool.suspect()
      lent.end(unfailed(false))
      lent = undefined
    })
  })
