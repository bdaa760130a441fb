/** The open transactions of a fiber, by database. All of them are in the one slot that `@effect/sql` has for one. */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { exitWith } from "../borrowed/fiberState.ts"
import { slotOf, transactionsOf, withTransactions } from "../borrowed/transactionSlot.ts"
import type { Restore } from "../waiting/cancellable.ts"

/** The open transaction of one database in this context, as it was put there by {@link add}. */
export const find = (context: Context.Context<never>, database: object): unknown =>
  transactionsOf(context)?.get(database)

/** A context in which one more transaction is open. */
export const add = <R>(
  context: Context.Context<R>,
  database: object,
  transaction: unknown
): Context.Context<R> => {
  const open = new Map(transactionsOf(context as Context.Context<never>))
  open.set(database, transaction)
  return withTransactions(context, open)
}

/** Whether any transaction is open here, of any database, ours or another client's. */
export const isAnyOpen = (context: Context.Context<never>): boolean => slotOf(context) !== undefined

/** Runs a body with one more open transaction, and returns its exit. Must run in an uninterruptible region. */
export const exitOf = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  body: Effect.Effect<A, E, R>,
  database: object,
  transaction: unknown,
  restore: Restore
): Effect.Effect<Exit.Exit<A, E>> =>
  exitWith(fiber, add(fiber.currentContext, database, transaction), restore(body as Effect.Effect<A, E>))
