/** A backend of Queue under test, and what its tests share. */
import type { Vitest } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { QueueBackend, RawMessage } from "../../../src/aws/internal/queue/backend.ts"
import type { EnqueueOptions, QueueService } from "../../../src/aws/Queue.ts"
import type { ServiceError } from "../../../src/Errors.ts"

/** What SQS does and not every server. `abilities.ts` tests which server does what. */
export type Ability =
  /** A receipt that never was one is an error of its entry in DeleteMessageBatch. */
  | "namesBadReceipts"
  /** The visibility of a message that is not in flight cannot be changed. */
  | "refusesVisibleMessages"
  /** On a FIFO queue a message whose visibility has ended cannot be deleted by that receipt. */
  | "refusesLateFifoDeletes"
  /** The first receive is counted as one, the second as two. */
  | "countsReceives"
  /** One receive may give several messages of one group. */
  | "severalOfOneGroup"
  /** A message that was received too often goes to the dead-letter queue. */
  | "deadLetters"
  /** StartMessageMoveTask and what belongs to it. */
  | "moves"
  /** Deletes are seen at once in the counts of GetQueueAttributes. */
  | "counts"

export interface QueueOptions {
  readonly fifo: boolean
  /** With a dead-letter queue, to which messages go that were received so often. */
  readonly maxReceiveCount?: number
}

export interface TestQueue {
  readonly service: QueueService
  readonly backend: QueueBackend
  /** The bodies in its dead-letter queue. A look may hide them from the next one. */
  readonly deadLetters: Effect.Effect<ReadonlyArray<string>, ServiceError>
}

export class Subject extends Context.Tag("test/Subject")<Subject, {
  /** A new queue. */
  readonly make: (options: QueueOptions) => Effect.Effect<TestQueue>
  /** Lets time pass. */
  readonly pass: (seconds: number) => Effect.Effect<void>
}>() {}

export type Tests = Vitest.MethodsNonLive<Subject>

export type Can = (ability: Ability) => boolean

export const makeQueue = (options: QueueOptions): Effect.Effect<TestQueue, never, Subject> =>
  Effect.flatMap(Subject, ({ make }) => make(options))

export const pass = (seconds: number): Effect.Effect<void, never, Subject> =>
  Effect.flatMap(Subject, (subject) => subject.pass(seconds))

export const now = { max: 10, waitSeconds: 0, visibilitySeconds: 30 }

/** Options of a message for that queue. */
export const toGroup = (queue: TestQueue, group = "g"): EnqueueOptions =>
  queue.backend.kind === "fifo" ? { messageGroupId: group } : {}

export const sendAll = (
  queue: TestQueue,
  payloads: ReadonlyArray<unknown>,
  group?: string
): Effect.Effect<void, ServiceError> =>
  Effect.forEach(payloads, (payload) => queue.service.enqueue(payload, toGroup(queue, group)), { discard: true })

/** All that can be received now, some receives together. A server may give fewer messages than it has. */
export const receiveAll = (
  queue: TestQueue,
  visibilitySeconds = 30
): Effect.Effect<ReadonlyArray<RawMessage>, ServiceError> =>
  Effect.gen(function*() {
    const all: Array<RawMessage> = []
    for (;;) {
      const some = yield* queue.backend.receive({ ...now, visibilitySeconds })
      if (some.length === 0) return all
      all.push(...some)
    }
  })

export const bodies = (messages: ReadonlyArray<RawMessage>): ReadonlyArray<unknown> =>
  messages.map(({ body }) => JSON.parse(body))
export const receipts = (messages: ReadonlyArray<RawMessage>): ReadonlyArray<string> =>
  messages.map(({ receipt }) => receipt)

/** Fails the test where there are more or fewer. */
export const only = (messages: ReadonlyArray<RawMessage>): Effect.Effect<RawMessage> => {
  const [first] = messages
  return first === undefined || messages.length > 1
    ? Effect.dieMessage(`${messages.length} messages instead of one`)
    : Effect.succeed(first)
}
