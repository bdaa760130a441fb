/**
 * Presigned requests: what someone else may do with the bucket for a while. They are signed here, without a request to
 * S3, and lead to the client's endpoint.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { ServiceError } from "../../../../Errors.ts"
import type { S3Sdk } from "../../client/sdk.ts"
import { CREDENTIALS } from "../../deadlines.ts"
import { toServiceError } from "../../errors/classify.ts"
import { noCredentials } from "../../errors/noCredentials.ts"
import type { StorageBackend } from "../backend.ts"
import { form } from "./form.ts"
import { putHeaders } from "./headers.ts"

type Presigning = Pick<StorageBackend, "presignRead" | "presignPut" | "presignPost">
type Operation = keyof Presigning
type Headers = Readonly<Record<string, string>>

/**
 * With temporary credentials whose end is known, a request is valid no longer than they are: `expiresAt` may be earlier
 * than asked for. Credentials that have ended fail with `CredentialsExpired`.
 */
export const make = (client: S3Client, sdk: S3Sdk, bucket: string): Presigning => {
  /** Signs the host and these headers, and no others. */
  const presign = (
    operation: Operation,
    sign: Sign,
    headers: Headers,
    expiresIn: number
  ): Effect.Effect<Signed, ServiceError> =>
    Effect.flatMap(Clock.currentTimeMillis, (clock) =>
      promised(operation, async () => {
        const loaded = await import("@aws-sdk/s3-request-presigner").then(Either.right, Either.left)
        if (Either.isLeft(loaded)) return notLoaded(operation, loaded.left)
        const credentials = await client.config.credentials()

        // The SDK learns how far the clock of S3 is from ours. Signatures count whole seconds.
        const signedAt = Math.floor((clock + client.config.systemClockOffset) / 1000) * 1000
        const seconds = Math.min(expiresIn, secondsLeft(credentials.expiration, signedAt))
        if (seconds < 1) return credentialsEnded(operation)

        const url = await sign(loaded.right.getSignedUrl, signingClient(client, credentials, headers), {
          signingDate: new Date(signedAt),
          expiresIn: seconds,
          // Without these the presigner does not sign the type, and moves `x-amz-` headers into the URL.
          signableHeaders: new Set(Object.keys(headers)),
          unhoistableHeaders: new Set(Object.keys(headers))
        })
        const names = ["host", ...Object.keys(headers)].sort().join(";")
        if (new URL(url).searchParams.get("X-Amz-SignedHeaders") !== names) return otherHeaders(operation)
        const expiresAt = new Date(signedAt + seconds * 1000)
        return Effect.succeed({ url, expiresAt, secretAccessKey: credentials.secretAccessKey })
      }))

  return {
    presignRead: (key, { contentDisposition, contentType }, expiresIn) => {
      const command = new sdk.GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ResponseContentDisposition: contentDisposition,
        ResponseContentType: contentType
      })
      return Effect.map(
        presign(
          "presignRead",
          (getSignedUrl, client, options) => getSignedUrl(client, command, options),
          {},
          expiresIn
        ),
        ({ expiresAt, url }) => ({ url, expiresAt })
      )
    },

    presignPut: (head, size, expiresIn, onlyOnce = false) => {
      const command = new sdk.PutObjectCommand({ Bucket: bucket, Key: head.key })
      const headers = putHeaders(head, size, onlyOnce)
      return Effect.map(
        presign(
          "presignPut",
          (getSignedUrl, client, options) => getSignedUrl(client, command, options),
          headers,
          expiresIn
        ),
        ({ expiresAt, url }) => ({ url, headers, expiresAt })
      )
    },

    // A signed request for the bucket tells where the form is sent to, and which credentials, region and time it names.
    presignPost: (head, size, expiresIn) => {
      const command = new sdk.HeadBucketCommand({ Bucket: bucket })
      return Effect.map(
        presign(
          "presignPost",
          (getSignedUrl, client, options) => getSignedUrl(client, command, options),
          {},
          expiresIn
        ),
        (signed) => ({ ...form(bucket, head, size, signed), expiresAt: signed.expiresAt })
      )
    }
  }
}

type Presigner = typeof import("@aws-sdk/s3-request-presigner")["getSignedUrl"]

type Sign = (getSignedUrl: Presigner, client: S3Client, options: Parameters<Presigner>[2]) => Promise<string>

interface Signed {
  readonly url: string
  readonly expiresAt: Date
  readonly secretAccessKey: string
}

type Credentials = Awaited<ReturnType<S3Client["config"]["credentials"]>>

/** Infinity if it is not known when the credentials end: those of AWS_SESSION_TOKEN do not tell. */
const secondsLeft = (expiration: Date | undefined, now: number): number => {
  const end = expiration === undefined ? Number.NaN : new Date(expiration).getTime()
  return Number.isNaN(end) ? Infinity : Math.floor((end - now) / 1000)
}

/**
 * The client, but with these credentials, so that all of a form is signed with the same ones; without its logger, which
 * would be given the presigned URL; and with these headers instead of those that the SDK sends: among them are the
 * checksum of an empty body, and what the SDK says of itself.
 */
const signingClient = (client: S3Client, credentials: Credentials, headers: Headers): S3Client => {
  const middlewareStack = client.middlewareStack.clone()
  middlewareStack.add(
    (next) => (args) => next({ ...args, request: Object.assign(args.request as object, { headers: { ...headers } }) }),
    { step: "build", priority: "low" }
  )
  const config = { ...client.config, credentials: () => Promise.resolve(credentials), logger: undefined }
  return Object.create(client, { config: { value: config }, middlewareStack: { value: middlewareStack } })
}

/** Only credentials take time. A deadline of Effect would cost as much as half a signature. */
const promised = <A>(
  operation: Operation,
  run: () => Promise<Effect.Effect<A, ServiceError>>
): Effect.Effect<A, ServiceError> =>
  Effect.async((resume) => {
    const deadline = setTimeout(() => resume(noCredentials("S3", operation, true)), CREDENTIALS)
    run()
      .catch((cause: unknown) => toServiceError("S3", operation, cause))
      .then(resume)
      .finally(() => clearTimeout(deadline))
    return Effect.sync(() => clearTimeout(deadline))
  })

const failure = (
  operation: Operation,
  fields: Pick<ServiceError, "reason" | "retryable" | "detail" | "hint" | "cause">
): ServiceError => new ServiceError({ service: "S3", operation, attempts: 0, ...fields })

/** The package is optional, and loaded when something is presigned first. */
const notLoaded = (operation: Operation, cause: unknown): ServiceError =>
  failure(operation, {
    reason: "NotConfigured",
    retryable: false,
    detail: "@aws-sdk/s3-request-presigner could not be loaded",
    hint: "run npm install @aws-sdk/s3-request-presigner",
    cause
  })

const credentialsEnded = (operation: Operation): ServiceError =>
  failure(operation, {
    reason: "CredentialsExpired",
    retryable: true,
    detail: "the credentials of the client have expired",
    hint: "check what provides them"
  })

/** Whoever gets such a URL could send what was not agreed. */
const otherHeaders = (operation: Operation): ServiceError =>
  failure(operation, {
    reason: "Unknown",
    retryable: false,
    detail: "the request was signed with other headers than it was given",
    hint: "check the middleware of the client, and the version of @aws-sdk/s3-request-presigner"
  })
