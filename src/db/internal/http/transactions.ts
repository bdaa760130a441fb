/** The transactions of one session, which begin and end together. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { DatabaseError } from "../../../Errors.ts"
import type { Owner, Source, Transactions } from "../borrowed/transactionSlot.ts"
import { transactionsOf } from "../borrowed/transactionSlot.ts"
import type { DataSource } from "../dataSource.ts"
import { fromSqlError } from "../errors/sqlError.ts"
import { Level } from "../transaction/level.ts"
import { NO_OPTIONS, OpenTransaction } from "../transaction/openTransaction.ts"
import { finish, prepare } from "../transaction/transaction.ts"
import { Later } from "../transaction/transactionContext.ts"

/** Nothing of them is made before somebody looks for one: most requests ask nothing of any database. */
export class SessionTransactions implements Source {
  readonly #context: Context.Context<never>
  readonly #dataSources: Array<DataSource> = []
  #begun: ReadonlyMap<Owner, Later<Level>> | undefined
  /** Those, and what was open before. */
  #open: Transactions | undefined
  /** How they ended, for those who look for one afterwards. */
  #committed: boolean | undefined
  /** What still runs in them runs on connections of the pool. */
  #detached = false

  constructor(context: Context.Context<never>) {
    this.#context = context
  }

  add(dataSource: DataSource): void {
    this.#dataSources.push(dataSource)
  }

  get isEmpty(): boolean {
    return this.#dataSources.length === 0
  }

  get transactions(): Transactions {
    return this.#open ??= this.#openAll()
  }

  #openAll(): Transactions {
    const begun = new Map(
      this.#dataSources.map((dataSource) => [dataSource, new Later(() => this.#begin(dataSource))])
    )
    this.#begun = begun
    const before = transactionsOf(this.#context)
    return before === undefined ? begun : new Map<Owner, unknown>([...before, ...begun])
  }

  #begin(dataSource: DataSource): Level {
    const transaction = new OpenTransaction(dataSource, NO_OPTIONS, this.#context, true)
    const level = new Level(transaction, undefined, false)
    if (this.#committed !== undefined) level.endUnused(this.#committed)
    transaction.isDetached = this.#detached
    return level
  }

  /** Whether a statement was sent in one of them. It can still be asked after the end. */
  get areUsed(): boolean {
    return this.#levels.some(({ transaction }) => transaction.connection !== undefined)
  }

  /** Those that somebody has looked for. */
  get #levels(): ReadonlyArray<Level> {
    return [...this.#begun?.values() ?? []].flatMap(({ made }) => made ?? [])
  }

  /** Ends them, if nothing was asked of any database. False: they have to be ended. */
  endUnused(): boolean {
    if (this.#begun !== undefined) {
      for (const { made } of this.#begun.values()) if (made?.endUnused(true) === false) return false
    }
    this.#committed = true
    return true
  }

  detach(): void {
    this.#detached = true
    for (const { transaction } of this.#levels) transaction.isDetached = true
  }

  rollBack(levels = this.#levels): Effect.Effect<void> {
    this.#committed = false
    return Effect.forEach(levels, (level) => Effect.exit(finish(level, ROLL_BACK, () => {})), { discard: true })
  }

  /** Commits one after the other. `onCommit` is called for each in which something was done. */
  commit(onCommit: () => void): Effect.Effect<DatabaseError | undefined> {
    // All of them: nobody shall find one of their own meanwhile.
    const levels = [...this.#begun?.values() ?? []].map(({ transaction }) => transaction)
    const used = levels.filter(({ transaction }) => transaction.connection !== undefined)
    const commitFrom = (index: number): Effect.Effect<DatabaseError | undefined> => {
      const level = levels[index]
      if (level === undefined) {
        this.#committed = true
        return Effect.succeed(undefined)
      }
      return Effect.matchEffect(finish(level, COMMIT, () => {}), {
        onSuccess: () => {
          if (level.transaction.connection !== undefined) onCommit()
          return commitFrom(index + 1)
        },
        onFailure: (failure) =>
          Effect.as(this.rollBack(levels.slice(index + 1)), fromSqlError(level.transaction.dataSource.name, failure))
      })
    }
    if (used.length < 2) return commitFrom(0)
    // What is known to be lost is found before the first COMMIT.
    return Effect.flatMap(Effect.forEach(used, prepare), (refusals) => {
      const error = refusals.find((refusal) => refusal !== undefined)
      return error === undefined ? commitFrom(0) : Effect.as(this.rollBack(), error)
    })
  }
}

const COMMIT = Exit.void
const ROLL_BACK = Exit.fail(undefined)
