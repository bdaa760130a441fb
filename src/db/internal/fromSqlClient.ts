/** A client of any driver as one of our databases: isolated from the others, with its own statements and transactions. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { DatabaseError } from "../../Errors.ts"
import { inContext } from "./borrowed/fiberState.ts"
import type { Owner } from "./borrowed/transactionSlot.ts"
import { slotOf, withSlot } from "./borrowed/transactionSlot.ts"
import { partsOf } from "./borrowed/upstreamStatement.ts"
import { makeError } from "./errors/classify.ts"
import { toSqlError } from "./errors/sqlError.ts"
import { AfterCommit } from "./transaction/afterCommit.ts"
import type { TransactionOptions } from "./transaction/options.ts"
import { withDeadline } from "./transaction/transaction.ts"
import * as TransactionContext from "./transaction/transactionContext.ts"

/** An open transaction of such a client: what the client itself keeps of it, and what is to run after its commit. */
class Transaction implements TransactionContext.Transaction {
  readonly slot: unknown
  readonly afterCommit: AfterCommit
  isSession: boolean

  constructor(slot: unknown, afterCommit: AfterCommit, isSession: boolean) {
    this.slot = slot
    this.afterCommit = afterCommit
    this.isSession = isSession
  }

  makeSession(): void {
    this.isSession = true
  }
}

const owners = new WeakMap<SqlClient.SqlClient, Owner>()

/** What the transactions of such a client belong to; undefined for any other client. */
export const ownerOf = (client: SqlClient.SqlClient): Owner | undefined => owners.get(client)

export const make = (name: string, client: SqlClient.SqlClient): SqlClient.SqlClient => {
  const parts = partsOf(client)
  const owner: Owner = { name, target: JSON.stringify(parts.spanAttributes) }

  /** Runs an effect with only this database's transaction in the slot, if one is open. */
  const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.contextWithEffect((context: Context.Context<R>): Effect.Effect<A, E | SqlError, R> => {
      const open = TransactionContext.find(context as Context.Context<never>, owner) as Transaction | undefined
      if (open === undefined && TransactionContext.findOther(context as Context.Context<never>, owner) !== undefined) {
        return Effect.fail(toSqlError(TransactionContext.otherLayer(name)))
      }
      return Effect.mapInputContext(effect, () => withSlot(context, open?.slot))
    })

  const acquirer = isolated(parts.acquirer)

  const withTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.contextWithEffect((outer: Context.Context<R>) => {
      const parent = TransactionContext.find(outer as Context.Context<never>, owner)
      const afterCommit = new AfterCommit()
      const transaction = isolated(client.withTransaction(
        inContext(
          effect,
          (inner) =>
            // The body sees all transactions that were open before, and this one.
            TransactionContext.add(
              withSlot(inner, slotOf(outer)),
              owner,
              new Transaction(slotOf(inner), afterCommit, parent?.isSession === true)
            )
        )
      ))
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(transaction), (value) => {
          if (parent === undefined) return afterCommit.run(Exit.succeed(value))
          afterCommit.moveTo(parent.afterCommit)
          return Effect.succeed(value)
        })
      )
    })

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
    owners.set(isolatedClient, owner)
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
