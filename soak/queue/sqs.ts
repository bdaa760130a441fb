/** The queues of the soak on their server. */
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { type Environment, start } from "./children.ts"
import { type Kind, kinds } from "./model.ts"

/** A kill can cost each message that the process has a receive. More than this is a message that nobody can handle. */
const MAX_RECEIVES = 50

export interface Queues {
  /** What a process needs to use them. */
  readonly environment: Environment
  /** How many messages are in the queues, and how many in their dead-letter queues. */
  readonly count: Effect.Effect<{ readonly messages: number; readonly dead: number }>
}

const credentials = { accessKeyId: "soak", secretAccessKey: "soak" }
const region = "us-east-1"

export const queues: Effect.Effect<Queues, never, Scope.Scope> = Effect.gen(function*() {
  const { child } = yield* start(["--import", "tsx", fileURLToPath(new URL("server.ts", import.meta.url))])
  child.stderr.pipe(process.stderr)
  const endpoint = yield* Effect.promise(() =>
    new Promise<string>((resolve, reject) => {
      createInterface(child.stdout).once("line", resolve)
      child.once("exit", (code) => reject(new Error(`the SQS server has ended (${code})`)))
    })
  )
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new SQSClient({ endpoint, region, credentials })),
    (client) => Effect.sync(() => client.destroy())
  )
  const create = async (QueueName: string, Attributes: Record<string, string>): Promise<string> => {
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName, Attributes }))
    return QueueUrl!
  }
  const attributes = async (QueueUrl: string): Promise<Partial<Record<string, string>>> => {
    const reply = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }))
    return reply.Attributes ?? {}
  }
  const make = async (kind: Kind) => {
    const suffix = kind === "events" ? ".fifo" : ""
    const fifo: Record<string, string> = kind === "events" ? { FifoQueue: "true" } : {}
    const dead = await create(`${kind}-dead${suffix}`, fifo)
    const deadLetterTargetArn = (await attributes(dead))["QueueArn"]
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: MAX_RECEIVES })
    return { kind, dead, url: await create(`${kind}${suffix}`, { ...fifo, RedrivePolicy }) }
  }
  const made = yield* Effect.promise(() => Promise.all(kinds.map(make)))
  const total = async (urls: ReadonlyArray<string>): Promise<number> => {
    let all = 0
    for (const url of urls) {
      for (const [name, value] of Object.entries(await attributes(url))) {
        if (name.startsWith("ApproximateNumberOfMessages")) all += Number(value)
      }
    }
    return all
  }
  return {
    environment: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...Object.fromEntries(made.map(({ kind, url }) => [`${kind.toUpperCase()}_SQS_QUEUE_URL`, url]))
    },
    count: Effect.promise(async () => ({
      messages: await total(made.map(({ url }) => url)),
      dead: await total(made.map(({ dead }) => dead))
    }))
  }
})
