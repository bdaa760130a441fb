/** Turns the failure of an SDK call into one of our errors, cleaned. What it means is in the table. */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ConfigurationError, ServiceError } from "../../../Errors.ts"
import { AWS_MESSAGE, truncate } from "../../../internal/textLimits.ts"
import { type AwsService, type Facts, isDelivery, mayHaveHappened, rowOf } from "./errorTable.ts"

export interface Circumstances {
  /** The body came from a stream, so the call cannot be repeated. */
  readonly consumed?: boolean | undefined
  /** False if no attempt came so far that the service can have carried it out. */
  readonly delivered?: boolean | undefined
  /** Whether an earlier attempt may have been carried out, whatever the last one says. Not known: if there was one. */
  readonly doubtful?: boolean | undefined
}

/** The error of a method. */
export const toServiceError = (
  service: AwsService,
  operation: string,
  cause: unknown,
  { consumed, delivered, doubtful }: Circumstances = {}
): ServiceError => {
  const facts = factsOf(service, operation, cause)
  const row = rowOf(facts)
  const metadata = property(cause, "$metadata")
  const requestId = wordOf(property(metadata, "requestId"))
  const clean = cleaned(cause, facts)
  const configuration = "setting" in row
  const hint = configuration
    ? [`check ${row.setting(service)}`, row.hint(facts)].filter((part) => part !== undefined).join(": ")
    : row.hint(facts)
  // The SDK counts an attempt that failed before anything was sent, and gives no count for some that failed later.
  const attempts = configuration && facts.status === undefined ? 0 : numberOf(property(metadata, "attempts")) ?? 1
  const unknown = isDelivery(operation) && delivered !== false
    && ((doubtful ?? attempts > 1) || mayHaveHappened(facts, row.reason))
  return new ServiceError({
    service,
    operation,
    reason: row.reason,
    retryable: !configuration && row.retryable(facts) && consumed !== true,
    attempts,
    ...(configuration ? { detail: clean.message } : {}),
    ...(hint === undefined ? {} : { hint }),
    ...(facts.status === undefined ? {} : { status: facts.status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(unknown ? { outcome: "unknown" as const } : {}),
    cause: clean
  })
}

/** What a reply says of one entry of a batch that failed. */
export interface FailedEntry {
  readonly code: unknown
  readonly message: unknown
  /** Whether the sender must change something. */
  readonly senderFault: boolean
  readonly attempts: number
  readonly requestId: string | undefined
  /** Whether an earlier attempt may have carried it out. */
  readonly doubtful: boolean
}

/** The error of one entry of a batch whose reply has arrived: this attempt did not carry it out. */
export const toEntryError = (service: AwsService, operation: string, entry: FailedEntry): ServiceError => {
  const cause = Object.assign(new Error(textOf(entry.message) ?? ""), {
    name: textOf(entry.code) ?? "Error",
    // A code that is not known is told by whose fault it is.
    $metadata: { httpStatusCode: entry.senderFault ? 400 : 500 }
  })
  const facts = factsOf(service, operation, cause)
  const row = rowOf(facts)
  const configuration = "setting" in row
  const hint = row.hint(facts)
  const requestId = wordOf(entry.requestId)
  return new ServiceError({
    service,
    operation,
    reason: row.reason,
    // Throttling is told as the sender's fault by some.
    retryable: !configuration && row.retryable(facts) && (!entry.senderFault || row.reason === "Throttled"),
    attempts: entry.attempts,
    ...(hint === undefined ? {} : { hint }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(entry.doubtful ? { outcome: "unknown" as const } : {}),
    cause: cleaned(cause, { ...facts, status: undefined })
  })
}

/** The error of a layer; none if no setting is the cause. */
export const toConfigurationError = (service: AwsService, cause: unknown): Option.Option<ConfigurationError> => {
  const facts = factsOf(service, "", cause)
  const row = rowOf(facts)
  if (!("setting" in row)) return Option.none()
  const clean = cleaned(cause, facts)
  const hint = row.hint(facts)
  return Option.some(
    new ConfigurationError({
      service,
      reason: row.reason,
      problems: [{
        setting: row.setting(service),
        detail: clean.message,
        ...(hint === undefined ? {} : { hint })
      }],
      cause: clean
    })
  )
}

const property = (value: unknown, key: string): unknown => Predicate.hasProperty(value, key) ? value[key] : undefined
const textOf = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined
/** A code or an id: what is no word, or as long as a session token, is a reply's own text in the wrong place. */
const wordOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\w.:+/=-]{1,128}$/.test(value) ? value : undefined
const numberOf = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

/** Only the first line: if a signature is refused, the rest repeats the canonical request, session token included. */
const firstLine = (message: string): string => truncate(redacted(message.split(/\r?\n/, 1)[0] ?? ""), AWS_MESSAGE)

/** Without what signs a request: an Authorization header, the session token, the query of a presigned URL. */
const redacted = (line: string): string =>
  line
    .replace(/(authorization["']?\s*(?:[:=]|%3d)).*/i, "$1 <redacted>")
    .replace(
      /\b((?:x-amz-(?:security-token|signature|credential)|signature|credential)["']?\s*(?:[:=]|%3d)\s*["']?)[^\s&,;"'<>]+/gi,
      "$1<redacted>"
    )

const factsOf = (service: AwsService, operation: string, cause: unknown): Facts => {
  const message = textOf(property(cause, "message")) ?? ""
  const name = textOf(property(cause, "name"))
  const coded = withCode(cause)
  const code = textOf(property(coded, "code"))
  const unreadable = DESERIALIZATION.test(message) && code === undefined && name !== "TimeoutError"
  const inner = coded === cause ? undefined : textOf(property(coded, "message"))
  return {
    service,
    operation,
    names: [name, textOf(property(cause, "Code")), code].filter((known) => known !== undefined).map(withoutPrefix),
    message: unreadable
      ? `the reply is not one of ${service}${contentType(cause)}`
      : message === NAMELESS
      ? "the service gave no reason"
      : firstLine(inner === undefined ? message : `${message}: ${inner}`),
    status: numberOf(property(property(cause, "$metadata"), "httpStatusCode")),
    unreadable,
    bucketRegion: bucketRegion(cause, message)
  }
}

/** SQS has two names for most of its errors, and this before one of them. */
const withoutPrefix = (name: string): string => name.replace(/^AWS\.SimpleQueueService\./, "")

/** What the SDK appends to the message of any error in reading a reply. The message before it quotes the reply. */
const DESERIALIZATION = /Deserialization error: to see the raw response/

/** What the SDK writes where a reply has no message. */
const NAMELESS = "UnknownError"

/** The error with a code of Node or undici: this one, or what caused it. `fetch` wraps twice. */
const withCode = (cause: unknown, depth = 0): unknown =>
  cause === undefined || depth > 4
    ? undefined
    : textOf(property(cause, "code")) !== undefined
    ? cause
    : withCode(property(cause, "cause"), depth + 1)

const headerOf = (cause: unknown, name: string): string =>
  textOf(property(property(property(cause, "$response"), "headers"), name)) ?? ""

const contentType = (cause: unknown): string => {
  const type = /^[\w.+-]{1,40}\/[\w.+-]{1,80}/.exec(headerOf(cause, "content-type"))?.[0]
  return type === undefined ? "" : ` (its type is ${type})`
}

/** S3 says where a bucket is: in a header, in the error, or in its message. */
const bucketRegion = (cause: unknown, message: string): string | undefined =>
  [
    headerOf(cause, "x-amz-bucket-region"),
    textOf(property(cause, "Region")) ?? "",
    /; expecting '([^']*)'/.exec(message)?.[1] ?? ""
  ].find((region) => /^[a-z0-9-]{1,63}$/.test(region))

/** Keeps name, message and codes, and drops response, headers and the stack through the SDK. */
const cleaned = (cause: unknown, facts: Facts): Error => {
  const name = wordOf(property(cause, "name"))
  const error = new Error(facts.message === "" ? name ?? "no message" : facts.message)
  error.name = name ?? "Error"
  error.stack = `${error.name}: ${error.message}`
  const code = wordOf(property(cause, "Code")) ?? wordOf(property(withCode(cause), "code"))
  return Object.assign(
    error,
    code === undefined ? {} : { code },
    facts.status === undefined ? {} : { status: facts.status }
  )
}
