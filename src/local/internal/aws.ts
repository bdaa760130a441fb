/** S3 and SQS in this process, by fauxqs: on the loopback device only, without authentication, in memory. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Fauxqs from "fauxqs"
import type { ConfigurationError } from "../../Errors.ts"
import { localServerError } from "./errors.ts"
import type { LocalQueue } from "./queues.ts"

export interface LocalAws {
  readonly region: string
  readonly endpoint: string
  readonly bucket: string
  /** The URLs of the queues, in the order in which they were asked for. */
  readonly queueUrls: ReadonlyArray<string>
}

const region = "us-east-1"
const bucket = "betterai-images"

/** How often a message is received before it goes to the dead-letter queue. */
const MAX_RECEIVES = 5

const installFauxqs = "run npm install --save-dev fauxqs@1.9.2"

interface Created {
  readonly QueueUrl: string
}

interface Described {
  readonly Attributes: { readonly QueueArn: string }
}

/** Both services, for as long as the scope. fauxqs is an optional peer dependency, so it is loaded here. */
export const make = (
  queues: ReadonlyArray<LocalQueue>,
  load: () => Promise<Pick<typeof Fauxqs, "buildApp">> = () => import("fauxqs")
): Effect.Effect<LocalAws, ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const { buildApp } = yield* attempt(load, "need fauxqs, which cannot be loaded", installFauxqs)
    const app = yield* Effect.acquireRelease(
      Effect.sync(() => buildApp({ logger: false, defaultRegion: region })),
      (app) => Effect.promise(() => app.close())
    )
    // fauxqs takes the form of a presigned POST for a list of keys to delete.
    app.addHook("onRequest", (request, reply, next) => {
      if (!/^multipart\/form-data/i.test(request.headers["content-type"] ?? "")) return next()
      void reply.code(501).send(
        "<Error><Code>NotImplemented</Code><Message>The local S3 takes no forms.</Message></Error>"
      )
    })
    // The start function of fauxqs listens on every network device of the machine.
    const endpoint = yield* attempt(() => app.listen({ host: "127.0.0.1", port: 0 }), "cannot listen on 127.0.0.1")
    // The URL of a queue has the host that the request for its creation was sent to.
    const { host } = new URL(endpoint)
    const sqs = async <Reply>(action: string, payload: object): Promise<Reply> =>
      app.inject({
        method: "POST",
        url: "/",
        headers: { host, "content-type": "application/x-amz-json-1.0", "x-amz-target": `AmazonSQS.${action}` },
        payload: JSON.stringify(payload)
      }).then(accepted).then((response) => response.json<Reply>())
    const create = async ({ fifo, name }: LocalQueue): Promise<string> => {
      const suffix = fifo ? ".fifo" : ""
      const Attributes = fifo ? { FifoQueue: "true" } : {}
      const dead = await sqs<Created>("CreateQueue", { QueueName: `${name}-dead-letters${suffix}`, Attributes })
      const { Attributes: { QueueArn: deadLetterTargetArn } } = await sqs<Described>("GetQueueAttributes", {
        QueueUrl: dead.QueueUrl,
        AttributeNames: ["QueueArn"]
      })
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: MAX_RECEIVES })
      const created = await sqs<Created>("CreateQueue", {
        QueueName: `${name}${suffix}`,
        Attributes: { ...Attributes, RedrivePolicy }
      })
      return created.QueueUrl
    }
    const queueUrls = yield* attempt(
      async () => {
        await app.inject({ method: "PUT", url: `/${bucket}`, headers: { host } }).then(accepted)
        const urls: Array<string> = []
        for (const queue of queues) urls.push(await create(queue))
        return urls
      },
      "cannot be used: this version of fauxqs did not make the bucket and the queues",
      installFauxqs
    )
    return { region, endpoint, bucket, queueUrls }
  })

const accepted = <A extends { readonly statusCode: number; readonly body: string }>(response: A): A | Promise<never> =>
  response.statusCode === 200 ? response : Promise.reject(new Error(response.body))

const attempt = <A>(
  evaluate: () => PromiseLike<A>,
  detail: string,
  hint?: string
): Effect.Effect<A, ConfigurationError> =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) => localServerError([{ setting: "S3 and SQS", detail, hint }], cause)
  })
