/**
 * What an SDK call failed with, as one of our errors: one table, read from the top, by name, code and status.
 * Never by `instanceof`: two copies of the SDK in one process must not change what an error means.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ConfigurationError, type ConfigurationReason, ServiceError, type ServiceReason } from "../../../Errors.ts"

export type AwsService = "S3" | "SQS"

/** What the table may look at. Nothing else of the SDK's error is kept. */
interface Facts {
  readonly service: AwsService
  readonly operation: string
  /** The error's name, S3's `Code` and Node's `code`: whichever of them are there. */
  readonly names: ReadonlyArray<string>
  readonly message: string
  readonly status: number | undefined
}

interface ServiceRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ServiceReason
  readonly retryable: (facts: Facts) => boolean
}

interface ConfigurationRow {
  readonly when: (facts: Facts) => boolean
  readonly reason: ConfigurationReason & ServiceReason
  readonly setting: (service: AwsService) => string
}

type Row = ServiceRow | ConfigurationRow

const named = (...names: ReadonlyArray<string>) => (facts: Facts) => facts.names.some((name) => names.includes(name))
const like = (pattern: RegExp) => (facts: Facts) => facts.names.some((name) => pattern.test(name))
const status = (...codes: ReadonlyArray<number>) => (facts: Facts) =>
  facts.status !== undefined && codes.includes(facts.status)
const says = (pattern: RegExp) => (facts: Facts) => pattern.test(facts.message)
const or = (...conditions: ReadonlyArray<(facts: Facts) => boolean>) => (facts: Facts) =>
  conditions.some((condition) => condition(facts))

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
  // The SQS middleware throws a plain Error with this message after the message was accepted.
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

/** Calls that change what others see. The parts of an upload that was not completed do not count. */
const deliveries: ReadonlySet<string> = new Set(["PutObject", "CompleteMultipartUpload", "DeleteObject", "SendMessage"])

const mayHaveHappened = (facts: Facts, reason: ServiceReason): boolean => {
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

const property = (value: unknown, key: string): unknown => Predicate.hasProperty(value, key) ? value[key] : undefined
const textOf = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined
const numberOf = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

/**
 * The first line only, and not much of it: behind it, a refused signature repeats the canonical request, session token
 * included.
 */
const firstLine = (message: string): string =>
  (message.split(/\r?\n/, 1)[0] ?? "").replace(/(x-amz-security-token\s*[:=]\s*)\S+/gi, "$1<redacted>").slice(0, 500)

const factsOf = (service: AwsService, operation: string, cause: unknown): Facts => ({
  service,
  operation,
  names: ["name", "Code", "code"].flatMap((key) => textOf(property(cause, key)) ?? []),
  message: firstLine(textOf(property(cause, "message")) ?? ""),
  status: numberOf(property(property(cause, "$metadata"), "httpStatusCode"))
})

const rowOf = (facts: Facts): Row => table.find((row) => row.when(facts)) ?? fallback

/** Name, message, codes: no response, no headers, no stack through the SDK's request. */
const cleaned = (cause: unknown, facts: Facts): Error => {
  const error = new Error(facts.message === "" ? facts.names[0] ?? "no message" : facts.message)
  error.name = textOf(property(cause, "name")) ?? "Error"
  error.stack = `${error.name}: ${error.message}`
  const code = textOf(property(cause, "Code")) ?? textOf(property(cause, "code"))
  return Object.assign(
    error,
    code === undefined ? {} : { code },
    facts.status === undefined ? {} : { status: facts.status }
  )
}

/** Whether the SDK gave up because it was told to: an interruption, not an error. */
export const isAbort = (cause: unknown): boolean => property(cause, "name") === "AbortError"

/** What a method met. `consumed`: the body came from a stream, so the call cannot be repeated. */
export const toServiceError = (
  service: AwsService,
  operation: string,
  cause: unknown,
  options?: { readonly consumed?: boolean | undefined }
): ServiceError => {
  const facts = factsOf(service, operation, cause)
  const row = rowOf(facts)
  const metadata = property(cause, "$metadata")
  const requestId = textOf(property(metadata, "requestId"))
  const clean = cleaned(cause, facts)
  const configuration = "setting" in row
  // The SDK counts attempts that ended before anything was sent, and loses count of some that ended after.
  const attempts = configuration && facts.status === undefined ? 0 : numberOf(property(metadata, "attempts")) ?? 1
  return new ServiceError({
    service,
    operation,
    reason: row.reason,
    retryable: !configuration && row.retryable(facts) && options?.consumed !== true,
    attempts,
    ...(configuration ? { detail: `${clean.message}; look at ${row.setting(service)}` } : {}),
    ...(facts.status === undefined ? {} : { status: facts.status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(mayHaveHappened(facts, row.reason) ? { outcome: "unknown" as const } : {}),
    cause: clean
  })
}

/** The same for a layer or a check at start: none if the fault does not lie with the settings. */
export const toConfigurationError = (service: AwsService, cause: unknown): Option.Option<ConfigurationError> => {
  const facts = factsOf(service, "", cause)
  const row = rowOf(facts)
  if (!("setting" in row)) return Option.none()
  const clean = cleaned(cause, facts)
  return Option.some(
    new ConfigurationError({
      service,
      reason: row.reason,
      problems: [{ setting: row.setting(service), detail: clean.message }],
      cause: clean
    })
  )
}

/** An argument that was refused before anything was sent. `detail` must not quote what may be private. */
export const invalidInput = (service: AwsService, operation: string, field: string, detail: string): ServiceError =>
  new ServiceError({
    service,
    operation,
    reason: "InvalidInput",
    retryable: false,
    attempts: 0,
    field,
    detail: `${field} ${detail}`
  })
