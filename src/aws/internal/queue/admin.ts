/** What those who run a queue do with it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ServiceError } from "../../../Errors.ts"
import { finiteDuration } from "../../../internal/finiteDuration.ts"
import { CLEAN_UP } from "../deadlines.ts"
import { toServiceError } from "../errors/classify.ts"
import { invalidInput, type Refusal, refuse } from "../errors/invalidInput.ts"
import type { MoveTask, QueueBackend } from "./backend.ts"
import type { RedriveOptions, RedriveProgress } from "./model.ts"
import { malformedReply } from "./sqs/malformedReply.ts"

export const purge = (backend: QueueBackend, name: string): Effect.Effect<void, ServiceError> =>
  name === backend.name && name !== ""
    ? backend.purge
    : Effect.fail(invalidInput("SQS", "purge", {
      field: "name",
      detail: "is not the name of this queue",
      hint: "give the name of the queue that is to be emptied"
    }))

export const redrive = (
  backend: QueueBackend,
  options: RedriveOptions = {}
): Stream.Stream<RedriveProgress, ServiceError> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { interval, maxPerSecond } = yield* check(options)
    const { arn, redrivePolicy } = yield* backend.attributes
    if (redrivePolicy === undefined) return yield* noDeadLetterQueue
    const from = redrivePolicy.deadLetterQueueArn
    const before = yield* backend.moves(from)
    if (before.some(({ status }) => isUnderWay(status))) return yield* isMoving
    const startedBefore = Math.max(-Infinity, ...before.map(({ startedAt }) => startedAt))
    const move = yield* start(backend, { from, to: arn, maxPerSecond })

    // The move goes on whether somebody looks or not, so a look that fails is repeated.
    const look = Effect.retry(backend.moves(from), {
      while: ({ retryable }) => retryable,
      schedule: Schedule.intersect(Schedule.spaced(interval), Schedule.recurs(PATIENCE))
    })
    /** @param missed how often the task was not in the list; undefined before the first look */
    const step = (missed: number | undefined): Effect.Effect<Page, ServiceError> =>
      Effect.gen(function*() {
        if (missed !== undefined) yield* Effect.sleep(interval)
        const task = ours(yield* look, move.handle, startedBefore)
        if (task === undefined) {
          if (missed === PATIENCE) return yield* notListed
          return [{ status: "running", moved: 0, toMove: undefined }, Option.some((missed ?? 0) + 1)]
        }
        const { moved, status, toMove } = task
        if (isUnderWay(status)) return [{ status: "running", moved, toMove }, Option.some(0)]
        move.ended = true
        if (status !== "COMPLETED") return yield* failed(task)
        return [{ status: "completed", moved, toMove }, Option.none()]
      })
    return Stream.paginateEffect(undefined as number | undefined, step)
  }))

/** How often a look at the tasks is repeated that fails, or that does not find the task, which may not be listed at once. */
const PATIENCE = 10

/** How far it is, and what the next step begins with. */
type Page = readonly [RedriveProgress, Option.Option<number | undefined>]

interface Move {
  readonly handle: string
  /** Then there is nothing to cancel. */
  ended: boolean
}

/** Starts the move. The scope cancels it if it has not ended: an interrupted start too, whose reply it waits for. */
const start = (
  backend: QueueBackend,
  request: Parameters<QueueBackend["startMove"]>[0]
): Effect.Effect<Move, ServiceError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const starting = yield* Effect.forkDaemon(Effect.interruptible(backend.startMove(request)))
      const move = { handle: "", ended: false }
      yield* Effect.addFinalizer(() => move.ended ? Effect.void : cancel(backend, starting))
      move.handle = yield* Effect.tapError(
        restore(Fiber.join(starting)),
        () => Effect.sync(() => void (move.ended = true))
      )
      return move
    })
  )

const cancel = (
  backend: QueueBackend,
  starting: Fiber.RuntimeFiber<string, ServiceError>
): Effect.Effect<void> =>
  Fiber.join(starting).pipe(
    Effect.flatMap(backend.cancelMove),
    Effect.interruptible,
    Effect.timeout(CLEAN_UP),
    Effect.catchAllCause((cause) =>
      Effect.logWarning("the move of dead letters was not cancelled; it may go on", cause)
    ),
    Effect.zipRight(Fiber.interruptFork(starting))
  )

/** SQS tells the handle of a task only while it is running: after that it is the first that began after those before. */
const ours = (tasks: ReadonlyArray<MoveTask>, handle: string, startedBefore: number): MoveTask | undefined =>
  tasks.find((task) => task.handle === handle)
    ?? tasks.findLast((task) => task.handle === undefined && task.startedAt > startedBefore)

const isUnderWay = (status: string): boolean => status === "RUNNING" || status === "CANCELLING"

const check = (
  options: RedriveOptions
): Either.Either<
  { readonly interval: Duration.Duration; readonly maxPerSecond: number | undefined },
  ServiceError
> =>
  Either.gen(function*() {
    const { maxPerSecond } = options
    const isRate = Number.isInteger(maxPerSecond) && (maxPerSecond as number) >= 1 && (maxPerSecond as number) <= 500
    if (maxPerSecond !== undefined && !isRate) yield* refuse("maxPerSecond", "must be a whole number, 1 - 500")
    const interval = finiteDuration(options.interval ?? "1 second")
    if (interval === undefined || Duration.toMillis(interval) < 100) {
      return yield* refuse("interval", "must be a duration of 100 ms or more")
    }
    return { interval, maxPerSecond }
  }).pipe(Either.mapLeft((refusal: Refusal) => invalidInput("SQS", "redrive", refusal)))

const refused = (
  reason: ServiceError["reason"],
  retryable: boolean,
  detail: string,
  hint: string
): ServiceError =>
  new ServiceError({ service: "SQS", operation: "redrive", reason, retryable, attempts: 0, detail, hint })

const noDeadLetterQueue = refused(
  "ResourceNotFound",
  false,
  "the queue has no dead-letter queue",
  "set its RedrivePolicy"
)

const isMoving = refused(
  "Conflict",
  true,
  "the messages of its dead-letter queue are being moved already",
  "wait until that has ended, or cancel it"
)

const notListed = malformedReply("ListMessageMoveTasks", "without the task that was started", { outcome: "unknown" })

/** Its reason is a code of SQS or a text; the messages that were moved stay. */
const failed = ({ failureReason, status }: MoveTask): ServiceError =>
  status === "CANCELLED"
    ? refused("Conflict", true, "the move was cancelled by another", "begin again to move the rest")
    : toServiceError("SQS", "redrive", {
      name: failureReason ?? status,
      message: `the move ended as ${status}${failureReason === undefined ? "" : `: ${failureReason}`}`,
      $metadata: { attempts: 0 }
    })
