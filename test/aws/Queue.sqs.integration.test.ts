import { CreateQueueCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
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

  it.live("passes on what SQS says: a FIFO queue requires an id, a queue does not exist", () =>
    Effect.gen(function*() {
      const strict = yield* Effect.provide(Queue, onFauxqs("strict.fifo"))
      expect(strict).toBeDefined()
      const wantsId = yield* Effect.flatMap(Queue, (queue) => Effect.flip(queue.enqueue(1, { messageGroupId: "g" })))
        .pipe(
          Effect.provide(onFauxqs("strict.fifo"))
        )
      expect(wantsId).toMatchObject({ reason: "InvalidRequest", status: 400, operation: "SendMessage" })
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
      }).pipe(Effect.provide(Layer.provide(Sqs.layer, environment)))
    }))
})
