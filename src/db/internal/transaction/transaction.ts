/**
 * Transactions: success commits; failure, defect and interruption roll back; nested ones are savepoints.
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import { DatabaseError } from "../../../Errors.ts"
import { pauseAfter } from "../../../internal/backoff.ts"
import { cancellable } from "../../../internal/cancellable.ts"
import type { Restore } from "../../../internal/effectPrimitives.ts"
import { async, uninterruptibleMask } from "../../../internal/effectPrimitives.ts"
import { isTraced } from "../../../internal/tracing.ts"
import { exitWith } from "../borrowed/fiberState.ts"
import { serverStatus } from "../borrowed/mysql2Connection.ts"
import type { DataSource } from "../dataSource.ts"
import { COMMIT, ROLLBACK, TRANSACTION_BACKOFF } from "../deadlines.ts"
import { classify, isRefusedCommit, makeError, toDatabaseError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Outcome } from "../lease.ts"
import * as Spans from "../telemetry/spans.ts"
import { Level } from "./level.ts"
import { OpenTransaction } from "./openTransaction.ts"
import type { TransactionOptions } from "./options.ts"
import { refuseUnknownIsolation } from "./options.ts"
import * as TransactionContext from "./transactionContext.ts"

/** The innermost level of this database's transaction in a context, if one is open. */
export const levelOf = (dataSource: DataSource, context: Context.Context<never>): Level | undefined => {
  const level = TransactionContext.find(context, dataSource) as Level | undefined
  return level?.transaction.isDetached === true ? undefined : level
}

/**
 * Where the statements of a fiber run: in the open transaction of this database, or else on connections of the pool. In a
 * transaction of another layer of the same database nothing may run: it would neither see nor share that transaction.
 */
export const lenderOf = (dataSource: DataSource, context: Context.Context<never>): Level | DataSource | DatabaseError =>
  !TransactionContext.isAnyOpen(context)
    ? dataSource
    : levelOf(dataSource, context) ?? (TransactionContext.findOther(context, dataSource) !== undefined
      ? TransactionContext.otherLayer(dataSource.name)
      : dataSource)

/**
 * Runs an effect in a transaction of this database, or in a savepoint if one is open already. DDL is refused in it,
 * unless it is allowed here and in all outer levels.
 */
export const withTransaction = <A, E, R>(
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {},
  allowsDdl = false
): Effect.Effect<A, E | SqlError, R> =>
  Effect.withFiberRuntime<A, E | SqlError, R>((fiber) => {
    const parent = lenderOf(dataSource, fiber.currentContext)
    if (parent instanceof DatabaseError) return Effect.fail(toSqlError(parent))
    const unknownIsolation = refuseUnknownIsolation(dataSource.name, options)
    if (unknownIsolation !== undefined) return Effect.fail(toSqlError(unknownIsolation))
    const body = options.timeout === undefined ? effect : withDeadline(dataSource.name, effect, options.timeout)
    if (parent instanceof Level) {
      if (options.isolation !== undefined || options.readOnly !== undefined) parent.transaction.adopt(options)
      const refusal = refuseOptions(parent.transaction, options)
      return refusal === undefined ? nested(parent, body, allowsDdl) : Effect.fail(toSqlError(refusal))
    }
    const work = options.retries === undefined || options.retries <= 0
      ? outermost(dataSource, body, options, allowsDdl, () => {})
      : retrying(dataSource, body, options, options.retries)
    return isTraced(fiber) ? Spans.transaction(dataSource, work) : work
  })

/** Limits how long the body of a transaction of the database `name` may take. */
export const withDeadline = <A, E, R>(
  name: string,
  effect: Effect.Effect<A, E, R>,
  timeout: Duration.DurationInput
): Effect.Effect<A, E | SqlError, R> =>
  Effect.timeoutFail(effect, {
    duration: timeout,
    onTimeout: () =>
      toSqlError(makeError(
        name,
        "TransactionTimeout",
        `the transaction took longer than ${Duration.format(timeout)} and was rolled back`,
        { hint: "do less in it, or raise its timeout" }
      ))
  })

/** An `isolation` or `readOnly` that differs from the outermost transaction's is refused rather than ignored. */
const refuseOptions = (
  transaction: OpenTransaction,
  { isolation, readOnly }: TransactionOptions
): DatabaseError | undefined => {
  const option = isolation !== undefined && isolation !== transaction.options.isolation
    ? "isolation"
    : readOnly !== undefined && readOnly !== (transaction.options.readOnly ?? false)
    ? "readOnly"
    : undefined
  return option === undefined ? undefined : makeError(
    transaction.dataSource.name,
    "InvalidParameter",
    `a nested transaction is a savepoint and cannot have an option "${option}" of its own`,
    { hint: "set it on the outermost transaction" }
  )
}

const outermost = <A, E, R>(
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  allowsDdl: boolean,
  onFailure: (mayRepeat: boolean) => void
): Effect.Effect<A, E | SqlError, R> =>
  exitWith(({ currentContext }, restore) => {
    const level = new Level(new OpenTransaction(dataSource, options, currentContext), undefined, allowsDdl)
    return {
      context: TransactionContext.add(currentContext, dataSource, level),
      body: restore(effect as Effect.Effect<A, E>),
      end: (exit: Exit.Exit<A, E>) => finish(level, exit, onFailure)
    }
  })

/** Commits or rolls back, as the body's exit says. Not interruptible, and bounded by the deadlines of its steps. */
export const finish = <A, E>(
  level: Level,
  exit: Exit.Exit<A, E>,
  onFailure: (mayRepeat: boolean) => void
): Effect.Effect<A, E | SqlError> =>
  async<A, E | SqlError>((resume) => {
    const { transaction } = level
    const fail = (result: Exit.Exit<A, E | SqlError>, status: number | undefined): void => {
      transaction.end(status)
      onFailure(Exit.isFailure(result) && transaction.mayRepeat(result.cause))
      resume(result)
    }
    const rollBack = (result: Exit.Exit<A, E | SqlError>): void => {
      if (transaction.connection?.dead !== false) return fail(result, undefined)
      transaction.send("ROLLBACK", ROLLBACK, (error, header) => {
        // Without a connection the server rolls back by itself. The failure that led here is the one to report.
        if (error !== null) transaction.cut()
        fail(result, serverStatus(header))
      })
    }
    const refuse = (): void => rollBack(Exit.fail(toSqlError(transaction.refusal())))
    level.close(Exit.isSuccess(exit), () => {
      if (Exit.isFailure(exit)) return rollBack(exit)
      transaction.whenSure(() => {
        if (transaction.aborted !== undefined) return refuse()
        if (transaction.connection === undefined) {
          transaction.end(undefined)
          return resume(level.afterCommit.run(exit))
        }
        transaction.send("COMMIT", COMMIT, (error, header) => {
          const status = serverStatus(header)
          if (error === null && status !== undefined) {
            transaction.end(status)
            return resume(level.afterCommit.run(exit))
          }
          const { classification, error: failure } = commitFailure(transaction.dataSource, error)
          transaction.cut()
          transaction.end(undefined, { classification, error: failure })
          onFailure(failure.retryable)
          const failed = Exit.fail(toSqlError(failure))
          resume(failure.outcome === "unknown" ? level.afterCommit.runIfUnknown(failed) : failed)
        })
      })
    })
  })

/** Ends the work of a level whose body has succeeded, and says why it cannot be committed, if that is known. */
export const prepare = (level: Level): Effect.Effect<DatabaseError | undefined> =>
  async((resume) => {
    const { transaction } = level
    level.close(true, () =>
      transaction.whenSure(() =>
        resume(Effect.succeed(transaction.aborted === undefined ? undefined : transaction.refusal()))
      ))
  })

/**
 * A COMMIT is known to have failed only if the server says so with an error that means a rollback. Any other answer, or
 * none, leaves open whether it was carried out.
 */
const commitFailure = (dataSource: DataSource, cause: unknown): NonNullable<Outcome["failure"]> => {
  const classification = classify(cause)
  const failure = toDatabaseError(dataSource.name, cause, "COMMIT")
  return {
    classification,
    error: isRefusedCommit(cause) ? failure : makeError(
      dataSource.name,
      "CommitOutcomeUnknown",
      "the answer to COMMIT was lost or was not understood, so the transaction may or may not have been committed",
      {
        hint: "do not repeat it blindly: look up a key that it wrote",
        cause: failure,
        statement: "COMMIT",
        outcome: "unknown"
      }
    )
  }
}

const nested = <A, E, R>(
  parent: Level,
  effect: Effect.Effect<A, E, R>,
  allowsDdl: boolean
): Effect.Effect<A, E | SqlError, R> =>
  uninterruptibleMask((restore) =>
    Effect.flatMap(
      enter(parent, restore),
      (leave) => Effect.ensuring(savepoint(parent, effect, allowsDdl, restore), Effect.sync(leave))
    )
  )

const enter = (parent: Level, restore: Restore): Effect.Effect<() => void, SqlError> => {
  let takeBack: (() => void) | undefined
  let leave: (() => void) | undefined
  return cancellable<() => void, SqlError>(restore, {
    start: (resume) => {
      takeBack = parent.enter((entered) => {
        leave = entered
        resume(Effect.succeed(entered))
      }, (error) => resume(Effect.fail(toSqlError(error))))
    },
    cancel: () => Effect.sync(() => leave === undefined ? takeBack?.() : leave())
  })
}

const savepoint = <A, E, R>(
  parent: Level,
  effect: Effect.Effect<A, E, R>,
  allowsDdl: boolean,
  restore: Restore
): Effect.Effect<A, E | SqlError> => {
  const { transaction } = parent
  const level = new Level(transaction, parent, allowsDdl)
  const end = (exit: Exit.Exit<A, E>): Effect.Effect<A, E | SqlError> =>
    async<A, E | SqlError>((resume) =>
      level.close(Exit.isSuccess(exit), () => {
        const { savepoint } = level
        if (Exit.isFailure(exit)) {
          if (savepoint === undefined) return resume(exit)
          return transaction.step(`ROLLBACK TO SAVEPOINT ${savepoint}`, () => resume(exit))
        }
        const done = (failure: DatabaseError | undefined): void => {
          if (failure !== undefined) return resume(Effect.fail(toSqlError(failure)))
          level.afterCommit.moveTo(parent.afterCommit)
          resume(exit)
        }
        if (savepoint !== undefined) return transaction.step(`RELEASE SAVEPOINT ${savepoint}`, done)
        done(transaction.aborted === undefined ? undefined : transaction.refusal())
      })
    )
  return exitWith(({ currentContext }) => ({
    context: TransactionContext.add(currentContext, transaction.dataSource, level),
    body: restore(effect as Effect.Effect<A, E>),
    end
  }))
}

/** Repeats the whole transaction as long as the server is known to have rolled it back; never after an unknown outcome. */
const retrying = <A, E, R>(
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  retries: number
): Effect.Effect<A, E | SqlError, R> => {
  const attempt = (number: number): Effect.Effect<A, E | SqlError, R> => {
    let mayRepeat = false
    return Effect.catchAllCause(
      outermost(dataSource, effect, options, false, (known) => {
        mayRepeat = known
      }),
      (cause) =>
        // The failure of one fiber interrupts its siblings, so the cause of a concurrent body holds interruptions too.
        mayRepeat && number < retries && Cause.isFailure(cause) && !Cause.isDie(cause)
          ? Effect.zipRight(pause(number), Effect.suspend(() => attempt(number + 1)))
          : Effect.failCause(cause)
    )
  }
  return attempt(0)
}

const pause = (attempt: number): Effect.Effect<void> =>
  Effect.flatMap(
    Random.next,
    (random) => Effect.sleep(Duration.millis(pauseAfter(attempt + 1, TRANSACTION_BACKOFF, random)))
  )
