/**
 * Transactions: success commits; failure, defect and interruption roll back; nested ones are savepoints.
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { DatabaseError } from "../../../Errors.ts"
import { pauseAfter } from "../../../internal/backoff.ts"
import { isTraced } from "../borrowed/fiberState.ts"
import type { DataSource } from "../dataSource.ts"
import { COMMIT, ROLLBACK, TRANSACTION_BACKOFF } from "../deadlines.ts"
import { makeError, toDatabaseError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Lease } from "../lease.ts"
import { unfailed } from "../lease.ts"
import * as Spans from "../telemetry/spans.ts"
import type { Restore } from "../waiting/cancellable.ts"
import { cancellable } from "../waiting/cancellable.ts"
import { Level } from "./level.ts"
import { OpenTransaction } from "./openTransaction.ts"
import type { TransactionOptions } from "./options.ts"
import * as TransactionContext from "./transactionContext.ts"

/** The innermost level of this database's transaction in a context, if one is open. */
export const levelOf = (dataSource: DataSource, context: Context.Context<never>): Level | undefined =>
  TransactionContext.find(context, dataSource) as Level | undefined

/** Runs an effect in a transaction of this database, or in a savepoint if one is open already. */
export const withTransaction = <A, E, R>(
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {}
): Effect.Effect<A, E | SqlError, R> =>
  Effect.withFiberRuntime<A, E | SqlError, R>((fiber) => {
    const parent = levelOf(dataSource, fiber.currentContext)
    const body = options.timeout === undefined ? effect : withDeadline(dataSource.name, effect, options.timeout)
    if (parent !== undefined) {
      const refusal = refuseOptions(parent.transaction, options)
      return refusal === undefined ? nested(fiber, parent, body) : Effect.fail(toSqlError(refusal))
    }
    const work = options.retries === undefined || options.retries <= 0
      ? outermost(fiber, dataSource, body, options, () => {})
      : retrying(fiber, dataSource, body, options, options.retries)
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
  fiber: Fiber.RuntimeFiber<any, any>,
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  onEnd: (retryable: boolean) => void
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(begin(dataSource, options, fiber.currentContext, restore), (level) =>
      Effect.flatMap(
        TransactionContext.exitOf(fiber, effect, dataSource, level, restore),
        (exit) => finish(level, exit, onEnd)
      ))
  )

/** Borrows a connection and sends BEGIN. The answer to BEGIN is awaited by the first statement, not here. */
const begin = (
  dataSource: DataSource,
  options: TransactionOptions,
  context: Context.Context<never>,
  restore: Restore
): Effect.Effect<Level, SqlError> => {
  let takeBack: (() => void) | undefined
  let lease: Lease | undefined
  let now: Effect.Effect<Level, SqlError> | undefined
  let later: ((effect: Effect.Effect<Level, SqlError>) => void) | undefined
  const answer = (effect: Effect.Effect<Level, SqlError>): void => {
    if (later === undefined) now = effect
    else later(effect)
  }
  takeBack = dataSource.lend(context, (granted) => {
    lease = granted
    answer(Effect.succeed(new Level(new OpenTransaction(dataSource, granted, options)).open()))
  }, (error) => answer(Effect.fail(toSqlError(error))))
  if (now !== undefined) return now
  return cancellable<Level, SqlError>(
    restore,
    (resume) => {
      later = resume
    },
    () => Effect.sync(() => lease === undefined ? takeBack() : abandon(lease))
  )
}

const abandon = (lease: Lease): void => {
  lease.connection.destroy()
  lease.end(unfailed(true))
}

/** Commits or rolls back, as the body's exit says. Not interruptible, and bounded by the deadlines of its steps. */
const finish = <A, E>(
  level: Level,
  exit: Exit.Exit<A, E>,
  onEnd: (retryable: boolean) => void
): Effect.Effect<A, E | SqlError> =>
  Effect.async<A, E | SqlError>((answer) => {
    const { transaction } = level
    const resume = (result: Effect.Effect<A, E | SqlError>): void => {
      onEnd(transaction.retryable !== undefined)
      answer(result)
    }
    const rollBack = (then: Effect.Effect<A, E | SqlError>): void => {
      const end = (): void => {
        transaction.lease.end(unfailed(transaction.changedSession))
        resume(then)
      }
      if (transaction.connection.dead) return end()
      transaction.send("ROLLBACK", ROLLBACK, (error) => {
        // Without a connection the server rolls back by itself. The failure that led here is the one to report.
        if (error !== null) transaction.connection.destroy()
        end()
      })
    }
    level.close(Exit.isSuccess(exit), () => {
      if (Exit.isFailure(exit)) return rollBack(exit)
      transaction.whenSure(() => {
        if (transaction.aborted !== undefined) return rollBack(Effect.fail(toSqlError(transaction.refusal())))
        transaction.send("COMMIT", COMMIT, (error) => {
          if (error === null) {
            transaction.lease.end(unfailed(transaction.changedSession))
            return resume(exit)
          }
          const failure = commitFailure(transaction.dataSource, error)
          if (failure.retryable) transaction.retryable = failure
          abandon(transaction.lease)
          resume(Effect.fail(toSqlError(failure)))
        })
      })
    })
  })

/** A refused COMMIT was rolled back. If the answer did not come, or is not clear, it may have been carried out. */
const commitFailure = (dataSource: DataSource, cause: unknown): DatabaseError => {
  const failure = toDatabaseError(dataSource.name, cause, "COMMIT")
  switch (failure.reason) {
    case "ConnectionLost":
    case "Cancelled":
    case "StatementTimeout":
    case "Unknown":
      return makeError(
        dataSource.name,
        "CommitOutcomeUnknown",
        "the answer to COMMIT was lost, so the transaction may or may not have been committed",
        {
          hint: "do not repeat it blindly: look up a key that it wrote",
          cause: failure,
          statement: "COMMIT"
        }
      )
    default:
      return failure
  }
}

const nested = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  parent: Level,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      enter(parent, restore),
      (leave) => Effect.ensuring(savepoint(fiber, parent.transaction, effect, restore), Effect.sync(leave))
    )
  )

const enter = (parent: Level, restore: Restore): Effect.Effect<() => void, SqlError> => {
  let takeBack: (() => void) | undefined
  let leave: (() => void) | undefined
  return cancellable<() => void, SqlError>(
    restore,
    (resume) => {
      takeBack = parent.enter((entered) => {
        leave = entered
        resume(Effect.succeed(entered))
      }, (error) => resume(Effect.fail(toSqlError(error))))
    },
    () => Effect.sync(() => leave === undefined ? takeBack?.() : leave())
  )
}

const savepoint = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  transaction: OpenTransaction,
  effect: Effect.Effect<A, E, R>,
  restore: Restore
): Effect.Effect<A, E | SqlError> => {
  const name = transaction.nextSavepoint()
  const level = new Level(transaction)
  return Effect.flatMap(
    step(transaction, `SAVEPOINT ${name}`),
    () =>
      Effect.flatMap(
        TransactionContext.exitOf(fiber, effect, transaction.dataSource, level, restore),
        (exit) =>
          Effect.zipRight(
            Effect.async<void>((resume) => level.close(Exit.isSuccess(exit), () => resume(Effect.void))),
            Exit.isSuccess(exit)
              ? Effect.zipRight(step(transaction, `RELEASE SAVEPOINT ${name}`), exit)
              : Effect.zipRight(Effect.ignore(step(transaction, `ROLLBACK TO SAVEPOINT ${name}`)), exit)
          )
      )
  )
}

/** Sends a savepoint statement. If it fails, the state of the transaction is unknown, and nothing more may run in it. */
const step = (transaction: OpenTransaction, sql: string): Effect.Effect<void, SqlError> =>
  Effect.async<void, SqlError>((resume) =>
    transaction.whenSure(() => {
      if (transaction.aborted !== undefined) return resume(Effect.fail(toSqlError(transaction.refusal())))
      transaction.send(sql, ROLLBACK, (error) => {
        if (error === null) return resume(Effect.void)
        const failure = toDatabaseError(transaction.dataSource.name, error, sql)
        transaction.aborted ??= failure
        if (failure.retryable) transaction.retryable = failure
        resume(Effect.fail(toSqlError(failure)))
      })
    })
  )

/** Repeats the whole transaction as long as the server is known to have rolled it back; never after an unknown outcome. */
const retrying = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  dataSource: DataSource,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  retries: number
): Effect.Effect<A, E | SqlError, R> => {
  const attempt = (number: number): Effect.Effect<A, E | SqlError, R> => {
    let retryable = false
    return Effect.catchAllCause(
      outermost(fiber, dataSource, effect, options, (known) => {
        retryable = known
      }),
      (cause) =>
        retryable && number < retries && !Cause.isInterrupted(cause) && Cause.isFailure(cause)
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
