/** S3 and SQS in this process, by fauxqs: on the loopback device only, without authentication, in memory. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Fauxqs from "fauxqs"
import type { ConfigurationError } from "../../Errors.ts"
import { localServerError } from "./errors.ts"

export interface LocalAws {
  readonly region: string
  readonly endpoint: string
  readonly bucket: string
  readonly queueUrl: string
}

const region = "us-east-1"
const bucket = "betterai-images"
const queue = "betterai-jobs"

const installFauxqs = "run npm install --save-dev fauxqs@1.9.2"

/** Both services, for as long as the scope. fauxqs is an optional peer dependency, so it is loaded here. */
export const make = (
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
    const queueUrl = yield* attempt(
      async () => {
        await app.inject({ method: "PUT", url: `/${bucket}`, headers: { host } }).then(accepted)
        const created = await app.inject({
          method: "POST",
          url: "/",
          headers: { host, "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.CreateQueue" },
          payload: JSON.stringify({ QueueName: queue })
        }).then(accepted)
        return created.json<{ readonly QueueUrl: string }>().QueueUrl
      },
      "cannot be used: this version of fauxqs did not make the bucket and the queue",
      installFauxqs
    )
    return { region, endpoint, bucket, queueUrl }
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
