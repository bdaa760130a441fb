/** A queue whose requests are answered as a test says: what Queue does between its callers and a backend. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Enqueued, QueueBackend } from "../../../src/aws/internal/queue/backend.ts"
import type { Message, QueueKind } from "../../../src/aws/internal/queue/message.ts"
import * as Service from "../../../src/aws/internal/queue/service.ts"
import { ServiceError } from "../../../src/Errors.ts"

/** What becomes of a request: the error of all, or the result of each message. */
export type Answer = ServiceError | ReadonlyArray<Either.Either<Enqueued, ServiceError>>

export interface Script {
  readonly kind?: QueueKind
  readonly maxSize?: number
  /** Answers a request; single messages are a request of one. */
  readonly answer: (messages: ReadonlyArray<Message>, request: number) => Effect.Effect<Answer>
}

export const error = (fields: Partial<ConstructorParameters<typeof ServiceError>[0]> = {}): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation: "SendMessageBatch",
    reason: "Unavailable",
    retryable: true,
    attempts: 1,
    ...fields
  })

/** What a FIFO queue says that does not deduplicate by content. */
export const wantsId: ServiceError = error({
  reason: "InvalidRequest",
  retryable: false,
  status: 400,
  cause: new Error(
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly."
  )
})

export const accepted = (messages: ReadonlyArray<Message>): ReadonlyArray<Either.Either<Enqueued, ServiceError>> =>
  messages.map((message) => Either.right({ messageId: `id of ${message.body}` }))

/** The backend, and its requests so far. */
export const scriptedBackend = ({ answer, kind = "standard", maxSize }: Script): {
  readonly backend: QueueBackend
  readonly requests: Array<ReadonlyArray<Message>>
} => {
  const requests: Array<ReadonlyArray<Message>> = []
  const request = (messages: ReadonlyArray<Message>) =>
    Effect.flatMap(
      Effect.suspend(() => answer(messages, requests.push(messages) - 1)),
      (result) => result instanceof ServiceError ? Effect.fail(result) : Effect.succeed(result)
    )
  const later = Effect.dieMessage("not of this test")
  return {
    requests,
    backend: {
      kind,
      inMemory: true,
      name: "scripted",
      maxSize,
      send: (message) => Effect.flatMap(request([message]), ([result]) => result ?? Effect.dieMessage("no answer")),
      sendBatch: request,
      receive: () => later,
      delete: () => later,
      setVisibility: () => later,
      attributes: later,
      purge: later,
      startMove: () => later,
      moves: () => later,
      cancelMove: () => later,
      check: Effect.void
    }
  }
}

export const scripted = (script: Script): {
  readonly queue: Service.QueueService
  readonly requests: ReadonlyArray<ReadonlyArray<Message>>
} => {
  const { backend, requests } = scriptedBackend(script)
  return { queue: Service.make(backend), requests }
}
