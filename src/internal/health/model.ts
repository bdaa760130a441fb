/** What health checks report, as values and as JSON. Nothing in it is a secret, a parameter of a statement or a payload. */
import * as Schema from "effect/Schema"
import type { InfrastructureError } from "../infrastructureError.ts"

/** `warn`: it works, and somebody should look. Only `fail` turns traffic away. */
export const Verdict = Schema.Literal("pass", "warn", "fail")
export type Verdict = typeof Verdict.Type

/** What was looked at. */
export const Component = Schema.Literal("process", "database", "queue", "consumer", "storage", "outbox", "other")
export type Component = typeof Component.Type

/** What was found out about one part. */
export const Check = Schema.Struct({
  /** The name of the part, as in errors and metrics: `MainDb`, `Queue`, `eventLoop`. */
  name: Schema.String,
  component: Component,
  status: Verdict,
  /** What is wrong, for people. Absent with `pass`. */
  detail: Schema.optional(Schema.String),
  /** The numbers that the status comes from; their names say their units. */
  observed: Schema.Record({ key: Schema.String, value: Schema.Union(Schema.Number, Schema.String, Schema.Boolean) }),
  /** When it was looked at: up to a second ago. */
  time: Schema.DateTimeUtc
})
export interface Check extends Schema.Schema.Type<typeof Check> {}

/** The parts and the worst of their statuses. */
export const Report = Schema.Struct({
  status: Verdict,
  checks: Schema.Array(Check)
})
export interface Report extends Schema.Schema.Type<typeof Report> {}

const Count = Schema.Number

/** The pool of one database. `null` where the client is not ours. */
const PoolStatus = Schema.Struct({
  /** The name of the database: `MainDb`. */
  name: Schema.String,
  pool: Schema.NullOr(Schema.Struct({
    idle: Count,
    active: Count,
    dialling: Count,
    waiting: Count,
    size: Count,
    overflow: Count,
    max: Count,
    /** Since the start. */
    opened: Count,
    dialFailures: Count,
    timeouts: Count,
    recycled: Count,
    discarded: Schema.Record({ key: Schema.String, value: Count })
  }))
})

/** An error of ours without its cause. `message` is for people. */
const Failure = Schema.Struct({
  /** `ConfigurationError`, `ServiceError` or `DatabaseError`. */
  error: Schema.String,
  /** The service or database that it is about. */
  of: Schema.String,
  reason: Schema.String,
  message: Schema.String
})
export interface Failure extends Schema.Schema.Type<typeof Failure> {}

const Consumer = Schema.Struct({
  name: Schema.String,
  queue: Schema.String,
  state: Schema.Literal("starting", "running", "draining"),
  inFlight: Count,
  polls: Count,
  lastPollAt: Schema.NullOr(Schema.DateTimeUtc),
  lastError: Schema.NullOr(Failure),
  /** Messages since it began. */
  succeeded: Count,
  /** Attempts since it began. */
  failed: Count
})

const Relay = Schema.Struct({
  state: Schema.Literal("running", "stopping"),
  /** The parts of the outbox that it sends, of 16. */
  shards: Schema.Array(Count),
  blocked: Schema.Array(Schema.Struct({
    id: Schema.String,
    queue: Schema.String,
    messageGroupId: Schema.NullOr(Schema.String),
    reason: Schema.String
  })),
  lastError: Schema.NullOr(Failure)
})

/** An error of ours that was logged. */
const RecentError = Schema.Struct({
  ...Failure.fields,
  time: Schema.DateTimeUtc,
  /** Of the log: `ERROR`, `WARN` … */
  level: Schema.String
})
export interface RecentError extends Schema.Schema.Type<typeof RecentError> {}

/** All that a page for people shows of one process. */
export const Status = Schema.Struct({
  time: Schema.DateTimeUtc,
  process: Schema.Struct({
    pid: Count,
    /** Of Node, without the `v`. */
    nodeVersion: Schema.String,
    uptimeSeconds: Count,
    rssBytes: Count,
    heapUsedBytes: Count,
    /** The longest of the last 10 seconds or so. */
    eventLoopLagMillis: Count,
    /** Shutdown has begun. */
    draining: Schema.Boolean
  }),
  databases: Schema.Array(PoolStatus),
  queues: Schema.Array(Schema.Struct({
    /** The name of the tag: `Queue`. */
    name: Schema.String,
    consumers: Schema.Array(Consumer)
  })),
  /** `null` where none is looked at, or the database did not answer: then the report says why. */
  outbox: Schema.NullOr(Schema.Struct({
    messages: Count,
    /** The age of the oldest message that is not sent. */
    oldestSeconds: Schema.NullOr(Count),
    relays: Schema.Array(Relay)
  })),
  /** Of all parts: what `/healthz` shows. */
  health: Report,
  /** What `/readyz` shows. */
  ready: Report,
  /** The newest first, at most 50. */
  recentErrors: Schema.Array(RecentError)
})
export interface Status extends Schema.Schema.Type<typeof Status> {}

/** What is shown of an error: its cause may hold anything. */
export const failureOf = (error: InfrastructureError): Failure => ({
  error: error._tag,
  of: error._tag === "DatabaseError" ? error.database : error.service,
  reason: error.reason,
  message: error.message
})
