import { CreateQueueCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createSqsServer } from "local-aws-sqs"
import type { AddressInfo } from "node:net"
import { Sqs } from "../../src/aws/Clients.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { queueContract } from "../contract/Queue.ts"
import { Fauxqs, fifoQueue, queueUrl, standardQueue } from "../support/aws/fauxqs.ts"
import { settings } from "../support/aws/settings.ts"

const onFauxqs = (name: string) =>
  Layer.unwrapEffect(Effect.map(Fauxqs, (server) =>
    Layer.provide(
      Queue.layer,
      settings(`http://127.0.0.1:${server.port}`, { AWS_SQS_QUEUE_URL: queueUrl(server, name) })
    ))).pipe(Layer.provideMerge(Fauxqs.layer))

for (const name of [standardQueue, fifoQueue]) {
  queueContract(`Queue.layer on SQS (${name})`, {
    layer: onFauxqs(name),
    fifo: name.endsWith(".fifo"),
    // A FIFO queue is listed group by group.
    bodies: Effect.map(Fauxqs, (server) =>
      Array.from(server.inspectQueue(name)?.messages.ready ?? [])
        .sort((a, b) => Number(a.sequenceNumber ?? 0) - Number(b.sequenceNumber ?? 0))
        .map(({ body }) => body))
  })
}

describe("Queue.layer on SQS", () => {
  it.live("sends attributes and delay as they were given", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const server = yield* Fauxqs
      yield* queue.enqueue(1, {
        delay: "899.5 seconds",
        attributes: { kind: "scan", size: 1.5, hash: new Uint8Array([0, 255]) }
      })
      const delayed = server.inspectQueue(standardQueue)?.messages.delayed ?? []
      expect(delayed).toHaveLength(1)
      expect(delayed[0]?.messageAttributes).toMatchObject({
        kind: { DataType: "String", StringValue: "scan" },
        size: { DataType: "Number", StringValue: "1.5" },
        hash: { DataType: "Binary", BinaryValue: "AP8=" }
      })
    }).pipe(Effect.provide(onFauxqs(standardQueue))))

  it.live("gives a FIFO queue that does not deduplicate by content an id for each message", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      const server = yield* Fauxqs
      const ids = Effect.sync(() =>
        Array.from(
          server.inspectQueue("strict.fifo")?.messages.ready ?? [],
          (message) => message.messageDeduplicationId
        )
      )
      yield* queue.enqueue(1, { messageGroupId: "g" })
      yield* queue.enqueue(1, { messageGroupId: "g" })
      yield* queue.enqueue(1, { messageGroupId: "g", messageDeduplicationId: "mine" })
      const messages = Array.from({ length: 25 }, (_, n) => ({ payload: 1, messageGroupId: `g${n % 7}` }))
      const results = yield* Stream.runCollect(queue.enqueueAll(messages))
      expect(Array.from(results, Either.isRight)).toEqual(messages.map(() => true))
      const seen = yield* ids
      expect(new Set(seen).size).toBe(28)
      expect(seen).toContain("mine")
      for (const id of seen) if (id !== "mine") expect(id).toMatch(/^[0-9a-f-]{36}$/)
    }).pipe(Effect.provide(onFauxqs("strict.fifo"))))

  it.live("passes on what SQS says of a queue that does not exist", () =>
    Effect.gen(function*() {
      const server = yield* Fauxqs
      const gone = Layer.provide(
        Queue.layer,
        settings(`http://127.0.0.1:${server.port}`, { AWS_SQS_QUEUE_URL: "http://localhost/000000000000/gone" })
      )
      const missing = yield* Effect.provide(Effect.flatMap(Queue, (queue) => Effect.flip(queue.enqueue(1))), gone)
      expect(missing).toMatchObject({ reason: "ResourceNotFound", retryable: false })
      const unchecked = yield* Effect.provide(Effect.flatMap(Queue, (queue) => Effect.flip(queue.check)), gone)
      expect(unchecked).toMatchObject({ reason: "ResourceNotFound", operation: "GetQueueAttributes" })
    }).pipe(Effect.provide(Fauxqs.layer)))
})

describe("a second implementation of SQS", () => {
  const server = Effect.acquireRelease(
    Effect.promise(() => createSqsServer({ port: 0, hostname: "127.0.0.1" })),
    (server) => Effect.promise(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  )

  it.scopedLive("accepts what passes our checks, emoji included", () =>
    Effect.gen(function*() {
      const { port } = (yield* server).address() as AddressInfo
      const environment = settings(`http://127.0.0.1:${port}`)
      yield* Effect.gen(function*() {
        const client = yield* Sqs
        const { QueueUrl } = yield* Effect.promise(() => client.send(new CreateQueueCommand({ QueueName: "jobs" })))
        const queue = yield* Queue.make({ url: QueueUrl ?? "" })
        const payload = { text: "😀 é \u007f", n: 1 }
        yield* queue.enqueue(payload, { attributes: { kind: "😀", n: 1, b: new Uint8Array([1]) } })
        const { Messages } = yield* Effect.promise(() => client.send(new ReceiveMessageCommand({ QueueUrl })))
        expect(Messages?.map(({ Body }) => JSON.parse(Body ?? ""))).toEqual([payload])
        const traceHeader = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
        const many = Array.from({ length: 33 }, (_, n) => ({ payload: `😀 ${n}`, attributes: { n }, traceHeader }))
        const results = Array.from(yield* Stream.runCollect(queue.enqueueAll(many)))
        expect(results.map(Either.isRight)).toEqual(many.map(() => true))
      }).pipe(Effect.provide(Layer.provide(Sqs.layer, environment)))
    }))

  it.scopedLive("gets ids where it refuses a whole batch for want of one, in single messages and batches", () =>
    Effect.gen(function*() {
      const { port } = (yield* server).address() as AddressInfo
      yield* Effect.gen(function*() {
        const client = yield* Sqs
        const create = new CreateQueueCommand({ QueueName: "strict.fifo", Attributes: { FifoQueue: "true" } })
        const { QueueUrl } = yield* Effect.promise(() => client.send(create))
        for (const first of ["batch", "single"]) {
          const queue = yield* Queue.make({ url: QueueUrl ?? "" })
          if (first === "single") yield* queue.enqueue("first", { messageGroupId: "g" })
          const many = Array.from({ length: 12 }, (_, n) => ({ payload: n, messageGroupId: `g${n % 3}` }))
          const results = Array.from(yield* Stream.runCollect(queue.enqueueAll(many)))
          expect(results.map(Either.isRight)).toEqual(many.map(() => true))
          expect(new Set(results.map((result) => Either.isRight(result) ? result.right.messageId : "")).size).toBe(12)
        }
      }).pipe(Effect.provide(Layer.provide(Sqs.layer, settings(`http://127.0.0.1:${port}`))))
    }))
})
