/**
 * Messages that are sent if, and only if, a database transaction commits. They are written in that transaction; a relay
 * sends what is committed, at least once.
 *
 * ```ts
 * const order = MainDb.withTransaction(Effect.gen(function*() {
 *   yield* MainDb.use((sql) => sql`INSERT INTO orders ${sql.insert({ id })}`)
 *   const outbox = yield* Outbox
 *   yield* outbox.enqueue({ order: id })
 * }))
 * ```
 */
import type * as Migrator from "@effect/sql/Migrator"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EnqueueOptions, Queue } from "./aws/Queue.ts"
import type { DatabaseTag } from "./db/Database.ts"
import type { ConfigurationError, DatabaseError, ServiceError } from "./Errors.ts"
import type { OutboxStatus, Pending, RelayOptions } from "./internal/outbox/model.ts"
import * as Schema from "./internal/outbox/schema.ts"
import * as Tables from "./internal/tables.ts"

export type { Blocked, OutboxStatus, Pending, RelayOptions, RelayStatus } from "./internal/outbox/model.ts"

export interface OutboxEnqueueOptions extends EnqueueOptions {
  /** The tag of the queue. Needed where the outbox has several. */
  readonly queue?: AnyQueueTag | undefined
}

/** The tag of any queue: `Queue`, or one made by `Queue.Tag`. */
// oxlint-disable-next-line typescript/no-explicit-any -- the identifier of a tag is invariant
export interface AnyQueueTag extends Context.Tag<any, Queue.Service> {}

const relayOf: unique symbol = Symbol.for("@betterai/infrastructure/Outbox/relay")

export declare namespace Outbox {
  interface Service {
    /**
     * Writes a message in the open transaction of the database. It is sent if that commits, and not if it, or the savepoint
     * around this call, is rolled back.
     *
     * The message is checked as `Queue.enqueue` does, and refused before anything is written: `InvalidInput`,
     * `PayloadTooLarge`. It may have 9 attributes, since `outbox-id` is added. On a FIFO queue its deduplication id is the
     * same UUID unless one is given. A delay counts from when it is sent.
     *
     * The payload is written as JSON, by no schema: encode it first where the receiver has one (`Schema.encode`).
     *
     * Outside of a transaction it fails with a DatabaseError, `InvalidParameter`.
     */
    readonly enqueue: (
      payload: unknown,
      options?: OutboxEnqueueOptions
    ) => Effect.Effect<Pending, DatabaseError | ServiceError>
    /** What waits in the database, and what the relays of this process are doing, for health checks. */
    readonly status: Effect.Effect<OutboxStatus, DatabaseError>
    /** @internal */
    readonly [relayOf]: (options: RelayOptions) => Layer.Layer<never, ConfigurationError>
  }
}

/** The outbox of one database, for one queue or several. */
export class Outbox extends Context.Tag("@betterai/infrastructure/Outbox")<Outbox, Outbox.Service>() {
  /**
   * Writes messages to the tables of that database, for those queues. It looks whether the tables are there and fit, and
   * fails with a ConfigurationError otherwise; it creates nothing. It sends nothing either: see {@link relay}.
   */
  static readonly layer = <
    Self,
    Name extends string,
    Queues extends readonly [AnyQueueTag, ...ReadonlyArray<AnyQueueTag>]
  >(
    database: DatabaseTag<Self, Name>,
    ...queues: Queues
  ): Layer.Layer<
    Outbox,
    ConfigurationError | DatabaseError,
    Self | Context.Tag.Identifier<Queues[number]>
  > =>
    Layer.effect(
      Outbox,
      Effect.gen(function*() {
        const { bound, service } = yield* load
        const keyed = yield* Effect.forEach(
          queues,
          (queue) =>
            Effect.map(queue as Context.Tag<unknown, Queue.Service>, (service) => ({ key: queue.key, service }))
        )
        const { enqueue, relay, status } = yield* service.make(yield* bound.bind(database), keyed)
        return {
          enqueue: Effect.fn("Outbox.enqueue")(function*(payload: unknown, options: OutboxEnqueueOptions = {}) {
            return yield* enqueue(payload, options)
          }),
          status: Effect.withSpan(status, "Outbox.status"),
          [relayOf]: (options: RelayOptions) => Layer.scopedDiscard(relay(options))
        }
      })
    ) as Layer.Layer<Outbox, ConfigurationError | DatabaseError, Self | Context.Tag.Identifier<Queues[number]>>

  /**
   * Sends what is in the outbox, until its scope is closed; then it ends what it is sending and lets others take over. Any
   * number of relays may run, in any number of processes: each sends a part. All of them need all queues of the outbox.
   *
   * - A message is sent at least once. It is sent again if its outcome is unknown, or if a relay dies or is held up
   *   between sending and deleting it; with the same `outbox-id`, by which `Inbox.dedupe` and a FIFO queue know it.
   * - On a FIFO queue the messages of a group are sent in the order in which they were written. That is the order of
   *   their commits if writers of the group exclude each other, by a lock on the row that the group stands for, say.
   * - While a queue or the database fails, messages wait. It never ends because of a failure.
   */
  static readonly relay: Layer.Layer<never, ConfigurationError, Outbox> = Layer.suspend(() => Outbox.relayWith({}))

  /** The same with options. */
  static readonly relayWith = (options: RelayOptions): Layer.Layer<never, ConfigurationError, Outbox> =>
    Layer.unwrapEffect(Effect.map(Outbox, (outbox) => outbox[relayOf](options)))

  /** Creates the tables, for a record of migrations: `Migrator.fromRecord({ "8_outbox": Outbox.migration })`. */
  static readonly migration: Effect.Effect<void, SqlError, SqlClient.SqlClient> = Tables.migration(Schema.statements)

  /** The same as a loader of its own: `MainDb.migrate(Outbox.migrations, { table: "outbox_migrations" })`. */
  static readonly migrations: Migrator.Loader = Effect.succeed([[1, "outbox", Effect.succeed(Outbox.migration)]])

  /** The same as a text, which is in the package as `sql/outbox.sql`. */
  static readonly sql: string = Tables.script(Schema.comment, Schema.statements)
}

/** What does the work is loaded with the layer. */
const load = Effect.promise(async () => {
  const [service, bound] = await Promise.all([
    import("./internal/outbox/service.ts"),
    import("./internal/outbox/database.ts")
  ])
  return { service, bound }
})
