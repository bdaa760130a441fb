/**
 * Transactions: success commits; failure, defect and interruption roll back; nested ones are savepoints.
 *
 * Every level is a {@link Frame} with a lock of its own. A statement holds the lock of its level while it runs, a nested
 * transaction holds the lock of the level above for as long as it lives. So one statement at a time is on the wire, and
 * nothing of one level slips into a savepoint of another.
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
import type { Restore } from "../waiting/cancellable.ts"
import { cancellable } from "../waiting/cancellable.ts"
import * as Carrier from "./openTransactions.ts"
import type { Engine, Lease } from "../dataSource.ts"
import { makeError, toDatabaseError } from "../errors/classify.ts"
import type { TransactionOptions } from "./levels.ts"
import { Frame, ROLLBACK_DEADLINE, Root } from "./levels.ts"
import * as Spans from "../telemetry/spans.ts"
import { toSqlError } from "../errors/sqlError.ts"

/** A COMMIT waits for the disks of the server and its replicas. Its outcome is unknown after this. */
const COMMIT_DEADLINE = 30_000

const RETRY_FIRST = 10
const RETRY_MOST = 1_000

/** The open transaction of this database in a context, if there is one. */
export const frameOf = (engine: Engine, context: Context.Context<never>): Frame | undefined =>
  Carrier.entryOf(context, engine) as Frame | undefined

/** Runs an effect in a transaction of this database, or in a savepoint where one is open already. */
export const withTransaction = <A, E, R>(
  engine: Engine,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {}
): Effect.Effect<A, E | SqlError, R> =>
  Effect.withFiberRuntime<A, E | SqlError, R>((fiber) => {
    const parent = frameOf(engine, fiber.currentContext)
    const body = options.timeout === undefined ? effect : withDeadline(engine.name, effect, options.timeout)
    if (parent !== undefined) {
      const misfit = unsuitable(parent.root, options)
      return misfit === undefined ? nested(fiber, parent, body) : Effect.fail(toSqlError(misfit))
    }
    const work = options.retries === undefined || options.retries <= 0
      ? outermost(fiber, engine, body, options, () => {})
      : retrying(fiber, engine, body, options, options.retries)
    return Spans.isTraced(fiber) ? Spans.transaction(engine, work) : work
  })

/** Bounds the body of a transaction of the database `name`. */
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
        `the transaction took longer than ${Duration.format(timeout)} and was rolled back`
      ))
  })

/** What a savepoint cannot have of its own is refused rather than ignored. */
const unsuitable = (root: Root, { isolation, readOnly }: TransactionOptions): DatabaseError | undefined => {
  const option = isolation !== undefined && isolation !== root.options.isolation
    ? "isolation"
    : readOnly !== undefined && readOnly !== (root.options.readOnly ?? false)
    ? "readOnly"
    : undefined
  return option === undefined ? undefined : makeError(
    root.engine.name,
    "InvalidParameter",
    `a nested transaction is a savepoint and cannot have an option "${option}" of its own; set it on the outermost one`
  )
}

const outermost = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  engine: Engine,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  onEnd: (retryable: boolean) => void
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(begin(engine, options, fiber.currentContext, restore), (frame) =>
      Effect.flatMap(
        Carrier.exitOf(fiber, effect, engine, frame, restore),
        (exit) => finish(frame, exit, onEnd)
      ))
  )

/** Borrows a connection and begins on it. The answer to BEGIN is waited for by the first statement, not here. */
const begin = (
  engine: Engine,
  options: TransactionOptions,
  context: Context.Context<never>,
  restore: Restore
): Effect.Effect<Frame, SqlError> => {
  let takeBack: (() => void) | undefined
  let lease: Lease | undefined
  let now: Effect.Effect<Frame, SqlError> | undefined
  let later: ((effect: Effect.Effect<Frame, SqlError>) => void) | undefined
  const answer = (effect: Effect.Effect<Frame, SqlError>): void => {
    if (later === undefined) now = effect
    else later(effect)
  }
  takeBack = engine.lend(context, (granted) => {
    lease = granted
    answer(Effect.succeed(new Frame(new Root(engine, granted, options)).open()))
  }, (error) => answer(Effect.fail(toSqlError(error))))
  if (now !== undefined) return now
  return cancellable<Frame, SqlError>(
    restore,
    (resume) => {
      later = resume
    },
    () => Effect.sync(() => lease === undefined ? takeBack() : abandon(lease))
  )
}

const abandon = (lease: Lease): void => {
  lease.connection.destroy()
  lease.end({ failure: undefined, inTransaction: undefined, changedSession: true })
}

/** Ends the outermost transaction as its body ended. Not interruptible, and bounded by the deadlines of its steps. */
const finish = <A, E>(
  frame: Frame,
  exit: Exit.Exit<A, E>,
  onEnd: (retryable: boolean) => void
): Effect.Effect<A, E | SqlError> =>
  Effect.async<A, E | SqlError>((answer) => {
    const { root } = frame
    const resume = (result: Effect.Effect<A, E | SqlError>): void => {
      onEnd(root.retryable !== undefined)
      answer(result)
    }
    const rollBack = (then: Effect.Effect<A, E | SqlError>): void => {
      const end = (): void => {
        root.lease.end({ failure: undefined, inTransaction: undefined, changedSession: root.changedSession })
        resume(then)
      }
      if (root.connection.dead) return end()
      root.send("ROLLBACK", ROLLBACK_DEADLINE, (error) => {
        // Without a connection the server rolls back by itself. The failure that brought us here is the one that counts.
        if (error !== null) root.connection.destroy()
        end()
      })
    }
    frame.close(Exit.isSuccess(exit), () => {
      if (Exit.isFailure(exit)) return rollBack(exit)
      root.whenSure(() => {
        if (root.aborted !== undefined) return rollBack(Effect.fail(toSqlError(root.refusal())))
        root.send("COMMIT", COMMIT_DEADLINE, (error) => {
          if (error === null) {
            root.lease.end({ failure: undefined, inTransaction: undefined, changedSession: root.changedSession })
            return resume(exit)
          }
          const failure = commitFailure(root.engine, error)
          if (failure.retryable) root.retryable = failure
          abandon(root.lease)
          resume(Effect.fail(toSqlError(failure)))
        })
      })
    })
  })

/** A refused COMMIT rolled back; one whose answer never came, or says nothing clear, may have been carried out. */
const commitFailure = (engine: Engine, cause: unknown): DatabaseError => {
  const failure = toDatabaseError(engine.name, cause, "COMMIT")
  switch (failure.reason) {
    case "ConnectionLost":
    case "Cancelled":
    case "StatementTimeout":
    case "Unknown":
      return makeError(
        engine.name,
        "CommitOutcomeUnknown",
        "the answer to COMMIT was lost: the transaction may be in the database or not. Do not repeat it blindly; look it up"
          + " by a key that it wrote",
        { cause: failure, statement: "COMMIT" }
      )
    default:
      return failure
  }
}

const nested = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  parent: Frame,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      enter(parent, restore),
      (leave) => Effect.ensuring(savepoint(fiber, parent.root, effect, restore), Effect.sync(leave))
    )
  )

const enter = (parent: Frame, restore: Restore): Effect.Effect<() => void, SqlError> => {
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
  root: Root,
  effect: Effect.Effect<A, E, R>,
  restore: Restore
): Effect.Effect<A, E | SqlError> => {
  const name = root.nextSavepoint()
  const frame = new Frame(root)
  return Effect.flatMap(
    step(root, `SAVEPOINT ${name}`),
    () =>
      Effect.flatMap(Carrier.exitOf(fiber, effect, root.engine, frame, restore), (exit) =>
        Effect.zipRight(
          Effect.async<void>((resume) => frame.close(Exit.isSuccess(exit), () => resume(Effect.void))),
          Exit.isSuccess(exit)
            ? Effect.zipRight(step(root, `RELEASE SAVEPOINT ${name}`), exit)
            : Effect.zipRight(Effect.ignore(step(root, `ROLLBACK TO SAVEPOINT ${name}`)), exit)
        ))
  )
}

/** One statement of a savepoint. If it fails, nobody knows what the transaction holds: nothing more may run in it. */
const step = (root: Root, sql: string): Effect.Effect<void, SqlError> =>
  Effect.async<void, SqlError>((resume) =>
    root.whenSure(() => {
      if (root.aborted !== undefined) return resume(Effect.fail(toSqlError(root.refusal())))
      root.send(sql, ROLLBACK_DEADLINE, (error) => {
        if (error === null) return resume(Effect.void)
        const failure = toDatabaseError(root.engine.name, error, sql)
        root.aborted ??= failure
        if (failure.retryable) root.retryable = failure
        resume(Effect.fail(toSqlError(failure)))
      })
    })
  )

/** Repeats the whole transaction while the server is known to have rolled it back; never after an unknown outcome. */
const retrying = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  engine: Engine,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  retries: number
): Effect.Effect<A, E | SqlError, R> => {
  const attempt = (number: number): Effect.Effect<A, E | SqlError, R> => {
    let retryable = false
    return Effect.catchAllCause(
      outermost(fiber, engine, effect, options, (known) => {
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
  Effect.flatMap(Random.next, (chance) => {
    const full = Math.min(RETRY_MOST, RETRY_FIRST * 2 ** attempt)
    return Effect.sleep(Duration.millis(full / 2 + chance * full / 2))
  })
