/** What health checks know of each kind of part: what is asked, and what the answer means. */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ConsumerStatus, Queue } from "../../aws/Queue.ts"
import type { Storage } from "../../aws/Storage.ts"
import type { Watched } from "../../db/internal/alive.ts"
import type { Outbox } from "../../Outbox.ts"
import { isInfrastructureError } from "../infrastructureError.ts"
import type { OutboxStatus } from "../outbox/model.ts"
import { truncate } from "../textLimits.ts"
import type { EventLoop } from "./eventLoop.ts"
import type { Status } from "./model.ts"
import { failureOf } from "./model.ts"
import type { Finding, Part } from "./probe.ts"

/** Milliseconds of lag that people should know of: callers notice them. */
const LATE_LOOP = 500

/** In UTF-16 code units. */
const LONGEST_DETAIL = 500

const PASS: Finding = { status: "pass" }

/** A failure that is not one of ours may say anything, so nothing of it is told but what it is. */
const detailOf = (error: unknown): string =>
  isInfrastructureError(error)
    ? truncate(error.message, LONGEST_DETAIL)
    : `failed with ${
      error instanceof Error ? error.name : (error as { readonly _tag?: unknown } | null)?._tag ?? "an unknown error"
    }`

const answers = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<Finding> =>
  Effect.map(
    Effect.exit(effect),
    (exit) => Exit.isSuccess(exit) ? PASS : { status: "fail", detail: detailOf(Cause.squash(exit.cause)) }
  )

export const eventLoop = (loop: EventLoop): Finding => {
  const lag = Math.round(loop.lag())
  const observed = { lagMillis: lag }
  return lag < LATE_LOOP
    ? { status: "pass", observed }
    : { status: "warn", detail: `the event loop was blocked for ${lag} ms`, observed }
}

/** Whether a database can be used at all. It asks nobody. */
export const opened = (database: Watched): Finding =>
  database.closed() ? { status: "fail", detail: "the pool is closed" } : PASS

export const database = (name: string, watched: Watched): Part => {
  const withNumbers = (finding: Finding): Finding => {
    const stats = watched.stats()
    if (stats === undefined) return finding
    const { active, dialling, idle, max, waiting } = stats
    return { ...finding, observed: { active, idle, dialling, waiting, max } }
  }
  const full = (): Finding | undefined => {
    if (!watched.full()) return undefined
    const { max, waiting } = watched.stats()!
    const detail = `all ${max} connections are in use, and ${waiting} borrowers wait; the server was not asked`
    return withNumbers({ status: "warn", detail })
  }
  return {
    name,
    component: "database",
    look: Effect.suspend(() => {
      const busy = full()
      return busy === undefined ? Effect.map(answers(watched.ping), withNumbers) : Effect.succeed(busy)
    }),
    // The pool goes on trying for longer than a check waits.
    late: () => {
      const busy = full()
      const error = busy === undefined ? watched.unreachable() : undefined
      return error === undefined ? busy : withNumbers({ status: "fail", detail: detailOf(error) })
    }
  }
}

export const queue = (name: string, service: Queue.Service): Part => ({
  name,
  component: "queue",
  look: answers(service.check)
})

export const storage = (name: string, service: Storage.Service): Part => ({
  name,
  component: "storage",
  look: answers(service.check)
})

export const other = (name: string, effect: Effect.Effect<unknown, unknown>): Part => ({
  name,
  component: "other",
  look: answers(effect)
})

/** A consumer that cannot poll goes on trying, and so do the others: nobody is turned away for it. */
export const consumer = ({ inFlight, lastError, polls, state, ...counts }: ConsumerStatus): Finding => {
  const observed = { state, inFlight, polls, succeeded: counts.succeeded, failed: counts.failed }
  return lastError === undefined
    ? { status: "pass", observed }
    : { status: "warn", detail: detailOf(lastError), observed }
}

/** `latest`: what the last look has seen, if the database answered. */
export const outbox = (
  name: string,
  service: Outbox.Service
): Part & { readonly latest: () => OutboxStatus | undefined } => {
  let latest: OutboxStatus | undefined
  return {
    name,
    component: "outbox",
    latest: () => latest,
    look: Effect.map(Effect.either(service.status), (status): Finding => {
      if (status._tag === "Left") {
        latest = undefined
        return { status: "fail", detail: detailOf(status.left) }
      }
      latest = status.right
      return outboxFinding(latest)
    }),
    late: () => {
      latest = undefined
      return undefined
    }
  }
}

const outboxFinding = ({ backlog, relays }: OutboxStatus): Finding => {
  const observed = {
    messages: backlog.messages,
    ...(backlog.oldest === undefined ? {} : { oldestSeconds: Duration.toSeconds(backlog.oldest) }),
    relays: relays.length
  }
  const failing = relays.find(({ lastError }) => lastError !== undefined)?.lastError
  if (failing !== undefined) return { status: "warn", detail: detailOf(failing), observed }
  const blocked = relays.reduce((sum, relay) => sum + relay.blocked.length, 0)
  return blocked === 0
    ? { status: "pass", observed }
    : { status: "warn", detail: `a queue refuses ${blocked} messages as such`, observed }
}

const at = (date: Date | undefined): DateTime.Utc | null => date === undefined ? null : DateTime.unsafeFromDate(date)

export const consumerStatus = (
  { lastError, lastPollAt, ...rest }: ConsumerStatus
): Status["queues"][number]["consumers"][number] => ({
  ...rest,
  lastPollAt: at(lastPollAt),
  lastError: lastError === undefined ? null : failureOf(lastError)
})

export const outboxStatus = ({ backlog, relays }: OutboxStatus): NonNullable<Status["outbox"]> => ({
  messages: backlog.messages,
  oldestSeconds: backlog.oldest === undefined ? null : Duration.toSeconds(backlog.oldest),
  relays: relays.map(({ blocked, lastError, shards, state }) => ({
    state,
    shards,
    blocked: blocked.map(({ id, messageGroupId, queue, reason }) => ({
      id,
      queue,
      messageGroupId: messageGroupId ?? null,
      reason
    })),
    lastError: lastError === undefined ? null : failureOf(lastError)
  }))
})
