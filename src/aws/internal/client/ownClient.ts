/** The SDK's clients as we set them up, with our request handler. */
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3"
import type { SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import { NodeInspectSymbol } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import type { ConfigurationError } from "../../../Errors.ts"
import type { AwsService } from "../errors/errorTable.ts"
import * as Call from "./call.ts"
import * as HttpHandler from "./httpHandler.ts"
import { loadUndici } from "./sdk.ts"
import * as Transport from "./transport.ts"

/** The most requests that a client sends at a time, in each lane; the others wait for their turn. */
export type Turns = Readonly<Record<Call.Lane, number>>

/** What every client of ours is made with. */
export type OwnConfig = Pick<S3ClientConfig, "requestHandler" | "logger">

/** Closing the scope ends what is under way, waits until its clean-up is done, and closes the connections. */
export const make = <Client extends S3Client | SQSClient>(
  service: AwsService,
  turns: Turns,
  deadlines: Pick<HttpHandler.HttpHandlerOptions, "connectTimeout" | "readTimeout">,
  construct: (own: OwnConfig) => Client
): Effect.Effect<Client, ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const undici = yield* loadUndici(service)
    const { client } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const handler = HttpHandler.make(undici, { ...deadlines, connections: turns })
        const client = opaque(construct({
          requestHandler: handler as unknown as NonNullable<OwnConfig["requestHandler"]>,
          // Without a logger the SDK writes to the console; with `info` it copies what is sent and received for it.
          logger: { trace: constVoid, debug: constVoid, warn: constVoid } as NonNullable<OwnConfig["logger"]>
        }))
        // The middleware of each client has types of its own.
        const { middlewareStack } = client as S3Client
        middlewareStack.add(Call.middleware.run, Call.middleware.options)
        return { client, transport: Transport.own(service, client, turns) }
      }),
      ({ client, transport }) => Effect.zipRight(transport.close, Effect.sync(() => client.destroy()))
    )
    return client
  })

/**
 * Inspection of a client, and of its settings, shows only its name: below them is whatever was sent, session token
 * included.
 */
const opaque = <Client extends S3Client | SQSClient>(client: Client): Client => {
  for (const part of [client, client.config]) {
    Object.defineProperties(part, {
      [NodeInspectSymbol]: { value: () => client.constructor.name },
      toJSON: { value: () => client.constructor.name }
    })
  }
  return client
}
