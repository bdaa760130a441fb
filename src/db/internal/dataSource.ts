/** One database: its settings, its pool, and what its failures mean. It lends connections to statements and transactions. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { DatabaseError } from "../../Errors.ts"
import { serverStatus } from "./borrowed/mysql2Connection.ts"
import type { Owner } from "./borrowed/transactionSlot.ts"
import { Connection, type LendIdle } from "./connection/connection.ts"
import type { LoginSource } from "./connection/login.ts"
import { loginSource } from "./connection/login.ts"
import { SHUTDOWN } from "./deadlines.ts"
import { classify, endsConnection, makeError, toDatabaseError } from "./errors/classify.ts"
import type { Applicant, Lease, Lender, PoolOwner } from "./lease.ts"
import { PoolLease, unfailed } from "./lease.ts"
import type { AcquireFailure, ConnectionFactory, Entry, Stats, Surroundings } from "./pool/model.ts"
import { Pool } from "./pool/pool.ts"
import type { Settings } from "./settings/settings.ts"
import type { InspectedSql } from "./statement/inspectSql.ts"
import { Unpreparable } from "./statement/unpreparable.ts"
import type { PoolMetrics } from "./telemetry/metrics.ts"
import * as Metrics from "./telemetry/metrics.ts"
import { schedule } from "./waiting/schedule.ts"

export class DataSource implements Lender, PoolOwner, Owner {
  readonly name: string
  readonly target: string
  readonly settings: Settings
  readonly pool: Pool<Connection>
  readonly metrics: PoolMetrics
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
  readonly unpreparable = new Unpreparable()
  readonly onLeave: Owner["onLeave"] = undefined

  constructor(
    settings: Settings,
    logins: LoginSource,
    random: () => number,
    onLeak: (entry: Entry<unknown>, heldFor: number) => void
  ) {
    this.name = settings.name
    this.target = `${settings.socket ?? `${settings.host}:${settings.port}`}/${settings.database}`
    this.settings = settings
    this.metrics = Metrics.make(settings.name, {
      idle: settings.poolSize,
      all: settings.poolSize + settings.maxOverflow
    })
    this.pool = new Pool(connectionFactory(settings, logins, this), surroundings(random), {
      size: settings.poolSize,
      overflow: settings.maxOverflow,
      acquireTimeout: settings.poolTimeout,
      connectTimeout: settings.connectTimeout,
      recycle: settings.poolRecycle,
      prePing: settings.poolPrePing,
      pingSkip: settings.poolPrePingSkip,
      leakThreshold: settings.leakThreshold,
      onLeak
    })
    this.spanAttributes = [
      ["db.system.name", "mysql"],
      ["db.namespace", settings.database],
      ["server.address", settings.socket ?? settings.host],
      ...(settings.socket === undefined ? [["server.port", settings.port] as const] : [])
    ]
  }

  get stats(): Stats {
    return this.pool.stats
  }

  lend(context: Context.Context<never>, applicant: Applicant): () => void {
    return this.pool.acquire(new PoolLease(this, context, applicant))
  }

  /** The connection that `what` must use, of a transaction or a reservation, did not become free in time. */
  busyError(what: string): DatabaseError {
    return makeError(
      this.name,
      "PoolTimeout",
      `${what} was not free within ${this.settings.poolTimeout} ms: a statement, a stream or a nested transaction on it is`
        + " still open",
      { hint: "let the open work end first, or use another connection" }
    )
  }

  /**
   * Ends a lease according to the server's answer to its statement. Returns the failure, if the answer was one. `sent` is
   * false if the statement cannot have reached the server.
   */
  settle(
    lease: Lease,
    sql: string,
    { changesSession: changedSession, mayCommit, reads }: InspectedSql,
    sent: boolean,
    error: unknown,
    result: unknown
  ): DatabaseError | undefined {
    if (error === null) {
      lease.end({ failure: undefined, status: serverStatus(result), changedSession, mayCommit })
      return undefined
    }
    if (endsConnection(error)) lease.connection.destroy()
    const mayHaveEffect = sent && (lease.inTransaction ? mayCommit : !reads)
    const failure = toDatabaseError(this.name, error, sql, mayHaveEffect)
    lease.end({
      failure: { error: failure, classification: classify(error) },
      status: undefined,
      changedSession,
      mayCommit
    })
    return failure
  }

  /** The error for a failed acquire. A timeout reports the numbers of the pool and the last failed dial. */
  acquireError({ _tag, cause, stats }: AcquireFailure): DatabaseError {
    const lastDial = cause === undefined ? undefined : dialError(this.name, cause)
    switch (_tag) {
      case "DialFailed":
        return lastDial!
      case "Closed":
        return makeError(this.name, "PoolClosed", "the pool is closed", {
          hint: "use the database only within the scope of its layer"
        })
      case "Timeout": {
        const { maxOverflow, poolSize, poolTimeout } = this.settings
        const numbers = `pool size ${poolSize}, overflow ${maxOverflow}; ${stats.active} active, ${stats.idle} idle,`
          + ` ${stats.dialling} dialling, ${stats.waiting} waiting`
        const detail = `no connection became free within ${poolTimeout} ms (${numbers})`
        return lastDial === undefined
          ? makeError(this.name, "PoolTimeout", detail, {
            hint: "look for work that holds a connection for long or borrows a second one, or raise the pool size",
            retryable: true
          })
          : makeError(
            this.name,
            "PoolTimeout",
            `${detail}. The last attempt to connect failed (${lastDial.reason}${
              lastDial.errno === undefined ? "" : `, errno ${lastDial.errno}`
            }): ${lastDial.detail}`,
            { ...(lastDial.hint === undefined ? {} : { hint: lastDial.hint }), retryable: true, cause: lastDial }
          )
      }
    }
  }
}

/** The failure of a dial. */
const dialError = (name: string, cause: unknown): DatabaseError =>
  (cause as { code?: unknown }).code === "CONNECT_TIMEOUT"
    ? makeError(
      name,
      "ConnectTimeout",
      (cause as Error).message,
      { hint: "check that the host is right and can be reached from here", retryable: true }
    )
    // The set-up of the session may have failed: the driver knows the statement.
    : toDatabaseError(name, cause, (cause as { readonly sql?: string }).sql)

/** Opens the pool for the life of the scope. With `startup: "verify"` it succeeds once one connection has been opened. */
export const open = (settings: Settings): Effect.Effect<DataSource, DatabaseError, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    const runFork = Runtime.runFork(runtime)
    // Closed after the pool, whose dials run in it.
    const fibers = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
    const dataSource = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new DataSource(
          settings,
          loginSource(settings, runtime, fibers),
          () => Runtime.runSync(runtime)(Random.next),
          (entry, heldFor) => {
            runFork(reportLeak(settings.name, entry.borrower as Context.Context<never> | undefined, heldFor))
          }
        )
      ),
      ({ metrics, pool }) =>
        Effect.async<void>((resume) =>
          pool.shutdown(SHUTDOWN, () => {
            metrics.update(pool)
            metrics.close()
            resume(Effect.void)
          })
        )
    )
    if (settings.startup === "verify") yield* verify(dataSource)
    return dataSource
  })

const verify = (dataSource: DataSource): Effect.Effect<void, DatabaseError> =>
  Effect.async<void, DatabaseError>((resume) => {
    const takeBack = dataSource.lend(Context.empty(), {
      onLease: (lease) => {
        lease.end(unfailed(false))
        resume(Effect.void)
      },
      onRefusal: (error) => resume(Effect.fail(error))
    })
    return Effect.sync(takeBack)
  })

const reportLeak = (
  name: string,
  context: Context.Context<never> | undefined,
  heldFor: number
): Effect.Effect<void> => {
  const span = context?.unsafeMap.get(Tracer.ParentSpan.key) as Tracer.AnySpan | undefined
  return Effect.logWarning(`${name}: a connection has been held for ${Math.round(heldFor)} ms; is it leaked?`).pipe(
    Effect.annotateLogs({
      database: name,
      ...(span === undefined ? {} : {
        borrowedBy: span._tag === "Span" ? span.name : "external span",
        traceId: span.traceId,
        spanId: span.spanId
      })
    })
  )
}

const connectionFactory = (
  settings: Settings,
  logins: LoginSource,
  dataSource: DataSource
): ConnectionFactory<Connection> => ({
  dial: (done) => {
    const started = performance.now()
    return Connection.dial({ settings, logins, lendIdle: lendIdle(dataSource) }, (result) => {
      if (result._tag === "Connected") {
        const { connection } = result
        connection.onIdleDeath = () => {
          dataSource.pool.lost(connection)
          dataSource.metrics.update(dataSource.pool)
        }
        dataSource.metrics.dialled(performance.now() - started)
      }
      done(result)
      dataSource.metrics.update(dataSource.pool)
    })
  },
  ping: (connection, done) => connection.ping(done),
  reset: (connection, done) => connection.reset(done),
  close: (connection) => connection.close(),
  destroy: (connection) => connection.destroy()
})

/** An idle connection, for the KILL of a statement on another one. A KILL leaves nothing behind in the session. */
const lendIdle = ({ metrics, pool }: DataSource): LendIdle => (fits) => {
  const entry = pool.takeIdle(fits)
  if (entry === undefined) return undefined
  metrics.update(pool)
  const { connection } = entry
  return {
    connection,
    end: (healthy) => {
      pool.release(entry, healthy && !connection.dead ? "clean" : "discard")
      metrics.update(pool)
    }
  }
}

/** The clock of the process: unlike the time of day it never goes back. */
const surroundings = (random: () => number): Surroundings => ({
  now: () => performance.now(),
  random,
  schedule
})
