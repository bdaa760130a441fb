/** Queues that cannot be sent to, of whichever shard, and for how long they are left alone. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { ServiceError } from "../../Errors.ts"
import { type Backoff, pauseAfter } from "../backoff.ts"

/** In milliseconds. */
const BACKOFF: Backoff = { first: 500, max: 30_000 }

export class Faults {
  readonly #queues = new Map<
    string,
    { readonly failures: number; readonly until: number; readonly error: ServiceError }
  >()

  has(queue: string, now: number): boolean {
    return (this.#queues.get(queue)?.until ?? 0) > now
  }

  /** Batches that were under way at the same time fail together: they count once. */
  add(queue: string, error: ServiceError, now: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.has(queue, now)) return Effect.void
      const failures = (this.#queues.get(queue)?.failures ?? 0) + 1
      this.#queues.set(queue, { failures, until: now + BACKOFF.max, error })
      return Effect.zipRight(
        Effect.map(Random.next, (random) => {
          this.#queues.set(queue, { failures, until: now + pauseAfter(failures, BACKOFF, random), error })
        }),
        failures === 1
          ? Effect.annotateLogs(Effect.logWarning("Outbox: a queue cannot be sent to; messages wait", error), { queue })
          : Effect.void
      )
    })
  }

  /** Why a queue cannot be sent to; undefined if all can. */
  get error(): ServiceError | undefined {
    return [...this.#queues.values()].at(-1)?.error
  }

  /** A message was accepted. */
  remove(queue: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#queues.delete(queue)
        ? Effect.annotateLogs(Effect.logInfo("Outbox: a queue can be sent to again"), { queue })
        : Effect.void
    )
  }
}
