/** What is to run after a commit: kept with its level of the transaction, and dropped with it. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { slotOf, withSlot } from "../borrowed/transactionSlot.ts"

export interface AfterCommitOptions {
  /**
   * What to do when it is not known whether the transaction was committed (`CommitOutcomeUnknown`): `drop` does not run
   * the effect, `run` does. Use `run` only for what is harmless after a rollback, such as waking up a reader. Default
   * `drop`.
   */
  readonly whenUnknown?: "drop" | "run" | undefined
}

interface Item {
  readonly effect: Effect.Effect<void>
  readonly whenUnknown: "drop" | "run"
}

/** The effects of one level, in the order in which they were registered. */
export class AfterCommit {
  #items: Array<Item> | undefined
  /** Where late effects belong: to the level that this one became a part of, or nowhere, because it was committed. */
  #movedTo: AfterCommit | undefined
  #committed = false

  /**
   * The effect runs once the outermost transaction is committed; at once if it is already. It sees the transactions that
   * are open where it runs, not the one that it was registered in. What fails in it is logged: it stops nothing else, and
   * the transaction has been committed all the same.
   */
  add<A, R>(
    database: string,
    effect: Effect.Effect<A, never, R>,
    { whenUnknown = "drop" }: AfterCommitOptions
  ): Effect.Effect<void, never, R> {
    return Effect.contextWithEffect((context: Context.Context<R>) => {
      const logged = Effect.catchAllCause(
        effect,
        (cause) =>
          Effect.annotateLogs(Effect.logError(`${database}: an effect failed that was to run after a commit`, cause), {
            database
          })
      )
      return this.#register({
        effect: Effect.asVoid(
          Effect.mapInputContext(logged, (outer: Context.Context<never>) => withSlot(context, slotOf(outer)))
        ),
        whenUnknown
      })
    })
  }

  /** This level has become a part of the one around it. */
  moveTo(outer: AfterCommit): void {
    this.#movedTo = outer
    if (this.#items !== undefined) (outer.#items ??= []).push(...this.#items)
    this.#items = undefined
  }

  /** Whether nothing is registered. If so, and the transaction ends well, what comes later runs at once. */
  endEmpty(committed: boolean): boolean {
    if (this.#items !== undefined) return false
    this.#committed = committed
    return true
  }

  /** The result of a transaction that was committed, after all effects have run, one after another. */
  run<A, E>(result: Exit.Exit<A, E>): Effect.Effect<A, E> {
    this.#committed = true
    return this.#runThen(result, () => true)
  }

  /** The result of a transaction of which nobody knows whether it was committed, after the effects that ask for that. */
  runIfUnknown<A, E>(result: Exit.Exit<A, E>): Effect.Effect<A, E> {
    return this.#runThen(result, ({ whenUnknown }) => whenUnknown === "run")
  }

  #register(item: Item): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#movedTo !== undefined) return this.#movedTo.#register(item)
      if (this.#committed) return item.effect
      ;(this.#items ??= []).push(item)
      return Effect.void
    })
  }

  #runThen<A, E>(result: Exit.Exit<A, E>, include: (item: Item) => boolean): Effect.Effect<A, E> {
    const items = this.#items
    if (items === undefined) return result
    this.#items = undefined
    return Effect.zipRight(Effect.forEach(items.filter(include), ({ effect }) => effect, { discard: true }), result)
  }
}
