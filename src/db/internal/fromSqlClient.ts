/** A client of any driver as one of our databases: isolated from the others, with its own statements and transactions. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../Errors.ts"
import { ownRequestCache } from "./borrowed/fiberState.ts"
import type { UpstreamSlot } from "./borrowed/transactionSlot.ts"
import { slotOf, withSlot } from "./borrowed/transactionSlot.ts"
import { partsOf } from "./borrowed/upstreamStatement.ts"
import { makeError } from "./errors/classify.ts"
import type { TransactionOptions } from "./transaction/options.ts"
import { withDeadline } from "./transaction/transaction.ts"
import * as TransactionContext from "./transaction/transactionContext.ts"

export const make = (client: SqlClient.SqlClient): SqlClient.SqlClient => {
  const database = {}
  const parts = partsOf(client)

  /** Runs an effect with only this database's transaction in the slot, if one is open. */
  const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.mapInputContext(
      effect,
      (context: Context.Context<R>) => withSlot(context, TransactionContext.find(context, database))
    )

  const acquirer = isolated(parts.acquirer)

  const withTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.contextWithEffect((outer: Context.Context<R>) =>
      isolated(client.withTransaction(
        Effect.mapInputContext(
          Effect.withRequestCache(effect, ownRequestCache()),
          (inner: Context.Context<R>) =>
            // The body sees all transactions that were open before, and this one.
            TransactionContext.add(withSlot(inner, slotOf(outer)), database, slotOf(inner) as UpstreamSlot)
        )
      ))
    )

  const build = (without: boolean): SqlClient.SqlClient => {
    const statements = Statement.make(
      acquirer,
      without ? parts.compiler.withoutTransform : parts.compiler,
      parts.spanAttributes,
      without ? undefined : parts.transformRows
    )
    const isolatedClient: any = Object.assign(statements, {
      [SqlClient.TypeId]: SqlClient.TypeId,
      withTransaction,
      reserve: isolated(client.reserve),
      withoutTransforms: () => without || parts.transformRows === undefined ? isolatedClient : build(true),
      reactive: client.reactive,
      reactiveMailbox: client.reactiveMailbox
    })
    isolatedClient.safe = isolatedClient
    return isolatedClient as SqlClient.SqlClient
  }
  return build(false)
}

/** A transaction of such a client. Options that it does not have are refused, not ignored. */
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
      `the option "${unsupported}" needs a client of ours, and this database was provided by fromSqlClient`,
      { hint: "provide the database by its own layer, or leave the option out" }
    ))
  }
  return client.withTransaction(
    options.timeout === undefined ? effect : withDeadline(name, effect, options.timeout)
  )
}
