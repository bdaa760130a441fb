/** The options of those who receive, checked. */
import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type { ServiceError } from "../../../../Errors.ts"
import { invalidInput, type Refusal, refuse } from "../../errors/invalidInput.ts"
import type { QueueBackend } from "../backend.ts"
import { MAX_VISIBILITY } from "../limits.ts"
import type { ConsumeBatchOptions, ConsumeOptions, ConsumerOptions, ReceiveOptions } from "../model.ts"
import { seconds } from "../seconds.ts"

export interface Receiving {
  /** Milliseconds, a whole number of seconds. */
  readonly visibility: number
  readonly waitSeconds: number
}

export interface Settings extends Receiving {
  readonly name: string
  readonly concurrency: number
  readonly batchSize: number
  /** Milliseconds. */
  readonly batchWithin: number
  readonly deadline: number
  readonly drainTimeout: number
  readonly retry: Schedule.Schedule<unknown, number>
}

const MAX_WAIT = 20

/** As many messages as a standard queue has in flight at most. */
const MAX_CONCURRENCY = 120_000

const MAX_BATCH = 1_000

/** Long enough for a last poll. */
const DRAIN: Duration.DurationInput = "30 seconds"

const defaultRetry: Schedule.Schedule<unknown, number> = Schedule.exponential("1 second").pipe(
  Schedule.either(Schedule.spaced("15 minutes")),
  Schedule.jittered
)

/** The options that say how much and how long. */
type Timing<Options> = Omit<Options, "dedupe" | "isPoison" | "onPoison">

type Checked<A> = Either.Either<A, Refusal>

export const receiving = (operation: string, options: ReceiveOptions = {}): Either.Either<Receiving, ServiceError> =>
  refused(operation, receivingOf(options))

export const one = (
  backend: Pick<QueueBackend, "inMemory" | "name">,
  options: Timing<ConsumeOptions<never, never>>
): Either.Either<Settings, ServiceError> =>
  refused(
    "consume",
    Either.all({
      ...common(backend, options),
      concurrency: count("concurrency", options.concurrency ?? 10, MAX_CONCURRENCY)
    })
      .pipe(Either.map(({ base, concurrency, receiving }) => ({
        ...receiving,
        ...base,
        concurrency,
        batchSize: 1,
        batchWithin: 0
      })))
  )

export const batches = (
  backend: Pick<QueueBackend, "inMemory" | "name">,
  options: Timing<ConsumeBatchOptions<never, never>>
): Either.Either<Settings, ServiceError> =>
  refused(
    "consumeBatch",
    Either.all({
      ...common(backend, options),
      concurrency: count("concurrency", options.concurrency ?? 1, MAX_CONCURRENCY),
      batchSize: count("batchSize", options.batchSize ?? 10, MAX_BATCH),
      batchWithin: seconds("batchWithin", options.batchWithin ?? "100 millis", 0, 300)
    }).pipe(Either.map(({ base, batchSize, batchWithin, concurrency, receiving }) => ({
      ...receiving,
      ...base,
      concurrency,
      batchSize,
      batchWithin: batchWithin * 1000
    })))
  )

const common = (backend: Pick<QueueBackend, "inMemory" | "name">, options: Timing<ConsumerOptions<never, never>>) => ({
  receiving: receivingOf(options),
  base: Either.all({
    name: Either.right(options.name ?? backend.name),
    deadline: inMillis(seconds("deadline", options.deadline ?? "1 hour", 0.001, MAX_VISIBILITY)),
    drainTimeout: inMillis(
      seconds("drainTimeout", options.drainTimeout ?? (backend.inMemory ? 0 : DRAIN), 0, MAX_VISIBILITY)
    ),
    retry: scheduleOf(options.retry)
  })
})

const receivingOf = (options: ReceiveOptions): Checked<Receiving> =>
  Either.map(
    Either.all({
      visibility: seconds("visibility", options.visibility ?? "30 seconds", 1, MAX_VISIBILITY),
      wait: seconds("waitTime", options.waitTime ?? "20 seconds", 0, MAX_WAIT)
    }),
    ({ visibility, wait }) => ({ visibility: Math.ceil(visibility) * 1000, waitSeconds: Math.ceil(wait) })
  )

const inMillis = (checked: Checked<number>): Checked<number> => Either.map(checked, (given) => given * 1000)

const count = (field: string, value: unknown, most: number): Checked<number> =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= most
    ? Either.right(value)
    : refuse(field, `must be a whole number of 1-${most}`)

const scheduleOf = (retry: unknown): Checked<Schedule.Schedule<unknown, number>> =>
  retry === undefined
    ? Either.right(defaultRetry)
    : Schedule.isSchedule(retry)
    ? Either.right(retry as Schedule.Schedule<unknown, number>)
    : refuse("retry", "must be a Schedule")

const refused = <A>(operation: string, checked: Checked<A>): Either.Either<A, ServiceError> =>
  Either.mapLeft(checked, (refusal) => invalidInput("SQS", operation, refusal))
