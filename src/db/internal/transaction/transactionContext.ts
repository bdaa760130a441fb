/** The open transactions of a fiber, by database. All of them are in the one slot that `@effect/sql` has for one. */
import type * as Context from "effect/Context"
import type { DatabaseError } from "../../../Errors.ts"
import type { Owner } from "../borrowed/transactionSlot.ts"
import { slotOf, transactionsOf, withSlot, withTransactions } from "../borrowed/transactionSlot.ts"
import { makeError } from "../errors/classify.ts"
import type { AfterCommit } from "./afterCommit.ts"

/** What every open transaction has, of whatever client. */
export interface Transaction {
  readonly afterCommit: AfterCommit
  /** It spans a request: see `http/session.ts`. */
  readonly isSession?: boolean
  /** Says that it does, of one that did not know when it began: see `fromSqlClient.ts`. */
  makeSession?(): void
}

/** A transaction that is made when it is first looked for: most requests ask nothing of most databases. */
export class Later<A extends Transaction> {
  readonly #make: () => A
  #made: A | undefined

  constructor(make: () => A) {
    this.#make = make
  }

  /** Undefined if nobody has looked for it. */
  get made(): A | undefined {
    return this.#made
  }

  get transaction(): A {
    return this.#made ??= this.#make()
  }
}

const revealed = (value: unknown): Transaction | undefined =>
  value instanceof Later ? value.transaction : value as Transaction | undefined

/** The open transaction of one owner in this context, as it was put there by {@link add} or a session. */
export const find = (context: Context.Context<never>, owner: Owner): Transaction | undefined =>
  revealed(transactionsOf(context)?.get(owner))

/** The open transaction of another layer of the same database. */
export const findOther = (context: Context.Context<never>, owner: Owner): Transaction | undefined => {
  for (const [other, transaction] of transactionsOf(context) ?? []) {
    if (other !== owner && isSame(other, owner)) return revealed(transaction)
  }
  return undefined
}

const isSame = (one: Owner, other: Owner): boolean => one.name === other.name && one.target === other.target

/** The refusal of a statement that would run outside of the transaction that its caller has opened. */
export const otherLayer = (name: string): DatabaseError =>
  makeError(
    name,
    "InvalidParameter",
    `a transaction of another layer of ${name} is open here, and this client would not be in it`,
    { hint: `provide ${name} once, or run this with ${name}.outside` }
  )

/** A context in which one more transaction is open. */
export const add = <R>(
  context: Context.Context<R>,
  owner: Owner,
  transaction: Transaction
): Context.Context<R> => {
  const open = new Map(transactionsOf(context as Context.Context<never>))
  open.set(owner, transaction)
  return withTransactions(context, open)
}

/** A context in which no transaction of that database is open, of whatever layer. */
export const without = <R>(context: Context.Context<R>, owner: Owner): Context.Context<R> => {
  const open = transactionsOf(context as Context.Context<never>)
  if (open === undefined) return context
  const others = new Map([...open].filter(([other]) => !isSame(other, owner)))
  const left = others.size === 0 ? withSlot(context, undefined) : withTransactions(context, others)
  return owner.onLeave === undefined ? left : owner.onLeave(left, revealed(open.get(owner)))
}

/** A context in which no session of a request is open. */
export const withoutSessions = <R>(context: Context.Context<R>): Context.Context<R> => {
  let left = context
  for (const [owner, transaction] of transactionsOf(context as Context.Context<never>) ?? []) {
    if (revealed(transaction)?.isSession === true) left = without(left, owner)
  }
  return left
}

/** The same context, whose outermost transactions that were not open in `outer` are from now on those of a session. */
export const asSessions = <R>(context: Context.Context<R>, outer: Context.Context<never>): Context.Context<R> => {
  const before = transactionsOf(outer)
  for (const [owner, transaction] of transactionsOf(context as Context.Context<never>) ?? []) {
    if (before?.has(owner) !== true) revealed(transaction)?.makeSession?.()
  }
  return context
}

/** Whether any transaction is open here, of any database, ours or another client's. */
export const isAnyOpen = (context: Context.Context<never>): boolean => slotOf(context) !== undefined
