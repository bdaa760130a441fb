/**
 * Borrowed from `@effect/sql`: the slot of the context in which it keeps the open transaction, one slot for all clients
 * (`SqlClient.TransactionConnection`), and the shape of its value, `[connection, depth]`.
 *
 * `SqlResolver` copies that slot and nothing else into its batches, so all our open transactions must be in it.
 * If upstream renamed the slot, our transactions would still isolate statements, but resolvers would leave them.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { copyOf } from "../../../internal/copyOf.ts"
import { makeError } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"

const KEY = SqlClient.TransactionConnection.key

/** What upstream keeps in the slot: its connection, and how deep its transaction is nested. */
export type UpstreamSlot = readonly [connection: SqlConnection.Connection, depth: number]

/** What a transaction belongs to: a data source of ours, or a client given to `fromSqlClient`. */
export interface Owner {
  /** The name of the database's tag. */
  readonly name: string
  /** The database on its server, in a form that can be compared. Two layers of one tag may have the same. */
  readonly target: string
  /**
   * What a context gets besides when the work in it leaves this transaction, by `outside`. Only a sandbox of `testing` has
   * use for it: all that it runs shares one connection.
   */
  readonly onLeave?: (<R>(context: Context.Context<R>, transaction: unknown) => Context.Context<R>) | undefined
}

/** Open transactions by the identity of their owner. */
export type Transactions = ReadonlyMap<Owner, unknown>

/** Where the open transactions come from, each time that somebody asks for them. */
export interface Source {
  readonly transactions: Transactions
}

/** Our value of the slot: every open transaction, in upstream's shape. A real array costs more to make. */
class TransactionSlot {
  readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  get 0(): SqlConnection.Connection {
    return guard
  }

  get 1(): number {
    return 0
  }

  [Symbol.iterator](): Iterator<unknown> {
    return [this[0], this[1]][Symbol.iterator]()
  }
}

/** The content of the slot: our transactions, one of upstream's, or nothing. */
export const slotOf = (context: Context.Context<never>): unknown => context.unsafeMap.get(KEY)

/** A context with that value in the slot; with an empty slot for `undefined`. */
export const withSlot = <R>(context: Context.Context<R>, slot: unknown): Context.Context<R> =>
  slot === undefined
    ? Context.omit(SqlClient.TransactionConnection)(
      context as Context.Context<SqlClient.TransactionConnection>
    ) as Context.Context<R>
    : Context.add(context, SqlClient.TransactionConnection, slot as never) as Context.Context<R>

/** Our open transactions in this context; undefined where there is none. */
export const transactionsOf = (context: Context.Context<never>): Transactions | undefined => {
  const slot = slotOf(context)
  return slot instanceof TransactionSlot ? slot.source.transactions : undefined
}

/** A context in which these transactions are open. */
export const withTransactions = <R>(context: Context.Context<R>, transactions: Transactions): Context.Context<R> => {
  const services = copyOf(context.unsafeMap)
  putTransactions(services, { transactions })
  return Context.unsafeMake(services)
}

/** Opens transactions in the services of a context that is being made. */
export const putTransactions = (services: Map<string, unknown>, source: Source): void => {
  services.set(KEY, new TransactionSlot(source))
}

/**
 * A client of another package uses the connection in the slot as its own. Inside one of our transactions it gets this
 * one, which refuses every statement, so that none reaches the wrong database.
 */
const refused = Effect.suspend(() =>
  Effect.fail(toSqlError(makeError(
    "SqlClient",
    "InvalidParameter",
    "another SqlClient was used inside a transaction of @betterai/infrastructure, where its statement would run on the"
      + " wrong database",
    { hint: "provide that client through the fromSqlClient of a database tag" }
  )))
)

const guard: SqlConnection.Connection = {
  execute: () => refused,
  executeRaw: () => refused,
  executeValues: () => refused,
  executeUnprepared: () => refused,
  executeStream: () => Stream.fromEffect(refused)
}
