/** S3 and SQS in this process, on a free port, for as long as the scope. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type FauxqsServer, startFauxqs } from "fauxqs"

export const bucket = "clinic-uploads"
export const standardQueue = "jobs"
export const fifoQueue = "events.fifo"
export const accessKeyId = "AKIDEXAMPLE"
export const secretAccessKey = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
export const sessionToken = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"

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

/** The settings of a process that talks to this endpoint. */
export const settings = (endpoint: string, more: Readonly<Record<string, string>> = {}): Layer.Layer<never> =>
  Layer.setConfigProvider(ConfigProvider.fromMap(
    new Map(Object.entries({
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      AWS_REGION: "eu-west-1",
      AWS_ENDPOINT_URL: endpoint,
      IMAGE_S3_BUCKET: bucket,
      ...more
    }))
  ))
