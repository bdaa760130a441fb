/** S3 and SQS in this process, on a free port, while the scope is open. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type FauxqsServer, startFauxqs } from "fauxqs"
import { bucket } from "./settings.ts"

export const standardQueue = "jobs"
export const fifoQueue = "events.fifo"

export class Fauxqs extends Context.Tag("test/Fauxqs")<Fauxqs, FauxqsServer>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.acquireRelease(
      Effect.promise(() =>
        startFauxqs({
          port: 0,
          logger: false,
          init: {
            buckets: [bucket],
            queues: [
              { name: standardQueue },
              { name: fifoQueue, attributes: { FifoQueue: "true", ContentBasedDeduplication: "true" } },
              { name: "strict.fifo", attributes: { FifoQueue: "true" } }
            ]
          }
        })
      ),
      (server) => Effect.promise(() => server.stop())
    )
  )
}

export const queueUrl = (server: FauxqsServer, name: string): string =>
  server.inspectQueue(name)?.url ?? "no such queue"
