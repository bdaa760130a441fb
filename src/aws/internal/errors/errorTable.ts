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
  /** The error's name, S3's `Code` and Node's `code`, those of them that are set. */
  readonly names: ReadonlyArray<string>
  readonly message: string
  readonly status: number | undefined
}

/** The call failed at run time. */
interface ServiceRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ServiceReason
  readonly retryable: (facts: Facts) => boolean
}

/** The cause is a setting; never retryable. */
interface ConfigurationRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ConfigurationReason & ServiceReason
  readonly setting: (service: AwsService) => string
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

// Kinds of rows.
const service = (
  reason: ServiceReason,
  retryable: boolean | ((facts: Facts) => boolean),
  when: (facts: Facts) => boolean
): ServiceRow => ({ reason, retryable: typeof retryable === "boolean" ? () => retryable : retryable, when })

const configuration = (
  reason: ConfigurationReason & ServiceReason,
  setting: string | ((service: AwsService) => string),
  when: (facts: Facts) => boolean
): ConfigurationRow => ({ reason, setting: typeof setting === "string" ? () => setting : setting, when })

// Settings that rows name.
const keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
const resource = (service: AwsService) => service === "S3" ? "IMAGE_S3_BUCKET" : "AWS_SQS_QUEUE_URL"

const table: ReadonlyArray<Row> = [
  configuration("MissingCredentials", keys, named("CredentialsProviderError")),
  configuration("Region", "AWS_REGION", says(/^Region (is missing|not accepted)/)),
  configuration(
    "Endpoint",
    (service) => `AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_${service}`,
    named("EndpointError", "ERR_INVALID_URL")
  ),
  configuration(
    "InvalidResourceName",
    resource,
    or(named("InvalidBucketName"), says(/^No value provided for input HTTP label/))
  ),
  configuration(
    "InvalidCredentials",
    keys,
    named(
      "InvalidAccessKeyId",
      "SignatureDoesNotMatch",
      "InvalidClientTokenId",
      "UnrecognizedClientException",
      "InvalidSignatureException"
    )
  ),
  configuration(
    "WrongRegion",
    (service) => `AWS_REGION (or ${resource(service)})`,
    or(named("PermanentRedirect", "AuthorizationHeaderMalformed"), status(301))
  ),
  service("CredentialsExpired", true, named("ExpiredToken", "ExpiredTokenException")),
  service(
    "Throttled",
    true,
    or(status(429), like(/^(SlowDown$|RequestThrottled|Throttling|KmsThrottled|OverLimit$)/))
  ),
  service("AccessDenied", false, or(like(/^AccessDenied/), status(403))),
  // HEAD has no body: a missing bucket arrives as a nameless 404.
  service(
    "ResourceNotFound",
    false,
    (facts) =>
      named("NoSuchBucket", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")(facts)
      || (facts.operation === "HeadBucket" && facts.status === 404)
  ),
  service("ObjectNotFound", false, named("NoSuchKey", "NotFound", "NoSuchUpload")),
  service("PreconditionFailed", false, status(412)),
  service("Conflict", true, named("ConditionalRequestConflict", "OperationAborted")),
  service("PayloadTooLarge", false, or(named("EntityTooLarge", "BatchRequestTooLong"), status(413))),
  // The SDK checks the reply of SQS after the message was accepted, and throws a plain Error with this message.
  service(
    "Checksum",
    (facts) => facts.service === "S3",
    or(named("BadDigest", "InvalidDigest", "InvalidChecksumError"), says(/^(InvalidChecksumError$|Checksum mismatch)/))
  ),
  service("Timeout", true, named("RequestTimeout", "RequestTimeoutException")),
  service("Unavailable", true, status(500, 502, 503, 504)),
  service(
    "InvalidRequest",
    false,
    (facts) =>
      facts.status !== undefined
      && (facts.status === 501 || facts.status === 507 || (facts.status >= 400 && facts.status < 500))
  ),
  service("ConnectionLost", true, named("ECONNRESET", "EPIPE")),
  service("Unreachable", true, named("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH")),
  service(
    "ConnectTimeout",
    true,
    (facts) => named("TimeoutError")(facts) && /did not establish a connection|connect ETIMEDOUT/.test(facts.message)
  ),
  service("ReadTimeout", true, named("TimeoutError"))
]

const fallback: Row = service("Unknown", false, () => true)

/** The first row that matches. */
export const rowOf = (facts: Facts): Row => table.find((row) => row.when(facts)) ?? fallback

/** Calls whose effect others can see. The parts of an upload that was not completed are not seen. */
const deliveries: ReadonlySet<string> = new Set(["PutObject", "CompleteMultipartUpload", "DeleteObject", "SendMessage"])

/** Whether the service may have done the work although the call failed for that reason. */
export const mayHaveHappened = (facts: Facts, reason: ServiceReason): boolean => {
  if (!deliveries.has(facts.operation)) return false
  switch (reason) {
    case "Timeout":
    case "Unavailable":
    case "ConnectionLost":
    case "ReadTimeout":
      return true
    // S3 checks before it stores; the SQS client checks after SQS has accepted.
    case "Checksum":
      return facts.service === "SQS"
    default:
      return false
  }
}
