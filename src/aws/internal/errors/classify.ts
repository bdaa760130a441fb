/** Turns the failure of an SDK call into one of our errors, cleaned. What it means is in the table. */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ConfigurationError, ServiceError } from "../../../Errors.ts"
import { AWS_MESSAGE, truncate } from "../../../internal/textLimits.ts"
import { type AwsService, type Facts, mayHaveHappened, rowOf } from "./errorTable.ts"

/** The error of a method. `consumed`: the body came from a stream, so the call cannot be repeated. */
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
  // The SDK counts an attempt that failed before anything was sent, and gives no count for some that failed later.
  const attempts = configuration && facts.status === undefined ? 0 : numberOf(property(metadata, "attempts")) ?? 1
  return new ServiceError({
    service,
    operation,
    reason: row.reason,
    retryable: !configuration && row.retryable(facts) && options?.consumed !== true,
    attempts,
    ...(configuration ? { detail: clean.message, hint: `check ${row.setting(service)}` } : {}),
    ...(facts.status === undefined ? {} : { status: facts.status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(mayHaveHappened(facts, row.reason) ? { outcome: "unknown" as const } : {}),
    cause: clean
  })
}

/** The error of a layer; none if no setting is the cause. */
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

/** Whether the SDK stopped because we aborted the call: an interruption, not an error. */
export const isAbort = (cause: unknown): boolean => property(cause, "name") === "AbortError"

const property = (value: unknown, key: string): unknown => Predicate.hasProperty(value, key) ? value[key] : undefined
const textOf = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined
const numberOf = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

/** Only the first line: if a signature is refused, the rest repeats the canonical request, session token included. */
const firstLine = (message: string): string =>
  truncate(
    (message.split(/\r?\n/, 1)[0] ?? "").replace(/(x-amz-security-token\s*[:=]\s*)\S+/gi, "$1<redacted>"),
    AWS_MESSAGE
  )

const factsOf = (service: AwsService, operation: string, cause: unknown): Facts => ({
  service,
  operation,
  names: ["name", "Code", "code"].flatMap((key) => textOf(property(cause, key)) ?? []),
  message: firstLine(textOf(property(cause, "message")) ?? ""),
  status: numberOf(property(property(cause, "$metadata"), "httpStatusCode"))
})

/** Keeps name, message and codes, and drops response, headers and the stack through the SDK. */
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
