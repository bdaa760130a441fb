/**
 * The three errors of this package. Its layers and methods fail with these, and with no other error of ours.
 *
 * Each keeps apart what went wrong (`detail`) and what to do about it (`hint`); only `message` joins them.
 *
 * No rendering of an error (message, JSON, inspection, pretty-printed cause) shows a secret or a parameter of a
 * statement: a `cause` is cleaned before it gets here.
 *
 * Their identifiers are names of components in OpenAPI, which have neither `@` nor `/` (OpenAPI 3.1, 4.8.7).
 */
import * as Schema from "effect/Schema"
import { STATEMENT_IN_MESSAGE, truncate } from "./internal/textLimits.ts"

/** Why a {@link ConfigurationError} was raised. */
export const ConfigurationReason = Schema.Literal(
  "InvalidSettings",
  "NotConfigured",
  "MissingCredentials",
  "InvalidCredentials",
  "Region",
  "WrongRegion",
  "Endpoint",
  "InvalidResourceName",
  "LocalServer"
)
export type ConfigurationReason = typeof ConfigurationReason.Type

/** What is wrong with one setting (`detail`) and, where it is not obvious, what to do about it (`hint`). */
export const ConfigurationProblem = Schema.Struct({
  setting: Schema.String,
  detail: Schema.String,
  hint: Schema.optional(Schema.String)
})
export type ConfigurationProblem = typeof ConfigurationProblem.Type

/**
 * The process is set up wrongly: a setting is missing, unknown or malformed. Retrying does not help; changing the named
 * settings does. `problems` lists everything that was found wrong in the same layer, not only the first problem.
 */
export class ConfigurationError
  extends Schema.TaggedError<ConfigurationError>("Infrastructure.ConfigurationError")("ConfigurationError", {
    service: Schema.String,
    reason: ConfigurationReason,
    problems: Schema.Array(ConfigurationProblem),
    cause: Schema.optional(Schema.Defect)
  })
{
  override get message(): string {
    const problems = this.problems.map(({ detail, hint, setting }) => `${setting}: ${withHint(detail, hint)}`)
    return problems.length === 0
      ? `${this.service} is not configured correctly (${this.reason})`
      : `${this.service} is not configured correctly (${this.reason}): ${problems.join("; ")}`
  }

  override toJSON(): unknown {
    return asJson(this, super.toJSON())
  }
}

/**
 * Why a {@link ServiceError} was raised. It includes the reasons that a layer reports as a ConfigurationError, for
 * methods that meet them at run time.
 */
export const ServiceReason = Schema.Literal(
  "InvalidInput",
  "UnreadableData",
  "NotConfigured",
  "Closed",
  "MissingCredentials",
  "InvalidCredentials",
  "CredentialsExpired",
  "ClockSkew",
  "Region",
  "WrongRegion",
  "Endpoint",
  "InvalidResourceName",
  "Throttled",
  "AccessDenied",
  "ResourceNotFound",
  "ObjectNotFound",
  "PreconditionFailed",
  "Conflict",
  "PayloadTooLarge",
  "Checksum",
  "Timeout",
  "ConnectTimeout",
  "ReadTimeout",
  "Unavailable",
  "InvalidRequest",
  "MalformedReply",
  "ConnectionLost",
  "Unreachable",
  "Tls",
  "Unknown"
)
export type ServiceReason = typeof ServiceReason.Type

/**
 * A call to S3 or SQS failed, or was refused before it was sent (`InvalidInput`, `attempts` 0). `operation` is the method of
 * what is refused here, else the SDK's name of the request.
 *
 * - `retryable`: the same call may succeed later, and it can be repeated (no one-shot stream was consumed).
 * - `attempts`: how many requests were sent, the SDK's own retries included.
 * - `outcome: "unknown"`: the service may have done the work although the reply was lost.
 * - `detail`: what went wrong. `hint`: what to do about it. Both are for people.
 * - `field`: with `InvalidInput`, the argument that was refused.
 */
export class ServiceError extends Schema.TaggedError<ServiceError>("Infrastructure.ServiceError")("ServiceError", {
  service: Schema.Literal("S3", "SQS"),
  operation: Schema.String,
  reason: ServiceReason,
  retryable: Schema.Boolean,
  attempts: Schema.Number,
  detail: Schema.optional(Schema.String),
  hint: Schema.optional(Schema.String),
  field: Schema.optional(Schema.String),
  status: Schema.optional(Schema.Number),
  requestId: Schema.optional(Schema.String),
  outcome: Schema.optional(Schema.Literal("unknown")),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    const facts = [
      this.attempts > 1 ? `${this.attempts} attempts` : undefined,
      this.status === undefined ? undefined : `HTTP ${this.status}`,
      this.requestId === undefined ? undefined : `request ${this.requestId}`,
      this.outcome === "unknown" ? "the work may have been done" : undefined
    ].filter((fact) => fact !== undefined)
    return `${this.service} ${this.operation} failed (${this.reason}): `
      + withHint(this.detail ?? causeMessage(this.cause), this.hint)
      + (facts.length === 0 ? "" : ` [${facts.join(", ")}]`)
  }

  override toJSON(): unknown {
    return asJson(this, super.toJSON())
  }
}

/** Why a {@link DatabaseError} was raised. */
export const DatabaseReason = Schema.Literal(
  // reaching the server
  "Unreachable",
  "ConnectTimeout",
  "LoginRefused",
  "MissingCredentials",
  "UnknownDatabase",
  "Tls",
  "TooManyConnections",
  "PoolTimeout",
  "PoolClosed",
  "ConnectionLost",
  // statements
  "UniqueViolation",
  "ForeignKeyViolation",
  "NotNullViolation",
  "CheckViolation",
  "InvalidData",
  "InvalidParameter",
  "Syntax",
  "UnknownObject",
  "AccessDenied",
  "Cancelled",
  "StatementTimeout",
  "PacketTooLarge",
  // transactions
  "Deadlock",
  "LockWaitTimeout",
  "LockNotAvailable",
  "ReadOnlyServer",
  "ReadOnlyTransaction",
  "ImplicitCommit",
  "TransactionAborted",
  "TransactionClosed",
  "TransactionTimeout",
  "CommitOutcomeUnknown",
  "Unknown"
)
export type DatabaseReason = typeof DatabaseReason.Type

/**
 * A database could not be reached, or refused or lost a statement or a transaction.
 *
 * - `retryable`: repeating the same call is safe, and may succeed. Of a call in a transaction it says so of the whole
 *   transaction: the server has rolled it back, or never began it.
 * - `outcome`: "unknown" if the work may have been carried out although it failed: the answer to a COMMIT, or to a
 *   statement outside of a transaction that may write, was lost or was not understood. Such an error is never retryable.
 *   Without it, the call is known to have had no effect.
 * - `detail`: what went wrong; values that the server quotes are removed. `hint`: what to do about it. Both are for people.
 * - `errno`, `sqlState`: as the server sent them (MySQL error number, SQLSTATE).
 * - `constraint`: the key or constraint that was violated, where the server names it.
 * - `statement`: the text of the statement, with placeholders. Its parameters are in no error.
 */
export class DatabaseError extends Schema.TaggedError<DatabaseError>("Infrastructure.DatabaseError")("DatabaseError", {
  database: Schema.String,
  reason: DatabaseReason,
  retryable: Schema.Boolean,
  detail: Schema.optional(Schema.String),
  hint: Schema.optional(Schema.String),
  errno: Schema.optional(Schema.Number),
  sqlState: Schema.optional(Schema.String),
  constraint: Schema.optional(Schema.String),
  statement: Schema.optional(Schema.String),
  outcome: Schema.optional(Schema.Literal("unknown")),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    const code = [
      this.errno === undefined ? undefined : `errno ${this.errno}`,
      this.sqlState === undefined ? undefined : `SQLSTATE ${this.sqlState}`,
      this.outcome === "unknown" ? "the work may have been done" : undefined
    ].filter((fact) => fact !== undefined)
    const statement = this.statement === undefined ? "" : `; statement: ${onOneLine(this.statement)}`
    return `${this.database} (${this.reason}): ${withHint(this.detail ?? causeMessage(this.cause), this.hint)}`
      + (code.length === 0 ? "" : ` [${code.join(", ")}]`) + statement
  }

  override toJSON(): unknown {
    return asJson(this, super.toJSON())
  }
}

/** With the message, which a logger of JSON would not write; what the cause says is in it. */
const asJson = (error: Error, fields: unknown): unknown => {
  const { cause: _cause, ...others } = fields as Readonly<Record<string, unknown>>
  return { ...others, message: error.message }
}

const withHint = (detail: string, hint: string | undefined): string =>
  hint === undefined ? detail : `${detail}; ${hint}`

const onOneLine = (statement: string): string => truncate(statement.replace(/\s+/g, " ").trim(), STATEMENT_IN_MESSAGE)

const causeMessage = (cause: unknown): string => cause instanceof Error ? cause.message : "no details are known"
