/** A client of any driver as one of our databases: isolated from the others, with its own statements and transactions. */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../Errors.ts"
import * as Carrier from "./transaction/openTransactions.ts"
import { makeError } from "./errors/classify.ts"
import type { TransactionOptions } from "./transaction/levels.ts"
import { withDeadline } from "./transaction/transaction.ts"

/** What a statement of `@effect/sql` knows of its client, beyond its own types. */
interface Inside {
  readonly acquirer: SqlConnection.Connection.Acquirer
  readonly compiler: Statement.Compiler
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
  readonly transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
}

/** The slot of upstream's own transactions: a connection and how deep it is nested. */
type Slot = readonly [connection: SqlConnection.Connection, depth: number]

export const make = (client: SqlClient.SqlClient): SqlClient.SqlClient => {
  const database = {}
  const inside = client.unsafe("") as unknown as Inside

  /** The client's work sees in the slot what the client itself has put there for this database, and nothing of the others. */
  const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.mapInputContext(
      effect,
      (context: Context.Context<R>) => Carrier.withSlot(context, Carrier.entryOf(context, database))
    )

  const acquirer = isolated(inside.acquirer)

  const withTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.contextWithEffect((outer: Context.Context<R>) =>
      isolated(client.withTransaction(
        Effect.mapInputContext(
          Effect.withRequestCache(effect, Carrier.ownRequestCache()),
          (inner: Context.Context<R>) =>
            // The body runs where it was written, all open transactions with it, and this one added.
            Carrier.add(
              Carrier.withSlot(inner, Carrier.slotOf(outer)),
              database,
              Carrier.slotOf(inner) as Slot
            )
        )
      ))
    )

  const build = (without: boolean): SqlClient.SqlClient => {
    const statements = Statement.make(
      acquirer,
      without ? inside.compiler.withoutTransform : inside.compiler,
      inside.spanAttributes,
      without ? undefined : inside.transformRows
    )
    const isolatedClient: any = Object.assign(statements, {
      [SqlClient.TypeId]: SqlClient.TypeId,
      withTransaction,
      reserve: isolated(client.reserve),
      withoutTransforms: () => without || inside.transformRows === undefined ? isolatedClient : build(true),
      reactive: client.reactive,
      reactiveMailbox: client.reactiveMailbox
    })
    isolatedClient.safe = isolatedClient
    return isolatedClient as SqlClient.SqlClient
  }
  return build(false)
}

/** A transaction of the foreign client. What it cannot do is refused, not ignored. */
export const transact = <A, E, R>(
  name: string,
  client: SqlClient.SqlClient,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {}
): Effect.Effect<A, E | SqlError | DatabaseError, R> => {
  const unsupported = (["isolation", "readOnly", "retries"] as const).find((option) => options[option] !== undefined)
  if (unsupported !== undefined) {
    return Effect.fail(makeError(
      name,
      "InvalidParameter",
      `the option "${unsupported}" needs a client of ours; this database was provided by fromSqlClient`
    ))
  }
  return client.withTransaction(
    options.timeout === undefined ? effect : withDeadline(name, effect, options.timeout)
  )
}
