/**
 * How a fiber carries its open transactions: all of them, by database, in the one slot that `@effect/sql` has for the
 * open transaction of the process. `SqlResolver` copies that slot along and nothing else, so nothing else would do.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Request from "effect/Request"
import * as Stream from "effect/Stream"
import type { Restore } from "../waiting/cancellable.ts"
import { makeError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"

const KEY = SqlClient.TransactionConnection.key

/** Open transactions by the identity of their database (an engine of ours, or a foreign client). */
type Entries = ReadonlyMap<object, unknown>

/** In the shape that `@effect/sql` expects of its slot, `[connection, depth]`; a real array costs more to make. */
class Carrier {
  readonly transactions: Entries
  readonly 0 = guard
  readonly 1 = 0

  constructor(transactions: Entries) {
    this.transactions = transactions
  }

  [Symbol.iterator](): Iterator<unknown> {
    return [this[0], this[1]][Symbol.iterator]()
  }
}

/** The entry of one database in this context, as it was put there by {@link add}. */
export const entryOf = (context: Context.Context<never>, database: object): unknown => {
  const slot: unknown = context.unsafeMap.get(KEY)
  return slot instanceof Carrier ? slot.transactions.get(database) : undefined
}

/** A context in which one more transaction is open. */
export const add = <R>(context: Context.Context<R>, database: object, entry: unknown): Context.Context<R> => {
  const slot: unknown = context.unsafeMap.get(KEY)
  const entries = slot instanceof Carrier ? new Map(slot.transactions) : new Map<object, unknown>()
  entries.set(database, entry)
  return Context.add(context, SqlClient.TransactionConnection, new Carrier(entries) as never) as Context.Context<R>
}

/** A context in which a foreign client finds in the slot what it left there itself, or nothing. */
export const withSlot = <R>(context: Context.Context<R>, slot: unknown): Context.Context<R> =>
  slot === undefined
    ? Context.omit(SqlClient.TransactionConnection)(
      context as Context.Context<SqlClient.TransactionConnection>
    ) as Context.Context<R>
    : Context.add(context, SqlClient.TransactionConnection, slot as never) as Context.Context<R>

export const slotOf = (context: Context.Context<never>): unknown => context.unsafeMap.get(KEY)

/**
 * The body of a transaction takes no answers from the request cache that were cached outside of it (the default cache is
 * the whole process's), and leaves none there that may be rolled back. Most bodies never look at the cache: it is made
 * when one does.
 */
export const ownRequestCache = (): Request.Cache => {
  let cache: Request.Cache | undefined
  const own = (): Request.Cache =>
    cache ??= Effect.runSync(Request.makeCache({ capacity: 65_536, timeToLive: "60 seconds" }))
  return new Proxy({} as Request.Cache, { get: (_, key) => Reflect.get(own(), key) })
}

/**
 * Runs a body with one more open transaction, and gives its exit. Context and cache are set and put back by hand, which
 * is safe because nothing here can be interrupted but the body: `Effect.locally` costs as much as a statement.
 */
export const exitOf = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  body: Effect.Effect<A, E, R>,
  database: object,
  entry: unknown,
  restore: Restore
): Effect.Effect<Exit.Exit<A, E>> => {
  const context = fiber.currentContext
  const cache = fiber.getFiberRef(FiberRef.currentRequestCache)
  return Effect.zipRight(
    set(add(context, database, entry), ownRequestCache()),
    Effect.zipLeft(Effect.exit(restore(body as Effect.Effect<A, E>)), set(context, cache))
  )
}

const set = (context: Context.Context<never>, cache: Request.Cache): Effect.Effect<void> =>
  Effect.updateFiberRefs((fiberId, fiberRefs) =>
    FiberRefs.updateManyAs(fiberRefs, {
      entries: [
        [FiberRef.currentContext, [[fiberId, context]]],
        [FiberRef.currentRequestCache, [[fiberId, cache]]]
      ]
    })
  )

/** Whether any transaction is open here, of any database. */
export const inAnyTransaction = (context: Context.Context<never>): boolean => context.unsafeMap.has(KEY)

/**
 * A client that was not made by us takes whatever connection is in the slot for its own. Inside one of our transactions
 * it gets this one, on which nothing runs: a refused statement instead of one that reaches the wrong database.
 */
const refused = Effect.suspend(() =>
  Effect.fail(toSqlError(makeError(
    "SqlClient",
    "InvalidParameter",
    "another SqlClient was used inside a transaction of @betterai/infrastructure, where its statement would run on the wrong"
      + " database. Provide that client through Database.Tag(...).fromSqlClient"
  )))
)

const guard: SqlConnection.Connection = {
  execute: () => refused,
  executeRaw: () => refused,
  executeValues: () => refused,
  executeUnprepared: () => refused,
  executeStream: () => Stream.fromEffect(refused)
}
