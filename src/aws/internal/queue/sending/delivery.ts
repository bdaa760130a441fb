/** Sends a batch until the result of each message is known: what may be repeated is repeated, a few times. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import { ServiceError } from "../../../../Errors.ts"
import { type Backoff, pauseAfter } from "../../../../internal/backoff.ts"
import { DEDUPLICATION_WINDOW } from "../limits.ts"
import type { Sender } from "./deduplication.ts"
import type { Item, Result } from "./window.ts"

/** How often a message is sent at most; the SDK makes three attempts of each. */
const TRIES = 5

const pauses: Backoff = { first: 200, max: 5_000 }

/**
 * Milliseconds after the first try within which one begins that repeats what may have been done: its last attempt must
 * arrive while the queue still knows the deduplication id, for five minutes. With attempts that are all silent
 * for 30 s, a try takes a minute and a half.
 */
const REPEAT_WITHIN = 2 * 60 * 1000

/**
 * Milliseconds after the first try when such a repetition is given up: it may have waited long for its turn. What is on
 * its way then has the rest of the five minutes.
 */
const REPEAT_UNTIL = DEDUPLICATION_WINDOW - 30 * 1000

export interface Setup {
  readonly sender: Sender
  /** Whether a message that is sent again is delivered once; if not, what may be in the queue is not sent again. */
  readonly deduplicates: (item: Item) => boolean
  /** Told each result as soon as it is known, once. */
  readonly settle: (item: Item, result: Result) => void
  /** Runs before a pause. */
  readonly beforePause: Effect.Effect<void>
}

/** Never fails: what fails is settled. */
export const make = (
  { beforePause, deduplicates, sender, settle }: Setup
): (items: ReadonlyArray<Item>) => Effect.Effect<void> => {
  const deliver = (items: ReadonlyArray<Item>, tries: number, start: number): Effect.Effect<void> =>
    Effect.matchEffect(items.some(({ doubtful }) => doubtful) ? inTime(items, start) : sender.sendBatch(items), {
      onFailure: (error) =>
        isOfOne(error) && items.length > 1 ? halves(items, start) : sort(items, () => error, tries, start),
      onSuccess: (results) => {
        const failures = new Map<Item, ServiceError>()
        items.forEach((item, index) => {
          const result = results[index] as Result
          if (Either.isRight(result)) settle(item, result)
          else failures.set(item, result.left)
        })
        if (failures.size === 0) return Effect.void
        return sort([...failures.keys()], (item) => failures.get(item) as ServiceError, tries, start)
      }
    })

  /** Sends again what may be in the queue, while the queue knows it. */
  const inTime = (items: ReadonlyArray<Item>, start: number): ReturnType<Sender["sendBatch"]> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const duration = start + REPEAT_UNTIL - now
      return duration > 0
        ? Effect.timeoutFail(sender.sendBatch(items), { duration, onTimeout: () => tooLate })
        : Effect.fail(tooLate)
    })

  /** Which of them it was, SQS does not say: the others are not to fail with it. */
  const halves = (items: ReadonlyArray<Item>, start: number): Effect.Effect<void> => {
    const middle = Math.ceil(items.length / 2)
    return Effect.zipRight(deliver(items.slice(0, middle), 1, start), deliver(items.slice(middle), 1, start))
  }

  /** Settles those that have failed for good, and sends the others again. */
  const sort = (
    items: ReadonlyArray<Item>,
    errorOf: (item: Item) => ServiceError,
    tries: number,
    start: number
  ): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const again: Array<Item> = []
      for (const item of items) {
        const error = errorOf(item)
        item.attempts += error.attempts
        item.doubtful ||= error.outcome === "unknown"
        const repeatable = item.doubtful
          ? deduplicates(item) && error.reason !== "Checksum" && now - start < REPEAT_WITHIN
            && (error.retryable || error.outcome === "unknown")
          : error.retryable
        if (repeatable && tries < TRIES) again.push(item)
        else settle(item, Either.left(withHistory(error, item)))
      }
      if (again.length === 0) return Effect.void
      return Effect.flatMap(Random.next, (random) =>
        Effect.zipRight(
          Effect.zipRight(beforePause, Effect.sleep(pauseAfter(tries, pauses, random))),
          deliver(again, tries + 1, start)
        ))
    })

  return (items) => Effect.flatMap(Clock.currentTimeMillis, (now) => deliver(items, 1, now))
}

const tooLate = new ServiceError({
  service: "SQS",
  operation: "SendMessageBatch",
  reason: "Timeout",
  retryable: false,
  attempts: 0,
  detail: "it was not sent again before the queue forgets its deduplication id",
  outcome: "unknown"
})

/** Whether a whole request may have been refused for one of its messages. */
const isOfOne = ({ outcome, reason }: ServiceError): boolean =>
  outcome === undefined && (reason === "InvalidRequest" || reason === "PayloadTooLarge")

/** The last error of a message, with what its earlier attempts add. */
const withHistory = (error: ServiceError, { attempts, doubtful }: Item): ServiceError =>
  error.attempts === attempts && (!doubtful || error.outcome === "unknown")
    ? error
    : new ServiceError({ ...error, attempts, ...(doubtful ? { outcome: "unknown" as const } : {}) })
