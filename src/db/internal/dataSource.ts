/** One database: its settings, its pool, and the lending of connections to statements and transactions. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { DatabaseError } from "../../Errors.ts"
import { Connection, inTransaction } from "./connection/connection.ts"
import type { Classification } from "./errors/classify.ts"
import { classify, makeError, toDatabaseError } from "./errors/classify.ts"
import type { PoolMetrics } from "./telemetry/metrics.ts"
import * as Metrics from "./telemetry/metrics.ts"
import { Pool } from "./pool/pool.ts"
import type { AcquireFailure, Borrower, Driver, Slot, Stats, Surroundings } from "./pool/model.ts"
import type { Settings } from "./settings/settings.ts"

/** How long borrowed connections may take to come back when the database is closed; then they are cut. */
const SHUTDOWN_GRACE = 5_000

/** How one use of a connection went; the lender decides what follows from it. */
export interface Outcome {
  /** Undefined where the server accepted the statement. */
  readonly failure: { readonly error: DatabaseError; readonly classification: Classification } | undefined
  /** Whether the server said that a transaction is open; undefined where it did not say. */
  readonly inTransaction: boolean | undefined
  /** The statement may have changed the session (variables, locks, temporary tables …). */
  readonly changedSession: boolean
}

/** The right to use one connection alone, until `end`. */
export interface Lease {
  readonly connection: Connection
  readonly end: (outcome: Outcome) => void
}

/** Where a statement gets its connection: from the pool, or from the transaction it runs in. */
export interface Lender {
  /** Exactly one of the two callbacks is called, unless the request is taken back by the function returned. */
  readonly lend: (
    context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ) => () => void
}

export class Engine implements Lender {
  readonly name: string
  readonly settings: Settings
  readonly pool: Pool<Connection>
  readonly metrics: PoolMetrics
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>

  constructor(settings: Settings, random: () => number, onLeak: (slot: Slot<unknown>, heldFor: number) => void) {
    this.name = settings.name
    this.settings = settings
    this.metrics = Metrics.make(settings.name)
    this.pool = new Pool(driver(settings, this), surroundings(random), {
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
      ["server.address", settings.host],
      ["server.port", settings.port]
    ]
  }

  get stats(): Stats {
    return this.pool.stats
  }

  lend(
    context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ): () => void {
    return this.pool.acquire(new PoolLease(this, context, onLease, onFailure))
  }

  /** The one connection that a piece of work has is not free for the next of its statements. */
  busyError(what: string): DatabaseError {
    return makeError(
      this.name,
      "PoolTimeout",
      `${what} was not free within ${this.settings.poolTimeout} ms; a statement, a stream or a nested transaction on it is`
        + " still open"
    )
  }

  /** Ends a lease as the server's answer to its statement says; the failure, where it was one. */
  settle(
    lease: Lease,
    sql: string,
    changedSession: boolean,
    error: unknown,
    result: unknown
  ): DatabaseError | undefined {
    if (error === null) {
      lease.end({ failure: undefined, inTransaction: inTransaction(result), changedSession })
      return undefined
    }
    const failure = toDatabaseError(this.name, error, sql)
    lease.end({
      failure: { error: failure, classification: classify(error) },
      inTransaction: undefined,
      changedSession
    })
    return failure
  }

  acquireError({ _tag, cause, stats }: AcquireFailure): DatabaseError {
    const last = cause === undefined ? undefined : dialError(this.name, cause)
    switch (_tag) {
      case "DialFailed":
        return last!
      case "Closed":
        return makeError(
          this.name,
          "PoolClosed",
          "the pool is closed; use the database only within the scope of its layer"
        )
      case "Timeout": {
        const { poolSize, maxOverflow, poolTimeout } = this.settings
        return makeError(
          this.name,
          "PoolTimeout",
          `no connection became free within ${poolTimeout} ms (pool size ${poolSize}, overflow ${maxOverflow};`
            + ` ${stats.active} active, ${stats.idle} idle, ${stats.dialling} dialling, ${stats.waiting} waiting).`
            + (last === undefined
              ? " Look for work that holds connections long or borrows a second one, or raise the pool size"
              : ` The last attempt to connect failed: ${last.message}`),
          { retryable: true, ...(last === undefined ? {} : { cause: last }) }
        )
      }
    }
  }
}

/** A connection of the pool, asked for and lent for one statement or for a whole transaction. */
class PoolLease implements Borrower<Connection>, Lease {
  readonly #engine: Engine
  readonly #onLease: (lease: Lease) => void
  readonly #onFailure: (error: DatabaseError) => void
  readonly #asked = performance.now()
  readonly label: Context.Context<never>
  #slot: Slot<Connection> | undefined
  #connection: Connection | undefined

  constructor(
    engine: Engine,
    context: Context.Context<never>,
    onLease: (lease: Lease) => void,
    onFailure: (error: DatabaseError) => void
  ) {
    this.#engine = engine
    this.label = context
    this.#onLease = onLease
    this.#onFailure = onFailure
  }

  onSlot(slot: Slot<Connection>): void {
    const { metrics, pool } = this.#engine
    this.#slot = slot
    this.#connection = slot.connection
    metrics.waited(slot.borrowedAt - this.#asked)
    metrics.update(pool)
    this.#onLease(this)
  }

  onFailure(failure: AcquireFailure): void {
    this.#engine.metrics.update(this.#engine.pool)
    this.#onFailure(this.#engine.acquireError(failure))
  }

  /** Also after the end: what was lent. */
  get connection(): Connection {
    return this.#connection!
  }

  end({ changedSession, failure, inTransaction }: Outcome): void {
    const slot = this.#slot
    if (slot === undefined) throw new Error("A pooled connection was released twice")
    this.#slot = undefined
    const { metrics, pool } = this.#engine
    const { borrowedAt, connection } = slot
    if (failure?.classification.fleet === true) pool.invalidate()
    else if (failure?.classification.reason === "ConnectionLost") pool.suspect()
    pool.release(
      slot,
      connection.dead || failure?.classification.discard === true
        ? "discard"
        : changedSession || inTransaction === true
        ? "reset"
        : "clean"
    )
    metrics.used(performance.now() - borrowedAt)
    metrics.update(pool)
  }
}

/** A failed dial as a person should read it. */
const dialError = (name: string, cause: unknown): DatabaseError =>
  (cause as { code?: unknown }).code === "CONNECT_TIMEOUT"
    ? makeError(
      name,
      "ConnectTimeout",
      `${(cause as Error).message}; is the host right, and reachable from here?`,
      { retryable: true }
    )
    : toDatabaseError(name, cause)

/** Opens the engine for the life of the scope; with `startup: "verify"` only once one connection has been opened. */
export const make = (settings: Settings): Effect.Effect<Engine, DatabaseError, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    const runFork = Runtime.runFork(runtime)
    const engine = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Engine(settings, () => Runtime.runSync(runtime)(Random.next), (slot, heldFor) => {
          runFork(reportLeak(settings.name, slot.borrower as Context.Context<never> | undefined, heldFor))
        })
      ),
      ({ pool }) => Effect.async<void>((resume) => pool.shutdown(SHUTDOWN_GRACE, () => resume(Effect.void)))
    )
    if (settings.startup === "verify") yield* verify(engine)
    return engine
  })

const verify = (engine: Engine): Effect.Effect<void, DatabaseError> =>
  Effect.async<void, DatabaseError>((resume) => {
    const takeBack = engine.lend(Context.empty(), (lease) => {
      lease.end({ failure: undefined, inTransaction: undefined, changedSession: false })
      resume(Effect.void)
    }, (error) => resume(Effect.fail(error)))
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

const driver = (settings: Settings, engine: Engine): Driver<Connection> => ({
  dial: (done) => {
    const started = performance.now()
    return Connection.dial(settings, (result) => {
      if (result._tag === "Connected") {
        const { connection } = result
        connection.onIdleDeath = () => {
          engine.pool.lost(connection)
          engine.metrics.update(engine.pool)
        }
        engine.metrics.dialled(performance.now() - started)
      }
      done(result)
      engine.metrics.update(engine.pool)
    })
  },
  ping: (connection, done) => connection.ping(done),
  reset: (connection, done) => connection.reset(done),
  close: (connection) => connection.close(),
  destroy: (connection) => connection.destroy()
})

/** The clock of the process, which never goes back, unlike the time of day. */
const surroundings = (random: () => number): Surroundings => ({
  now: () => performance.now(),
  random,
  schedule: (delay: number, task: () => void) => {
    const timer = setTimeout(task, delay)
    return () => clearTimeout(timer)
  }
})
