/** Outboxes in "processes" of their own, on queues that do what a test wants. */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import { expect } from "vitest"
import type { QueueBackend } from "../../src/aws/internal/queue/backend.ts"
import type { Message, QueueKind } from "../../src/aws/internal/queue/message.ts"
import * as Service from "../../src/aws/internal/queue/service.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { MainDb } from "../../src/db/Database.ts"
import type { ConfigurationError, DatabaseError, ServiceError } from "../../src/Errors.ts"
import { Outbox, type RelayOptions } from "../../src/Outbox.ts"
import { layerOf, onStage, type Options, type Stage } from "./db/stage.ts"
import { server } from "./db/testServer.ts"
import { eventually } from "./eventually.ts"

export type SendBatch = QueueBackend["sendBatch"]

export class EmailQueue extends Queue.Tag("EmailQueue", { prefix: "EMAIL_SQS" })<EmailQueue>() {}

const unused = Effect.dieMessage("not in this test")

export const backendOf = (kind: QueueKind, sendBatch: SendBatch): QueueBackend => ({
  kind,
  name: "test",
  inMemory: false,
  sendBatch,
  send: () => unused,
  receive: () => unused,
  delete: () => unused,
  setVisibility: () => unused,
  attributes: unused,
  purge: unused,
  startMove: () => unused,
  moves: () => unused,
  cancelMove: () => unused,
  check: Effect.void
})

/** A queue that keeps what it is sent. */
export class Recorder {
  readonly messages: Array<Message> = []
  readonly batches: Array<ReadonlyArray<Message>> = []

  readonly accept: SendBatch = (messages) =>
    Effect.sync(() => {
      this.batches.push(messages)
      this.messages.push(...messages)
      return messages.map(({ body }) => Either.right({ messageId: `sqs-${body}` }))
    })

  get payloads(): ReadonlyArray<any> {
    return this.messages.map(({ body }) => JSON.parse(body))
  }
}

/** The first batch goes to one, the others to another. */
export const atFirst = (first: SendBatch, then: SendBatch): SendBatch => {
  let isFirst = true
  return (messages) => {
    const sendBatch = isFirst ? first : then
    isFirst = false
    return sendBatch(messages)
  }
}

export const queueOf = (kind: QueueKind, sendBatch: SendBatch): Layer.Layer<Queue> =>
  Layer.succeed(Queue, Service.make(backendOf(kind, sendBatch)))

export const emailQueueOf = (kind: QueueKind, sendBatch: SendBatch): Layer.Layer<EmailQueue> =>
  Layer.succeed(EmailQueue, Service.make(backendOf(kind, sendBatch)))

export const quick: RelayOptions = { pollInterval: "50 millis", lease: "2 seconds", stopTimeout: "1 second" }

/** Thousands of messages keep this process busy, which then sees late that it is connected. */
const patient: Options = { connectTimeout: 2_000 }

/** A database with a pool of its own, the outbox on it, and a relay with these options, which logs into that list. */
export const process = (
  url: string,
  queue: Layer.Layer<Queue>,
  options: RelayOptions | undefined = quick,
  database: Options = {},
  logged: Array<string> = []
): Layer.Layer<MainDb | Outbox, ConfigurationError | DatabaseError> => {
  const outbox = Outbox.layer(MainDb, Queue).pipe(
    Layer.provide(queue),
    Layer.provideMerge(layerOf(url, { ...patient, ...database }))
  )
  if (options === undefined) return outbox
  const log = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => void logged.push(`${logLevel.label} ${JSON.stringify(message)}`))
  )
  return Outbox.relayWith(options).pipe(Layer.provide(log), Layer.provideMerge(outbox))
}

/** The same without a relay. */
export const writer = (url: string): Layer.Layer<MainDb | Outbox, ConfigurationError | DatabaseError> =>
  Outbox.layer(MainDb, Queue).pipe(
    Layer.provide(queueOf("fifo", () => unused)),
    Layer.provideMerge(layerOf(url, patient))
  )

export const prepare = (stage: Stage): Effect.Effect<void> =>
  Effect.orDie(Effect.provide(MainDb.migrate(Outbox.migrations), layerOf(stage.direct)))

export const enqueue = (
  payload: unknown,
  options?: Parameters<Outbox.Service["enqueue"]>[1]
): Effect.Effect<{ readonly id: string }, DatabaseError | ServiceError, Outbox> =>
  Effect.flatMap(Outbox, (outbox) => outbox.enqueue(payload, options))

/** In a transaction of its own. */
export const commit = (
  payload: unknown,
  options?: Parameters<Outbox.Service["enqueue"]>[1]
): Effect.Effect<{ readonly id: string }, DatabaseError | ServiceError, Outbox | MainDb> =>
  MainDb.withTransaction(enqueue(payload, options))

/** Builds the layer, in the scope. */
export const running = <A, E>(layer: Layer.Layer<A, E>) =>
  Effect.map(Layer.build(layer), (context) => ({
    run: <B, E2>(effect: Effect.Effect<B, E2, A>): Effect.Effect<B, E2> => Effect.provide(effect, context),
    get: <I extends A, S>(tag: Context.Tag<I, S>): S => Context.get(context, tag)
  }))

/** Runs a test on a stage of its own, with the tables. */
export const onOutbox = (body: (stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>) => () =>
  Effect.flatMap(server, (at) => onStage(at, (stage) => Effect.zipRight(prepare(stage), body(stage))))

export const rows = (stage: Stage, table = "outbox"): Effect.Effect<number> =>
  Effect.map(stage.admin(`SELECT COUNT(*) AS n FROM ${stage.database}.${table}`), ([row]) => Number(row!["n"]))

/** Waits until the outbox is empty. */
export const empty = (stage: Stage, within: Duration.DurationInput = "10 seconds"): Effect.Effect<void> =>
  eventually(Effect.map(rows(stage), (n) => expect(n).toBe(0)), within)
