/**
 * What a failed call means: a table, of which the first row that matches counts. Rows match by name, code, status or
 * message, never by `instanceof`: two copies of the SDK in one process must not change what an error means.
 */
import type { ConfigurationReason, ServiceReason } from "../../../Errors.ts"

export type AwsService = "S3" | "SQS"

/** What the table may look at. */
export interface Facts {
  readonly service: AwsService
  readonly operation: string
  /** The error's name, S3's `Code`, and the codes of Node and undici, also of what caused the error. */
  readonly names: ReadonlyArray<string>
  readonly message: string
  readonly status: number | undefined
  /** A whole reply has arrived, and the SDK could not read it. */
  readonly unreadable: boolean
  /** The region of the bucket, where S3 has said it. */
  readonly bucketRegion: string | undefined
}

/** The call failed at run time. */
interface ServiceRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ServiceReason
  readonly retryable: (facts: Facts) => boolean
  readonly hint: (facts: Facts) => string | undefined
}

/** The cause is a setting; never retryable. */
interface ConfigurationRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ConfigurationReason & ServiceReason
  readonly setting: (service: AwsService) => string
  readonly hint: (facts: Facts) => string | undefined
}

export type Row = ServiceRow | ConfigurationRow

// Predicates of rows.
const named = (...names: ReadonlyArray<string>) => (facts: Facts) => facts.names.some((name) => names.includes(name))
const like = (pattern: RegExp) => (facts: Facts) => facts.names.some((name) => pattern.test(name))
const status = (...codes: ReadonlyArray<number>) => (facts: Facts) =>
  facts.status !== undefined && codes.includes(facts.status)
const says = (pattern: RegExp) => (facts: Facts) => pattern.test(facts.message)
const or = (...conditions: ReadonlyArray<(facts: Facts) => boolean>) => (facts: Facts) =>
  conditions.some((condition) => condition(facts))
const serverFailed = ({ status }: Facts) => status !== undefined && status >= 500 && ![501, 505, 507].includes(status)
const answered = (from: number, to: number) => ({ status }: Facts) =>
  status !== undefined && status >= from && status <= to

// Hints.
const noHint = () => undefined
const kmsKey = "look at the key in KMS that encrypts it: its policy, and whether it is enabled"
const bucketRegion = (facts: Facts) =>
  facts.bucketRegion === undefined ? undefined : `the bucket is in ${facts.bucketRegion}`
/** The reply to a HEAD has no body, so nothing says why it failed. */
const noReason = (facts: Facts) => {
  if (!facts.operation.startsWith("Head") || !named("Unknown")(facts)) return undefined
  const where = facts.bucketRegion === undefined ? "" : ` (${bucketRegion(facts)})`
  return `wrong keys, an expired token and a wrong region${where} are answered like this as well`
}

// Kinds of rows.
const service = (
  reason: ServiceReason,
  retryable: boolean | ((facts: Facts) => boolean),
  when: (facts: Facts) => boolean,
  hint: string | ((facts: Facts) => string | undefined) = noHint
): ServiceRow => ({
  reason,
  retryable: typeof retryable === "boolean" ? () => retryable : retryable,
  when,
  hint: typeof hint === "string" ? () => hint : hint
})

const configuration = (
  reason: ConfigurationReason & ServiceReason,
  setting: string | ((service: AwsService) => string),
  when: (facts: Facts) => boolean,
  hint: (facts: Facts) => string | undefined = noHint
): ConfigurationRow => ({ reason, setting: typeof setting === "string" ? () => setting : setting, when, hint })

// Settings that rows name.
const keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
const resource = (service: AwsService) => service === "S3" ? "IMAGE_S3_BUCKET" : "AWS_SQS_QUEUE_URL"
const endpoint = (service: AwsService) => `AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_${service}`
const region = (service: AwsService) => `AWS_REGION (or ${resource(service)})`

/** A certificate was refused, or the two sides could not agree: the codes of Node, and of OpenSSL in it. */
const tls = or(
  like(/^(ERR_(TLS|SSL|OSSL)_|CERT_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_|INVALID_(CA|PURPOSE)$)/),
  named("HOSTNAME_MISMATCH", "EPROTO")
)

const table: ReadonlyArray<Row> = [
  configuration(
    "MissingCredentials",
    keys,
    named("CredentialsProviderError", "MissingAuthenticationToken", "MissingAuthenticationTokenException")
  ),
  configuration("Region", "AWS_REGION", says(/^Region (is missing|not accepted)/)),
  configuration(
    "Endpoint",
    endpoint,
    or(named("EndpointError", "ERR_INVALID_URL"), says(/^Credential should be scoped to correct service/))
  ),
  configuration(
    "InvalidResourceName",
    resource,
    or(named("InvalidBucketName"), says(/^No value provided for input HTTP label/))
  ),
  // SQS says both of these by the name InvalidSignatureException, which means wrong keys otherwise.
  service(
    "ClockSkew",
    // Every reply has the time of the server, by which the SDK signs its next request.
    true,
    or(
      named("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"),
      says(/^Signature (expired|not yet current)/)
    ),
    "set the clock of this machine"
  ),
  configuration("WrongRegion", region, says(/^Credential should be scoped to a valid region/), bucketRegion),
  configuration(
    "InvalidCredentials",
    keys,
    or(
      named(
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidSignatureException"
      ),
      (facts) => named("AuthorizationHeaderMalformed")(facts) && /access key|AKID/i.test(facts.message)
    )
  ),
  configuration(
    "WrongRegion",
    region,
    or(
      named(
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "IncorrectEndpoint"
      ),
      status(301)
    ),
    bucketRegion
  ),
  service(
    "CredentialsExpired",
    true,
    named("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"),
    "renew the keys and AWS_SESSION_TOKEN"
  ),
  service(
    "Throttled",
    true,
    named("OverLimit"),
    "as many messages are in flight as SQS allows: they must be deleted or become visible first"
  ),
  service(
    "Throttled",
    true,
    or(
      status(429),
      like(/^(SlowDown|RequestThrottled|(KMS\.)?Throttl|KmsThrottled|RequestLimitExceeded|BandwidthLimitExceeded)/)
    )
  ),
  service(
    "InvalidRequest",
    false,
    named("InvalidObjectState"),
    "the file is archived: restore it first, with S3's RestoreObject"
  ),
  // Before the statuses: in the answer to a batch an entry has a code and no status.
  service(
    "InvalidRequest",
    false,
    named("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidIdFormat"),
    "the receipt is not one of this queue, or its visibility has ended"
  ),
  service(
    "InvalidRequest",
    false,
    says(/^Unknown action/i),
    "the server does not know this request: local servers know a part of SQS"
  ),
  service("InvalidRequest", false, named("UnsupportedOperation", "InvalidParameterValue")),
  service("Conflict", true, named("PurgeQueueInProgress"), "SQS purges a queue once in 60 seconds"),
  service("Conflict", true, named("QueueDeletedRecently"), "a queue can be made again 60 seconds after it was deleted"),
  service("AccessDenied", false, like(/^(KmsAccessDenied|KMS\.AccessDenied)/), kmsKey),
  service("InvalidRequest", false, like(/^(KMS\.|Kms)/), kmsKey),
  service(
    "AccessDenied",
    false,
    named("AccountProblem", "AllAccessDisabled", "NotSignedUp"),
    "look at the AWS account: AWS has closed access"
  ),
  service("AccessDenied", false, or(like(/^AccessDenied/), status(403)), noReason),
  // HEAD has no body: a missing bucket arrives as a nameless 404.
  service(
    "ResourceNotFound",
    false,
    (facts) =>
      named("NoSuchBucket", "QueueDoesNotExist", "NonExistentQueue", "ResourceNotFoundException")(facts)
      || (facts.operation === "HeadBucket" && facts.status === 404),
    ({ service }) => service === "SQS" ? "check the URL of the queue: its name, its account and its region" : undefined
  ),
  service(
    "ObjectNotFound",
    false,
    named("NoSuchKey", "NotFound", "NoSuchUpload"),
    ({ operation }) =>
      operation === "HeadObject"
        ? "there is no object of that key, or no such bucket: S3 does not say which"
        : undefined
  ),
  service("PreconditionFailed", false, status(412, 304)),
  service("Conflict", true, named("ConditionalRequestConflict", "OperationAborted")),
  service("PayloadTooLarge", false, or(named("EntityTooLarge", "BatchRequestTooLong"), status(413))),
  // The SDK checks the reply of SQS after a message was accepted, and throws a plain Error with this message. Messages that
  // were received otherwise than they were sent come again.
  service(
    "Checksum",
    ({ operation, service }) => service === "S3" || operation === "ReceiveMessage",
    or(
      named("BadDigest", "InvalidDigest", "InvalidChecksumError"),
      says(/^(InvalidChecksumError$|Checksum mismatch|Invalid MD5 checksum on messages)/)
    )
  ),
  service("Timeout", true, or(named("RequestTimeout", "RequestTimeoutException"), status(408))),
  // A bucket that was just made answers 307 until its name is known everywhere. 52x are the codes of a CDN.
  // The client was destroyed by another than its layer.
  service("Closed", false, named("UND_ERR_CLOSED", "UND_ERR_DESTROYED")),
  service("Unavailable", true, or(named("TemporaryRedirect"), status(307), serverFailed)),
  service(
    "MalformedReply",
    false,
    (facts) => facts.unreadable || answered(300, 399)(facts) || like(/^(HPE_|UND_ERR_HEADERS_OVERFLOW$)/)(facts),
    ({ service }) => `check ${endpoint(service)}, and what stands between (a proxy, a login page)`
  ),
  service("InvalidRequest", false, or(answered(400, 499), status(501, 505, 507)), noReason),
  service(
    "ConnectionLost",
    true,
    named(
      "ECONNRESET",
      "EPIPE",
      "ECONNABORTED",
      "ERR_STREAM_PREMATURE_CLOSE",
      "UND_ERR_SOCKET",
      "UND_ERR_RES_CONTENT_LENGTH_MISMATCH"
    )
  ),
  service(
    "Unreachable",
    true,
    named("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN")
  ),
  service(
    "ConnectTimeout",
    true,
    or(
      named("UND_ERR_CONNECT_TIMEOUT", "ERR_TLS_HANDSHAKE_TIMEOUT"),
      (facts) =>
        named("TimeoutError", "ETIMEDOUT")(facts)
        && /did not establish a connection|connect ETIMEDOUT/.test(facts.message)
    )
  ),
  service(
    "ReadTimeout",
    true,
    named("TimeoutError", "ETIMEDOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT")
  ),
  service(
    "Tls",
    false,
    tls,
    ({ service }) =>
      `check ${endpoint(service)} against the server's certificate; NODE_EXTRA_CA_CERTS adds an authority`
  )
]

const fallback: Row = service("Unknown", false, () => true)

/** The first row that matches. */
export const rowOf = (facts: Facts): Row => table.find((row) => row.when(facts)) ?? fallback

/** Calls whose effect others can see. The parts of an upload that was not completed are not seen. */
const deliveries: ReadonlySet<string> = new Set([
  "PutObject",
  "CopyObject",
  "CompleteMultipartUpload",
  "DeleteObject",
  "DeleteObjects",
  "SendMessage",
  "SendMessageBatch",
  "DeleteMessageBatch",
  "ChangeMessageVisibilityBatch",
  "PurgeQueue",
  "StartMessageMoveTask"
])

export const isDelivery = (operation: string): boolean => deliveries.has(operation)

/** Whether the service may have done the work of a delivery although its last attempt failed for that reason. */
export const mayHaveHappened = (facts: Facts, reason: ServiceReason): boolean => {
  switch (reason) {
    case "Timeout":
    case "Unavailable":
    case "ConnectionLost":
    case "ReadTimeout":
    case "MalformedReply":
    case "Unknown":
      return true
    // A certificate is refused before anything is sent. The other codes may also end a connection in use.
    case "Tls":
      return or(named("EPROTO"), like(/^ERR_(SSL|OSSL)_/))(facts)
    // S3 checks before it stores; the SQS client checks after SQS has accepted.
    case "Checksum":
      return facts.service === "SQS"
    default:
      return false
  }
}
