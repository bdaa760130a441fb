/**
 * The SDK's clients as services. The SDK is loaded when a layer is built, not when this module is imported: loading
 * takes some hundred milliseconds.
 *
 * Both clients make up to three attempts in the SDK's standard mode. An attempt fails after 10 s without a connection,
 * and after 30 s of silence while it waits for the reply. Only our own settings change the endpoint: endpoints in the
 * SDK's other environment variables and in the profiles on the machine are ignored.
 */
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3"
import type { SQSClient, SQSClientConfig } from "@aws-sdk/client-sqs"
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
import { CONNECT, READ } from "./internal/deadlines.ts"
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
          // Servers other than AWS rarely have a host name for each bucket.
          forcePathStyle: client.endpoint !== undefined,
          // With "Expect: 100-continue" each part of an upload opens its own connection and waits one more round trip.
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
          // The host names in the queue URLs of local servers often do not resolve.
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

/** The sockets of a client keep the headers that they sent, session token included, so inspection shows only its name. */
const opaque = <Client extends object>(client: Client): Client =>
  Object.defineProperties(client, {
    [NodeInspectSymbol]: { value: () => client.constructor.name },
    toJSON: { value: () => client.constructor.name }
  })

const common = (
  { credentials, endpoint, region }: AwsSettings.ClientSettings
): S3ClientConfig & SQSClientConfig => ({
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
  requestHandler: { connectionTimeout: CONNECT, socketTimeout: READ },
  // Without a logger the SDK writes to the console.
  logger: { trace: constVoid, debug: constVoid, info: constVoid, warn: constVoid, error: constVoid }
})
