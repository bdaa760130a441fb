/** Messages: ours against sqs-producer and sqs-consumer, on a server in another process that keeps nothing. */
import { type Message, SQSClient } from "@aws-sdk/client-sqs"
import { Sqs } from "@betterai/infrastructure/aws/Clients"
import { Queue } from "@betterai/infrastructure/aws/Queue"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { Consumer } from "sqs-consumer"
import { Producer } from "sqs-producer"
import { compare, onFibers } from "./harness.ts"
import * as NullServer from "./nullServer.ts"

const MESSAGES = 10_000
const CONCURRENCY = 50

const urlOf = (name: string): string => `https://sqs.eu-west-1.amazonaws.com/123456789012/${name}`

export const run = async (): Promise<void> => {
  const { client: options, endpoint, settings, stop } = await NullServer.start("nullSqs")
  const client = new SQSClient({ ...options, useQueueUrlAsEndpoint: false })
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(Queue.layer, Sqs.layer).pipe(
      Layer.provide(settings({ AWS_SQS_QUEUE_URL: urlOf("ours") })),
      Layer.merge(Logger.remove(Logger.defaultLogger))
    )
  )
  const fill = async (queue: string, count: number): Promise<void> => {
    await fetch(`${endpoint}/fill?queue=${queue}&count=${count}`, { method: "POST" })
  }
  const consumers: Array<Consumer> = []
  try {
    const queue = await runtime.runPromise(Queue)
    const payload = { text: "x".repeat(1000) }
    const producer = Producer.create({ queueUrl: urlOf("producer"), sqs: client })
    await compare({
      work: "messages of 1 KiB that are there at once",
      count: MESSAGES,
      rounds: 5,
      contenders: [
        {
          name: "sqs-producer",
          run: async (count) => {
            const body = JSON.stringify(payload)
            await producer.send(Array.from({ length: count }, (_, id) => ({ id: String(id), body })))
          }
        },
        {
          name: "ours, enqueueAll",
          run: (count) =>
            runtime.runPromise(Stream.runDrain(queue.enqueueAll(Array.from({ length: count }, () => ({ payload })))))
        },
        {
          name: "ours, one by one, 20 at a time",
          run: (count) => runtime.runPromise(onFibers(queue.enqueue(payload), count, 20))
        }
      ]
    })

    const handleMessageBatch = async (messages: ReadonlyArray<Message>) => {
      for (const { Body } of messages) JSON.parse(Body ?? "")
      return [...messages]
    }
    const polling = { sqs: client, batchSize: 10, waitTimeSeconds: 20, pollingWaitTimeMs: 0 }
    for (const latency of [0, 5, 10]) {
      const [theirs, own] = [`theirs-${latency}ms`, `ours-${latency}ms`]
      for (let i = 0; i < CONCURRENCY / 10; i++) {
        consumers.push(Consumer.create({ ...polling, queueUrl: urlOf(theirs), handleMessageBatch }))
      }
      for (const consumer of consumers) consumer.start()
      const queue = await runtime.runPromise(Queue.make({ url: urlOf(own) }))
      const fiber = runtime.runFork(queue.consume(() => Effect.void, { concurrency: CONCURRENCY, drainTimeout: 0 }))
      await compare({
        work: `receive, handle and delete, ${CONCURRENCY} at a time, from a server that takes ${latency} ms`,
        count: MESSAGES,
        rounds: 5,
        contenders: [
          { name: "sqs-consumer, 5 × batches of 10", run: (count) => fill(theirs, count) },
          { name: "ours, consume", run: (count) => fill(own, count) }
        ]
      })
      for (const consumer of consumers.splice(0)) consumer.stop({ abort: true })
      await Effect.runPromise(Fiber.interrupt(fiber))
    }
  } finally {
    client.destroy()
    stop()
    await runtime.dispose()
  }
}
