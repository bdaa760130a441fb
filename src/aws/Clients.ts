/**
 * The SDK's clients as services. The SDK, and what is ours around it, is loaded when a layer is built, not when this
 * module is imported: loading takes some hundred milliseconds.
 *
 * Both clients make up to three attempts in the SDK's standard mode. An attempt fails after 10 s without a connection,
 * and after 30 s of silence while it waits for the reply. Only our own settings change a request: the SDK's other
 * environment variables and the profiles on the machine are ignored, but for the keys of AWS_CREDENTIALS=chain.
 */
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3"
import type { SQSClient, SQSClientConfig } from "@aws-sdk/client-sqs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import type { ConfigurationError } from "../Errors.ts"
import * as Settings from "../internal/settings.ts"
import * as ContentMd5 from "./internal/client/contentMd5.ts"
import type { Turns } from "./internal/client/ownClient.ts"
import { pinned } from "./internal/client/pinned.ts"
import { loadS3, loadSqs } from "./internal/client/sdk.ts"
import { CONNECT, READ } from "./internal/deadlines.ts"
import * as AwsSettings from "./internal/settings/settings.ts"

/** The SDK's S3 client. */
export class S3 extends Context.Tag("@betterai/infrastructure/S3")<S3, S3Client>() {
  /**
   * A client from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_CREDENTIALS,
   * AWS_ENDPOINT_URL(_S3), AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, AWS_S3_CHECKSUMS and
   * AWS_S3_FORCE_PATH_STYLE; its sockets close with the scope.
   */
  static readonly layer: Layer.Layer<S3, ConfigurationError> = Layer.scoped(
    this,
    Effect.gen(function*() {
      const { checksums, client, forcePathStyle } = yield* Settings.load("S3", AwsSettings.s3)
      const { S3Client } = yield* loadS3("S3")
      const OwnClient = yield* loadOwnClient
      const checksumMode = checksums === "required" ? "WHEN_REQUIRED" : "WHEN_SUPPORTED"
      return yield* OwnClient.make("S3", S3_TURNS, deadlines, (own) => {
        const made = new S3Client({
          ...own,
          ...common(client),
          forcePathStyle,
          // With "Expect: 100-continue" each part of an upload opens its own connection and waits one more round trip.
          expectContinueHeader: false,
          requestChecksumCalculation: checksumMode,
          responseChecksumValidation: checksumMode
        })
        if (checksums === "required") made.middlewareStack.add(ContentMd5.middleware.run, ContentMd5.middleware.options)
        return made
      })
    })
  )

  /** A client made elsewhere. It is not closed here. */
  static readonly fromClient = (client: S3Client): Layer.Layer<S3> => Layer.succeed(this, client)
}

/** The SDK's SQS client. */
export class Sqs extends Context.Tag("@betterai/infrastructure/Sqs")<Sqs, SQSClient>() {
  /**
   * A client from the settings of {@link S3.layer}, with AWS_ENDPOINT_URL_SQS; its sockets close with the scope. Up to 200
   * polls at a time have connections of their own, so that no other request waits for them.
   */
  static readonly layer: Layer.Layer<Sqs, ConfigurationError> = Layer.scoped(
    this,
    Effect.gen(function*() {
      const client = yield* Settings.load("SQS", AwsSettings.client("SQS"))
      const { SQSClient } = yield* loadSqs("SQS")
      const OwnClient = yield* loadOwnClient
      return yield* OwnClient.make("SQS", SQS_TURNS, deadlines, (own) =>
        new SQSClient({
          ...own,
          ...common(client),
          ...(hasMd5() ? {} : { md5: false }),
          // The host names in the queue URLs of local servers often do not resolve, and the URL of a queue names
          // neither its FIPS nor its dual-stack endpoint.
          useQueueUrlAsEndpoint: client.endpoint === undefined && !client.fips && !client.dualStack
        }))
    })
  )

  /**
   * A client made elsewhere. It is not closed here. Its polls share its sockets (the SDK's own handler has 50) with all
   * other requests, so only 25 polls are under way at a time.
   */
  static readonly fromClient = (client: SQSClient): Layer.Layer<Sqs> => Layer.succeed(this, client)
}

/** Node has none in FIPS mode. The sums of messages are not compared then. */
const hasMd5 = (): boolean => {
  try {
    createHash("md5")
    return true
  } catch {
    return false
  }
}

const loadOwnClient = Effect.promise(() => import("./internal/client/ownClient.ts"))

/** The most requests at a time, each on a connection of its own; and the most downloads or long polls besides. */
const S3_TURNS: Turns = { prompt: 50, lasting: 100 }
const SQS_TURNS: Turns = { prompt: 50, lasting: 200 }

const deadlines = { connectTimeout: CONNECT, readTimeout: READ }

const common = (
  { credentials, dualStack, endpoint, fips, region }: AwsSettings.ClientSettings
): S3ClientConfig & SQSClientConfig => ({
  ...pinned,
  region,
  useFipsEndpoint: fips,
  useDualstackEndpoint: dualStack,
  // A function, so that no field of the client holds the secret.
  ...(credentials === undefined ? {} : {
    credentials: () =>
      Promise.resolve({
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: Redacted.value(credentials.secretAccessKey),
        ...(credentials.sessionToken === undefined ? {} : { sessionToken: Redacted.value(credentials.sessionToken) })
      })
  }),
  ...(endpoint === undefined ? {} : { endpoint })
})
