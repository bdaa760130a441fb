/** One transaction behind the service of a database, rolled back at the end. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { serverStatus } from "../../../db/internal/borrowed/mysql2Connection.ts"
import type { View } from "../../../db/internal/client.ts"
import type { DataSource } from "../../../db/internal/dataSource.ts"
import { ROLLBACK } from "../../../db/internal/deadlines.ts"
import { makeError } from "../../../db/internal/errors/classify.ts"
import type { Applicant } from "../../../db/internal/lease.ts"
import { inspect } from "../../../db/internal/statement/inspectSql.ts"
import { Level } from "../../../db/internal/transaction/level.ts"
import { OpenTransaction } from "../../../db/internal/transaction/openTransaction.ts"
import type { ConfigurationError } from "../../../Errors.ts"
import { DatabaseError } from "../../../Errors.ts"
import { SandboxedConnection, type Shared } from "./sandboxedConnection.ts"
import { Activity, STANDSTILL, TurnLock } from "./turns.ts"
import type { DatabaseTags, Requirement } from "./view.ts"
import * as Views from "./view.ts"

export const layer = <const Tags extends DatabaseTags>(
  ...databases: Tags
): Layer.Layer<Requirement<Tags>, ConfigurationError, Requirement<Tags>> => {
  const [first, ...others] = databases.map((tag) => Views.layer("sandbox", tag, open))
  return Layer.mergeAll(first!, ...others)
}

const open = (dataSource: DataSource): Effect.Effect<View, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.contextWith((context: Context.Context<never>) => new Sandbox(dataSource, context)),
    (sandbox, exit) => Effect.zipRight(sandbox.close(), Exit.isSuccess(exit) ? sandbox.nothingCommitted : Effect.void)
  )

/** For each sandbox, the level of the transaction of it that the work in a context has left by `outside`. */
class Left extends Context.Tag("@betterai/infrastructure/testing/Left")<Left, ReadonlyMap<Sandbox, Level>>() {}

class Sandbox implements View {
  readonly #level: SandboxLevel
  readonly #shared: Shared

  constructor(dataSource: DataSource, context: Context.Context<never>) {
    const activity = new Activity()
    const { name } = dataSource
    const transaction = new SandboxTransaction(patient(dataSource), {}, context)
    let id = 0
    this.#level = new SandboxLevel(transaction, activity)
    this.#shared = {
      transaction,
      activity,
      holding: new Set(),
      closed: false,
      nextId: () => ++id,
      refusedStatement: (sql) =>
        makeError(name, "ImplicitCommit", `${inspect(sql).keyword} would end the transaction of the sandbox`, {
          hint: "define tables and migrate on the layer below the sandbox, before it",
          statement: sql
        }),
      ending: (failure) => new DatabaseError({ ...failure, retryable: false, hint: OVER }),
      notRepeated: (cause) =>
        makeError(
          name,
          "TransactionAborted",
          "a transaction was rolled back in the sandbox, and what had run outside of it cannot be done without it",
          { hint: "look at the cause: without a sandbox it would have failed when it ran, or waited for a lock", cause }
        )
    }
  }

  lend(context: Context.Context<never>, applicant: Applicant): () => void {
    const host = this.#hostOf(context)
    const turns = host ?? this.#level
    const connection = new SandboxedConnection(this.#shared, turns, host)
    return turns.lend(context, {
      onLease: (turn) => {
        connection.begin(turn)
        applicant.onLease({ connection, inTransaction: false, end: () => connection.end() })
        connection.settle()
      },
      onRefusal: (error) => applicant.onRefusal(error)
    })
  }

  readonly onLeave = <R>(context: Context.Context<R>, transaction: unknown): Context.Context<R> => {
    if (!(transaction instanceof Level)) return context
    const left = context.unsafeMap.get(Left.key) as ReadonlyMap<Sandbox, Level> | undefined
    return Context.add(context, Left, new Map(left).set(this, transaction)) as Context.Context<R>
  }

  /** A test that has passed must not have left rows to those that follow. */
  get nothingCommitted(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { aborted, dataSource } = this.#shared.transaction
      return aborted?.reason !== "ImplicitCommit" ? Effect.void : Effect.die(
        makeError(
          dataSource.name,
          "ImplicitCommit",
          "a statement has committed what was written in the sandbox, and it stays",
          {
            hint: "look for a routine that commits, and test it without a sandbox",
            cause: aborted
          }
        )
      )
    })
  }

  /** The connection whose transaction the work in this context has left, as long as that is open. */
  #hostOf(context: Context.Context<never>): SandboxedConnection | undefined {
    const left = context.unsafeMap.get(Left.key) as ReadonlyMap<Sandbox, Level> | undefined
    const lent = left?.get(this)?.transaction.connection
    const connection = lent === undefined ? undefined : Views.innermost(lent)
    return connection instanceof SandboxedConnection && connection.inTransaction ? connection : undefined
  }

  /** Refuses what waits, stops what runs, and rolls everything back. */
  close(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const { holding, transaction } = this.#shared
      const end = (status: number | undefined): void => {
        transaction.end(status)
        resume(Effect.void)
      }
      this.#level.close(false, () => {
        if (transaction.connection?.dead !== false) return end(undefined)
        transaction.whenSure(() =>
          transaction.send("ROLLBACK", ROLLBACK, (error, header) => {
            if (error !== null) transaction.cut()
            end(serverStatus(header))
          })
        )
      })
      // Whoever has left a transaction open has the turn.
      this.#shared.closed = true
      for (const connection of holding) connection.close()
    })
  }
}

const OVER = "the sandbox is over with this: its one transaction is gone, with all that the test had written."
  + " Test what concurrent transactions do to each other without a sandbox, and failures of the server with Testing.faults"

/** Its transaction, with its own words for what cannot go on. */
class SandboxTransaction extends OpenTransaction {
  override refusal(): DatabaseError {
    const { aborted } = this
    const refusal = super.refusal()
    return aborted === undefined || refusal === aborted ? refusal : makeError(
      this.dataSource.name,
      "TransactionAborted",
      `the sandbox is over (${aborted.reason}), and nothing more can run in it`,
      { hint: OVER, cause: aborted }
    )
  }

  override closedError(): DatabaseError {
    return makeError(this.dataSource.name, "TransactionClosed", "the sandbox has ended", {
      hint: "let fibers of a test end before its sandbox does"
    })
  }
}

class SandboxLevel extends Level {
  override readonly lock: TurnLock

  constructor(transaction: OpenTransaction, activity: Activity) {
    super(transaction, undefined, false)
    this.lock = new TurnLock(activity)
  }
}

/** The same database, with other words for work that waits in vain for its turn. */
const patient = (dataSource: DataSource): DataSource =>
  Object.create(dataSource, {
    busyError: {
      value: () =>
        makeError(
          dataSource.name,
          "PoolTimeout",
          `the sandbox was not free: a transaction in it is open and has sent nothing for ${STANDSTILL} ms`,
          {
            hint: "transactions in a sandbox run one after another: do not let an open one wait for another, or for a"
              + " statement beside it; test that without a sandbox"
          }
        )
    }
  })
