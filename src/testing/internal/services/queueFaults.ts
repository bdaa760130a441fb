/** A queue that fails by a plan, as SQS or the network would have it fail. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import { toEntryError, toServiceError } from "../../../aws/internal/errors/classify.ts"
import type { Enqueued, QueueBackend, RawMessage, ReceiveRequest } from "../../../aws/internal/queue/backend.ts"
import * as Service from "../../../aws/internal/queue/service.ts"
import type { QueueTag } from "../../../aws/Queue.ts"
import { type ConfigurationError, ServiceError } from "../../../Errors.ts"
import type { Cause } from "./causes.ts"
import * as Plans from "./plan.ts"

/**
 * What a fault can happen to. `enqueue` is also `enqueueTimestamped`; `enqueueAll` is each batch of it; `acknowledge` and
 * `release` are what a consumer does with messages, by batches; `message` is each message that is received.
 */
export type QueueMethod =
  | "enqueue"
  | "enqueueAll"
  | "receive"
  | "acknowledge"
  | "release"
  | "attributes"
  | "purge"
  | "check"
  | "message"

/** Made by the functions of `Testing.QueueFault`. */
export type QueueFault = Plans.Planned<QueueMethod, QueueAct>

export type QueueAct =
  /** It fails with what this cause means; with `carriedOut` SQS has done the work before. */
  | { readonly _tag: "Fails"; readonly cause: Cause; readonly carriedOut: boolean }
  /** Some entries of a batch are refused, by their places in it; SQS accepts the others. */
  | {
    readonly _tag: "Refuses"
    readonly entries: ReadonlyArray<number>
    readonly code: string
    readonly senderFault: boolean
  }
  /** A message is received, and its receiver never learns of it. */
  | { readonly _tag: "Lost" }
  | { readonly _tag: "Twice" }
  | { readonly _tag: "Late"; readonly seconds: number }

/** The requests of SQS. */
const requests: Readonly<Record<QueueMethod, string>> = {
  enqueue: "SendMessage",
  enqueueAll: "SendMessageBatch",
  receive: "ReceiveMessage",
  message: "ReceiveMessage",
  acknowledge: "DeleteMessageBatch",
  release: "ChangeMessageVisibilityBatch",
  attributes: "GetQueueAttributes",
  purge: "PurgeQueue",
  check: "GetQueueAttributes"
}

/**
 * The queue in the context, failing by a plan: what callers get is the error that production gives for the same answer of
 * SQS. Arguments are checked before. When the layer is closed after a success and a fault has not happened, it dies (a
 * defect).
 */
export const layer = <Self, Id extends string>(
  queue: QueueTag<Self, Id>,
  plan: ReadonlyArray<QueueFault>
): Layer.Layer<Self, ConfigurationError, Self> =>
  Plans.layer(queue, plan, (service, plan) => ({
    ...service,
    ...Service.make(faulty(service[Service.internals].backend, plan))
  }))

const isOfService = (error: unknown): error is ServiceError => error instanceof ServiceError

const faulty = (backend: QueueBackend, plan: Plans.Plan<QueueMethod, QueueAct>): QueueBackend => {
  const failing = <A>(method: QueueMethod, work: Effect.Effect<A, ServiceError>): Effect.Effect<A, ServiceError> =>
    Effect.suspend(() => withAct(method, plan.meet(method), work))

  const withAct = <A>(
    method: QueueMethod,
    act: QueueAct | undefined,
    work: Effect.Effect<A, ServiceError>
  ): Effect.Effect<A, ServiceError> => {
    if (act?._tag !== "Fails") return work
    const failure = Effect.fail(toServiceError("SQS", requests[method], act.cause, { doubtful: false }))
    // An answer that is lost says nothing, whatever it would have said.
    return act.carriedOut ? Effect.zipRight(Effect.catchIf(work, isOfService, () => Effect.void), failure) : failure
  }

  const deliveries = new Deliveries(backend, plan)
  return {
    ...backend,
    send: (message) => failing("enqueue", backend.send(message)),
    sendBatch: (messages) =>
      Effect.suspend(() => {
        const act = plan.meet("enqueueAll")
        if (act?._tag !== "Refuses") return withAct("enqueueAll", act, backend.sendBatch(messages))
        const accepted = messages.filter((_, index) => !act.entries.includes(index))
        const results = accepted.length === 0 ? Effect.succeed([]) : backend.sendBatch(accepted)
        return Effect.map(results, (results) => inPlaces(messages.length, act, results))
      }),
    receive: (request) => failing("receive", deliveries.receive(request)),
    delete: (receipts) => failing("acknowledge", deliveries.delete(receipts)),
    setVisibility: (changes) => failing("release", backend.setVisibility(changes)),
    attributes: failing("attributes", backend.attributes),
    purge: failing("purge", backend.purge),
    check: failing("check", backend.check)
  }
}

type Result = Either.Either<Enqueued, ServiceError>

/** The results of those that were accepted, and the errors of the others, each in its place. */
const inPlaces = (
  length: number,
  { code, entries, senderFault }: Extract<QueueAct, { readonly _tag: "Refuses" }>,
  results: ReadonlyArray<Result>
): ReadonlyArray<Result> => {
  const accepted = results.values()
  const error = toEntryError("SQS", requests.enqueueAll, {
    code,
    message: "injected by a plan of faults",
    senderFault,
    attempts: 1,
    requestId: undefined,
    doubtful: false
  })
  return Array.from(
    { length },
    (_, index) => entries.includes(index) ? Either.left(error) : accepted.next().value as Result
  )
}

/** What becomes of messages between the queue and who receives them. */
class Deliveries {
  readonly #backend: QueueBackend
  readonly #plan: Plans.Plan<QueueMethod, QueueAct>
  /** The receipts of messages that come once more after they were acknowledged. */
  readonly #again = new Set<string>()

  constructor(backend: QueueBackend, plan: Plans.Plan<QueueMethod, QueueAct>) {
    this.#backend = backend
    this.#plan = plan
  }

  receive(request: ReceiveRequest): Effect.Effect<ReadonlyArray<RawMessage>, ServiceError> {
    return Effect.flatMap(this.#backend.receive(request), (messages) => this.#deliver(messages))
  }

  /** A deletion that does not take effect: the message is visible at once. */
  delete(receipts: ReadonlyArray<string>): ReturnType<QueueBackend["delete"]> {
    return Effect.suspend(() => {
      const again = receipts.filter((receipt) => this.#again.delete(receipt))
      const gone = receipts.filter((receipt) => !again.includes(receipt))
      const deleted = gone.length === 0 ? Effect.succeed([]) : this.#backend.delete(gone)
      if (again.length === 0) return deleted
      return Effect.zipRight(
        this.#backend.setVisibility(again.map((receipt) => ({ receipt, seconds: 0 }))),
        Effect.map(deleted, (errors) => {
          const left = errors.values()
          return receipts.map((receipt) => gone.includes(receipt) ? left.next().value : undefined)
        })
      )
    })
  }

  #deliver(messages: ReadonlyArray<RawMessage>): Effect.Effect<ReadonlyArray<RawMessage>, ServiceError> {
    const delivered: Array<RawMessage> = []
    const later: Array<{ readonly receipt: string; readonly seconds: number }> = []
    for (const message of messages) {
      const act = this.#plan.meet("message")
      if (act?._tag === "Lost") continue
      if (act?._tag === "Late") later.push({ receipt: message.receipt, seconds: act.seconds })
      else delivered.push(message)
      if (act?._tag === "Twice") this.#again.add(message.receipt)
    }
    return later.length === 0
      ? Effect.succeed(delivered)
      : Effect.as(this.#backend.setVisibility(later), delivered)
  }
}
