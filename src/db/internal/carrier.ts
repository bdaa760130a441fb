/**
 * How a fiber carries its open transactions: all of them, by database, in the one slot that `@effect/sql` has for the
 * open transaction of the process. `SqlResolver` copies that slot along and nothing else, so nothing else would do.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Request from "effect/Request"
import * as Stream from "effect/Stream"

const KEY = SqlClient.TransactionConnection.key

/** Open transactions by the identity of their database (an engine of ours, or a foreign client). */
type Entries = ReadonlyMap<object, unknown>

class Carrier extends Array<unknown> {
  readonly transactions: Entries

  constructor(entries: Entries) {
    super(2)
    this.transactions = entries
    this[0] = guard
    this[1] = 0
  }

  // Array methods that make a new array make a plain one.
  static override get [Symbol.species](): ArrayConstructor {
    return Array
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
  const entries = new Map(slot instanceof Carrier ? slot.transactions : [])
  entries.set(database, entry)
  return Context.add(context, SqlClient.TransactionConnection, new Carrier(entries) as never) as Context.Context<R>
}

/** A context in which a foreign client finds in the slot what it left there itself, or nothing. */
export const withSlot = <R>(context: Context.Context<R>, slot: unknown): Context.Context<R> =>
  slot === undefined
    ? Context.omit(SqlClient.TransactionConnection)(context as Context.Context<SqlClient.TransactionConnection>) as Context.Context<R>
    : Context.add(context, SqlClient.TransactionConnection, slot as never) as Context.Context<R>

export const slotOf = (context: Context.Context<never>): unknown => context.unsafeMap.get(KEY)

/**
 * The body of a transaction takes no answers from the request cache that were cached outside of it (the default cache is
 * the whole process's), and leaves none there that may be rolled back.
 */
export const withOwnRequestCache = <A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Request.makeCache({ capacity: 65_536, timeToLive: "60 seconds" }),
    (cache) => Effect.withRequestCache(body, cache)
  )

/** Whether any transaction is open here, of any database. */
export const inAnyTransaction = (context: Context.Context<never>): boolean => context.unsafeMap.has(KEY)

/**
 * A client that was not made by us takes whatever connection is in the slot for its own. Inside one of our transactions
 * it gets this one, on which nothing runs: a refused statement instead of one that reaches the wrong database.
 */
const refused = Effect.fail(
  new SqlError({
    message: "Another SqlClient was used inside a transaction of @betterai/infrastructure, where its statement would run"
      + " on the wrong database. Provide that client through Database.Tag(...).fromSqlClient"
  })
)

const guard: SqlConnection.Connection = {
  execute: () => refused,
  executeRaw: () => refused,
  executeValues: () => refused,
  executeUnprepared: () => refused,
  executeStream: () => Stream.fromEffect(refused)
}
