/** Queues on a server as the subject of the contract, and what each server cannot do. */
import { CreateQueueCommand, GetQueueAttributesCommand, type SQSClient } from "@aws-sdk/client-sqs"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { startFauxqs } from "fauxqs"
import { createSqsServer } from "local-aws-sqs"
import { randomUUID } from "node:crypto"
import type { AddressInfo } from "node:net"
import type { Unavailable } from "../../../scripts/servers/programs.ts"
import { Sqs } from "../../../src/aws/Clients.ts"
import { internals } from "../../../src/aws/internal/queue/service.ts"
import { Queue } from "../../../src/aws/Queue.ts"
import type { ConfigurationError } from "../../../src/Errors.ts"
import { type Ability, receiveAll, Subject, type TestQueue } from "../../contract/queue/subject.ts"
import { startPythonServer } from "./pythonServer.ts"
import { settings } from "./settings.ts"

/** The servers, and what each cannot do. The contract fails where it is not so. */
export const cannot = {
  fauxqs: [
    ...["endsAbortedPolls", "namesBadReceipts", "refusesVisibleMessages"] as const,
    ...["refusesLateFifoDeletes", "severalOfOneGroup", "moves"] as const
  ],
  "local-aws-sqs": [
    ...["endsAbortedPolls", "ignoresOldReceipts", "refusesVisibleMessages"] as const,
    ...["blocksGroups", "answersDuplicates", "counts", "purgesInFlight", "numbersInOrder"] as const
  ],
  /** Only where TEST_SQS names it. */
  moto: [
    ...["endsAbortedPolls", "ignoresOldReceipts", "refusesVisibleMessages", "refusesLateFifoDeletes"] as const,
    ...["answersDuplicates", "numbersInOrder", "deletesTwiceAtOnce", "mebibytes", "moves"] as const
  ]
} satisfies Record<string, ReadonlyArray<Ability>>

export type SqsServerName = keyof typeof cannot

export const sqsServerNames = Object.keys(cannot) as ReadonlyArray<SqsServerName>

export const onServer = (name: SqsServerName): Layer.Layer<Subject, Unavailable | ConfigError | ConfigurationError> =>
  Layer.unwrapScoped(Effect.map(servers[name], onEndpoint))

/** Each gives its endpoint. */
const servers: Record<
  SqsServerName,
  Effect.Effect<string, Unavailable | ConfigError | ConfigurationError, Scope.Scope>
> = {
  fauxqs: Effect.acquireRelease(
    Effect.promise(() => startFauxqs({ port: 0, logger: false })),
    (server) => Effect.promise(() => server.stop())
  ).pipe(Effect.map(({ port }) => `http://127.0.0.1:${port}`)),
  "local-aws-sqs": Effect.acquireRelease(
    Effect.promise(() => createSqsServer({ port: 0, hostname: "127.0.0.1" })),
    (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
  moto: startPythonServer("moto", "motoServer.py", () => undefined)
}

const onEndpoint = (endpoint: string): Layer.Layer<Subject, ConfigurationError> =>
  Layer.effect(
    Subject,
    Effect.map(Sqs, (client) => {
      return {
        make: ({ fifo, maxReceiveCount }) =>
          Effect.gen(function*() {
            const name = `q-${randomUUID()}`
            const kind = fifo ? { FifoQueue: "true", ContentBasedDeduplication: "true" } : {}
            const suffix = fifo ? ".fifo" : ""
            if (maxReceiveCount === undefined) {
              const queue = yield* queueAt(client, yield* create(client, `${name}${suffix}`, kind))
              return { ...queue, deadLetters: Effect.succeed([]) }
            }
            const deadLetterUrl = yield* create(client, `${name}-dead${suffix}`, kind)
            const url = yield* create(client, `${name}${suffix}`, {
              ...kind,
              RedrivePolicy: JSON.stringify({
                deadLetterTargetArn: yield* arnOf(client, deadLetterUrl),
                maxReceiveCount
              })
            })
            const dead = yield* queueAt(client, deadLetterUrl)
            const deadLetters = Effect.map(receiveAll(dead), (messages) => messages.map(({ body }) => body))
            return { ...yield* queueAt(client, url), deadLetters }
          }),
        pass: (seconds) => Effect.sleep(`${seconds * 1000} millis`)
      }
    })
  ).pipe(Layer.provide(Layer.provide(Sqs.layer, settings(endpoint))))

const queueAt = (client: SQSClient, url: string): Effect.Effect<TestQueue> =>
  Queue.make({ url }).pipe(
    Effect.map((service) => ({ service, backend: service[internals].backend, deadLetters: Effect.succeed([]) })),
    Effect.provideService(Sqs, client),
    Effect.orDie
  )

const create = (client: SQSClient, QueueName: string, Attributes: Record<string, string>) =>
  Effect.map(
    Effect.promise(() => client.send(new CreateQueueCommand({ QueueName, Attributes }))),
    ({ QueueUrl }) => QueueUrl ?? ""
  )

const arnOf = (client: SQSClient, QueueUrl: string) =>
  Effect.map(
    Effect.promise(() => client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }))),
    ({ Attributes }) => Attributes?.["QueueArn"] ?? ""
  )
