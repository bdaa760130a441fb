/**
 * The SDK's clients as services. The SDK is loaded when a layer is built, not when this module is imported: it takes
 * 200-300 ms.
 *
 * Both clients make up to three attempts in the SDK's standard mode, wait 10 s for a connection and 30 s for a reply
 * that has stopped coming. Nothing outside our own settings redirects them: not the SDK's environment variables and not
 * a profile on the machine.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import type { SQSClient } from "@aws-sdk/client-sqs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { ConfigurationError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import { loadS3, loadSqs } from "./internal/client/sdk.ts"
import * as AwsSettings from "./internal/settings/settings.ts"

/** The SDK's S3 client. */
export class S3 extends Context.Tag("@betterai/infrastructure/S3")<S3, S3Client>() {
  /**
   * A client from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_CREDENTIALS,
   * AWS_ENDPOINT_URL(_S3) and AWS_S3_CHECKSUMS; its sockets close with the scope.
   */
  static readonly layer: Layer.Layer<S3, ConfigurationError> = Layer.scoped(
    this,
    Effect.gen(function*() {
      const { checksums, client } = yield* Settings.load("S3", AwsSettings.s3)
      const { S3Client } = yield* loadS3("S3")
      const checksumMode = checksums === "required" ? "WHEN_REQUIRED" : "WHEN_SUPPORTED"
      return yield* closing(() =>
        new S3Client({
          ...common(client),
          // Servers other than AWS rarely answer to names like bucket.host.
          forcePathStyle: client.endpoint !== undefined,
          // Else each part of an upload opens a connection of its own and waits a round trip more.
          expectContinueHeader: false,
          requestChecksumCalculation: checksumMode,
          responseChecksumValidation: checksumMode
        })
      )
    })
  )

  /** A client made elsewhere. It is not closed here. */
  static readonly fromClient = (client: S3Client): Layer.Layer<S3> => Layer.succeed(this, client)
}

/** The SDK's SQS client. */
export class Sqs extends Context.Tag("@betterai/infrastructure/Sqs")<Sqs, SQSClient>() {
  /** A client from the settings of {@link S3.layer}, with AWS_ENDPOINT_URL_SQS; its sockets close with the scope. */
  static readonly layer: Layer.Layer<Sqs, ConfigurationError> = Layer.scoped(
    this,
    Effect.gen(function*() {
      const client = yield* Settings.load("SQS", AwsSettings.client("SQS"))
      const { SQSClient } = yield* loadSqs("SQS")
      return yield* closing(() =>
        new SQSClient({
          ...common(client),
          // Local servers call their queues by names that do not resolve.
          useQueueUrlAsEndpoint: client.endpoint === undefined
        })
      )
    })
  )

  /** A client made elsewhere. It is not closed here. */
  static readonly fromClient = (client: SQSClient): Layer.Layer<Sqs> => Layer.succeed(this, client)
}

const closing = <Client extends { readonly destroy: () => void }>(
  make: () => Client
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.map(Effect.sync(make), opaque), (client) => Effect.sync(() => client.destroy()))

/** Its sockets remember the headers that they sent, session token included: the client shows nothing of itself. */
const opaque = <Client extends object>(client: Client): Client =>
  Object.defineProperties(client, {
    [NodeInspectSymbol]: { value: () => client.constructor.name },
    toJSON: { value: () => client.constructor.name }
  })

const common = ({ credentials, endpoint, region }: AwsSettings.ClientSettings) => ({
  region,
  // A function, so that no field of the client holds the secret.
  ...(credentials === undefined ? {} : {
    credentials: () =>
      Promise.resolve({
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: Redacted.value(credentials.secretAccessKey),
        ...(credentials.sessionToken === undefined ? {} : { sessionToken: Redacted.value(credentials.sessionToken) })
      })
  }),
  ...(endpoint === undefined ? {} : { endpoint }),
  ignoreConfiguredEndpointUrls: true,
  maxAttempts: 3,
  retryMode: "standard",
  requestHandler: { connectionTimeout: 10_000, socketTimeout: 30_000 },
  // The SDK writes to the console where it is given no logger.
  logger: { trace: constVoid, debug: constVoid, info: constVoid, warn: constVoid, error: constVoid }
})
