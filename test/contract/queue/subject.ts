/** A backend of Queue under test, and what its tests share. */
import { expect, type Vitest } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { QueueBackend, RawMessage } from "../../../src/aws/internal/queue/backend.ts"
import type { EnqueueOptions, QueueService } from "../../../src/aws/Queue.ts"
import type { ServiceError } from "../../../src/Errors.ts"

/** What SQS does and not every server. The tests of it fail where it is said to be missing. */
export type Ability =
  /** A poll that was aborted takes no message that comes afterwards. */
  | "endsAbortedPolls"
  /** An old receipt deletes nothing once the message was received again. */
  | "ignoresOldReceipts"
  /** While a message of a group is in flight, no other of it is given. */
  | "blocksGroups"
  /** A duplicate is answered with the id of the first. */
  | "answersDuplicates"
  /** A purge also deletes what is in flight. */
  | "purgesInFlight"
  /** A receipt that never was one is an error of its entry in DeleteMessageBatch. */
  | "namesBadReceipts"
  /** The visibility of a message that is not in flight cannot be changed. */
  | "refusesVisibleMessages"
  /** On a FIFO queue a message whose visibility has ended cannot be deleted by that receipt. */
  | "refusesLateFifoDeletes"
  /** One receive may give several messages of one group. */
  | "severalOfOneGroup"
  /** Sequence numbers grow within a queue. */
  | "numbersInOrder"
  /** A batch may delete a message twice. */
  | "deletesTwiceAtOnce"
  /** A message may have 1 MiB. */
  | "mebibytes"
  /** StartMessageMoveTask and what belongs to it. */
  | "moves"
  /** What is in flight or delayed is not counted as visible. */
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

/** Makes a test of what not every server does. Where it is said to be missing the test must fail. */
export type Needing = (
  ability: Ability,
  title: string,
  test: () => Effect.Effect<void, unknown, Subject>
) => void

export const needing = (it: Tests, cannot: ReadonlyArray<Ability>): Needing => (ability, title, test) => {
  if (!cannot.includes(ability)) return it.effect(title, test)
  it.effect(`${title}: NOT HERE`, () =>
    Effect.map(Effect.exit(test()), (exit) => expect(Exit.isFailure(exit), ability).toBe(true)))
}

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
