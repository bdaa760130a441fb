/** The service of Outbox: writes messages, and tells how many wait. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { invalidInput } from "../../aws/internal/errors/invalidInput.ts"
import type { EnqueueOptions } from "../../aws/internal/queue/message.ts"
import { type Internals, internals as queueInternals, type QueueService } from "../../aws/internal/queue/service.ts"
import { ConfigurationError, type DatabaseError, type ServiceError } from "../../Errors.ts"
import { check } from "../tables.ts"
import type { Database } from "./database.ts"
import { enqueue } from "./enqueue.ts"
import type { OutboxStatus, Pending, RelayOptions } from "./model.ts"
import type { Relay } from "./relay.ts"
import * as Relays from "./relay.ts"
import { maxQueueName, SHARDS, tables } from "./schema.ts"
import * as Settings from "./settings.ts"

export interface OutboxService {
  readonly enqueue: (
    payload: unknown,
    options: EnqueueOptions & { readonly queue?: { readonly key: string } | undefined }
  ) => Effect.Effect<Pending, DatabaseError | ServiceError>
  readonly status: Effect.Effect<OutboxStatus, DatabaseError>
  readonly relay: (options: RelayOptions) => Effect.Effect<void, ConfigurationError, Scope.Scope>
}

/** A queue with the key of its tag. */
export interface KeyedQueue {
  readonly key: string
  readonly service: QueueService
}

export const make = (
  database: Database,
  queues: ReadonlyArray<KeyedQueue>
): Effect.Effect<OutboxService, ConfigurationError | DatabaseError> =>
  Effect.gen(function*() {
    const problems = problemsOf(queues)
    if (problems.length > 0) {
      return yield* new ConfigurationError({
        service: "Outbox",
        reason: "InvalidSettings",
        problems: problems.map((detail) => ({ setting: "queues", detail }))
      })
    }
    yield* database.outside(checkTables(database))

    const byName = new Map(queues.map(({ key, service }) => [nameOf(key), service[queueInternals]]))
    const relays = new Set<Relay>()
    const wake = (shard: number): void => {
      for (const relay of relays) relay.wake(shard)
    }
    return {
      enqueue: (payload, { queue, ...options }) =>
        Effect.flatMap(
          choose(byName, queue),
          ([name, internals]) => enqueue(database, name, internals, payload, options, wake)
        ),
      status: Effect.map(database.outside(backlog(database)), (backlog) => ({
        backlog,
        relays: [...relays].map((relay) => relay.status())
      })),
      relay: (options) =>
        Effect.gen(function*() {
          const settings = yield* Settings.of(options)
          const targets = new Map([...byName].map(([name, { backend }]) => [name, backend]))
          const relay = yield* Relays.start(database, targets, settings)
          yield* Effect.acquireRelease(
            Effect.sync(() => relays.add(relay)),
            () => Effect.sync(() => relays.delete(relay))
          )
        })
    }
  })

/** The name of a queue in the table: the key of its tag, without what all tags of this package begin with. */
const nameOf = (key: string): string => key.replace(/^@betterai\/infrastructure\//, "")

const problemsOf = (queues: ReadonlyArray<KeyedQueue>): ReadonlyArray<string> => {
  const names = queues.map(({ key }) => nameOf(key))
  return [
    ...(names.length === 0 ? ["must be one at least"] : []),
    ...(new Set(names).size < names.length ? ["must have different keys"] : []),
    ...(names.every((name) => new RegExp(`^[\\x21-\\x7e]{1,${maxQueueName}}$`).test(name))
      ? []
      : [`must have keys of 1-${maxQueueName} ASCII letters, digits and punctuation marks`])
  ]
}

const hint = "run sql/outbox.sql of this package, or Outbox.migration in a migration"

const checkTables = (database: Database): Effect.Effect<void, ConfigurationError | DatabaseError> =>
  database.use((sql) =>
    Effect.gen(function*() {
      const service = `Outbox of ${database.name}`
      yield* check(service, sql, tables, hint)
      const rows = yield* sql<{ shard: number }>`SELECT shard FROM outbox_shards WHERE shard < ${SHARDS}`
      if (rows.length !== SHARDS) {
        return yield* new ConfigurationError({
          service,
          reason: "NotConfigured",
          problems: [{ setting: "table outbox_shards", detail: `must have the rows 0 to ${SHARDS - 1}`, hint }]
        })
      }
      // A relay would read, and send, what is rolled back afterwards.
      const levels = yield* sql<{ Value: string }>`SHOW SESSION VARIABLES
        WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')`
      if (levels.some(({ Value }) => /uncommitted/i.test(Value))) {
        return yield* new ConfigurationError({
          service,
          reason: "InvalidSettings",
          problems: [{ setting: "isolation level", detail: "must not be READ UNCOMMITTED" }]
        })
      }
    })
  )

const choose = (
  queues: ReadonlyMap<string, Internals>,
  wanted: { readonly key: string } | undefined
): Effect.Effect<readonly [string, Internals], ServiceError> => {
  const [only, ...more] = queues
  if (wanted === undefined && only !== undefined && more.length === 0) return Effect.succeed(only)
  const name = wanted === undefined ? undefined : nameOf(wanted.key)
  const found = name === undefined ? undefined : queues.get(name)
  return name !== undefined && found !== undefined
    ? Effect.succeed([name, found])
    : Effect.fail(invalidInput("SQS", "Outbox.enqueue", {
      field: "queue",
      detail: `must be one of the queues of Outbox.layer: ${[...queues.keys()].join(", ")}`
    }))
}

/** Counting all of a large table would take long. */
const COUNTED = 10_000

const backlog = (database: Database): Effect.Effect<OutboxStatus["backlog"], DatabaseError> =>
  database.use((sql) =>
    Effect.gen(function*() {
      const [count] = yield* sql<{ n: number | string | bigint }>`
        SELECT COUNT(*) AS n FROM (SELECT id FROM outbox LIMIT ${sql.literal(String(COUNTED))}) AS some`
      const [oldest] = yield* sql<{ age: number | string | bigint }>`
        SELECT TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) AS age FROM outbox ORDER BY id LIMIT 1`
      return {
        messages: Number(count?.n ?? 0),
        oldest: oldest === undefined ? undefined : Duration.millis(Math.max(0, Number(oldest.age) / 1000))
      }
    })
  )
