/**
 * The three errors of the layer. Every channel of every layer and method holds some of these and nothing else of ours.
 *
 * No rendering of them (message, JSON, inspection, pretty-printed cause) shows a secret or a parameter of a statement:
 * what becomes a `cause` here has been cleaned by the wing that made it.
 */
import * as Schema from "effect/Schema"

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

/**
 * The process is set up wrongly: a setting is missing, unknown or malformed. Trying again does not help; changing the
 * named settings does. `problems` lists all that was found in the same layer, not only the first.
 */
export class ConfigurationError
  extends Schema.TaggedError<ConfigurationError>("@betterai/infrastructure/ConfigurationError")("ConfigurationError", {
    service: Schema.String,
    reason: ConfigurationReason,
    problems: Schema.Array(Schema.Struct({ setting: Schema.String, detail: Schema.String })),
    cause: Schema.optional(Schema.Defect)
  })
{
  override get message(): string {
    const problems = this.problems.map(({ detail, setting }) => `${setting}: ${detail}`)
    return problems.length === 0
      ? `${this.service} is not configured correctly (${this.reason})`
      : `${this.service} is not configured correctly (${this.reason}): ${problems.join("; ")}`
  }
}

/** Why a {@link ServiceError} was raised. The rows that a layer would report as a ConfigurationError are here too, for methods at run time. */
export const ServiceReason = Schema.Literal(
  "InvalidInput",
  "MissingCredentials",
  "InvalidCredentials",
  "CredentialsExpired",
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
  "ConnectionLost",
  "Unreachable",
  "Unknown"
)
export type ServiceReason = typeof ServiceReason.Type

/**
 * A call to S3 or SQS failed, or was refused before it was sent (`InvalidInput`, `attempts` 0).
 *
 * - `retryable`: the same call may succeed later, and repeating it is possible (a one-shot stream is not consumed).
 * - `attempts`: how many requests were sent, the SDK's own retries included.
 * - `outcome: "unknown"`: the service may have done the work although the reply was lost.
 * - `detail`: what went wrong and what to do, for people. `field`: with `InvalidInput`, the argument that was refused.
 */
export class ServiceError
  extends Schema.TaggedError<ServiceError>("@betterai/infrastructure/ServiceError")("ServiceError", {
    service: Schema.Literal("S3", "SQS"),
    operation: Schema.String,
    reason: ServiceReason,
    retryable: Schema.Boolean,
    attempts: Schema.Number,
    detail: Schema.optional(Schema.String),
    field: Schema.optional(Schema.String),
    status: Schema.optional(Schema.Number),
    requestId: Schema.optional(Schema.String),
    outcome: Schema.optional(Schema.Literal("unknown")),
    cause: Schema.optional(Schema.Defect)
  })
{
  override get message(): string {
    const facts = [
      this.attempts > 1 ? `${this.attempts} attempts` : undefined,
      this.status === undefined ? undefined : `HTTP ${this.status}`,
      this.requestId === undefined ? undefined : `request ${this.requestId}`,
      this.outcome === "unknown" ? "it may have been done all the same" : undefined
    ].filter((fact) => fact !== undefined)
    return `${this.service} ${this.operation} failed (${this.reason}): ${this.detail ?? causeMessage(this.cause)}`
      + (facts.length === 0 ? "" : ` [${facts.join(", ")}]`)
  }
}

/** Why a {@link DatabaseError} was raised. */
export const DatabaseReason = Schema.Literal(
  // reaching the server
  "Unreachable",
  "ConnectTimeout",
  "LoginRefused",
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
 * - `retryable`: the server has rolled the work back or never began it, so the *whole transaction* may be tried again.
 *   Never true of `CommitOutcomeUnknown`: that transaction may be in the database.
 * - `errno`, `sqlState`: as the server sent them (MySQL error number, SQLSTATE).
 * - `constraint`: the key or constraint that was violated, where the server names it.
 * - `detail`: what went wrong and what to do, for people; parameters that the server quotes are taken out.
 * - `statement`: the text of the statement, with placeholders; its parameters are in no error.
 */
export class DatabaseError
  extends Schema.TaggedError<DatabaseError>("@betterai/infrastructure/DatabaseError")("DatabaseError", {
    database: Schema.String,
    reason: DatabaseReason,
    retryable: Schema.Boolean,
    detail: Schema.optional(Schema.String),
    errno: Schema.optional(Schema.Number),
    sqlState: Schema.optional(Schema.String),
    constraint: Schema.optional(Schema.String),
    statement: Schema.optional(Schema.String),
    cause: Schema.optional(Schema.Defect)
  })
{
  override get message(): string {
    const code = [
      this.errno === undefined ? undefined : `errno ${this.errno}`,
      this.sqlState === undefined ? undefined : `SQLSTATE ${this.sqlState}`
    ].filter((fact) => fact !== undefined)
    const statement = this.statement === undefined ? "" : `; statement: ${abbreviate(this.statement)}`
    return `${this.database} (${this.reason}): ${this.detail ?? causeMessage(this.cause)}`
      + (code.length === 0 ? "" : ` [${code.join(", ")}]`) + statement
  }
}

const abbreviate = (text: string): string => {
  const oneLine = text.replace(/\s+/g, " ").trim()
  return oneLine.length <= 200 ? oneLine : `${oneLine.slice(0, 197)}...`
}

const causeMessage = (cause: unknown): string => cause instanceof Error ? cause.message : "no more is known"
