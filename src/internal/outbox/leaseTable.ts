/** Leases in the database, by its clock. Rows are found by their primary key, and locked for one statement at a time. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../Errors.ts"
import type { Database } from "./database.ts"

export interface Shard {
  readonly shard: number
  readonly owner: string | null
  readonly isFree: boolean
}

export interface LeaseTable {
  /** Tells the others that this relay lives, and renews the leases of these shards as far as it still has them. */
  readonly renew: (shards: ReadonlyArray<number>) => Effect.Effect<void, DatabaseError>
  readonly living: Effect.Effect<ReadonlyArray<string>, DatabaseError>
  readonly shards: Effect.Effect<ReadonlyArray<Shard>, DatabaseError>
  /** Takes those of these shards that nobody has, or this relay itself. */
  readonly take: (shards: ReadonlyArray<number>) => Effect.Effect<void, DatabaseError>
  readonly giveBack: (shard: number) => Effect.Effect<void, DatabaseError>
  /** Gives everything back, and is no longer counted among the living. */
  readonly leave: Effect.Effect<void, DatabaseError>
  /** Those of its shards that have messages. */
  readonly busy: Effect.Effect<ReadonlyArray<number>, DatabaseError>
}

export const make = (database: Database, relay: string, millis: number): LeaseTable => {
  const micros = Math.round(millis * 1000)
  const use = <A>(work: Parameters<typeof database.use<A, SqlError, never>>[0]) =>
    Effect.withTracerEnabled(database.use(work), false)
  return {
    renew: (shards) =>
      Effect.zipRight(
        use((sql) =>
          sql`INSERT INTO outbox_relays (relay, alive_until)
            VALUES (${relay}, UTC_TIMESTAMP(6) + INTERVAL ${micros} MICROSECOND)
            ON DUPLICATE KEY UPDATE alive_until = UTC_TIMESTAMP(6) + INTERVAL ${micros} MICROSECOND`
        ),
        shards.length === 0 ?
          Effect.void :
          use((sql) =>
            sql`UPDATE outbox_shards SET leased_until = UTC_TIMESTAMP(6) + INTERVAL ${micros} MICROSECOND
            WHERE shard IN ${sql.in(shards)} AND owner = ${relay}`.unprepared
          )
      ),

    living: Effect.map(
      use((sql) => sql<{ relay: string }>`SELECT relay FROM outbox_relays WHERE alive_until > UTC_TIMESTAMP(6)`),
      (rows) => rows.map(({ relay }) => relay)
    ),

    shards: Effect.map(
      use((sql) =>
        sql<{ shard: number; owner: string | null; free: number | string | bigint }>`
          SELECT shard, owner, owner IS NULL OR leased_until <= UTC_TIMESTAMP(6) AS free FROM outbox_shards`
      ),
      (rows) => rows.map(({ free, owner, shard }) => ({ shard, owner, isFree: Number(free) === 1 }))
    ),

    take: (shards) =>
      Effect.asVoid(use((sql) =>
        sql`UPDATE outbox_shards
          SET owner = ${relay}, leased_until = UTC_TIMESTAMP(6) + INTERVAL ${micros} MICROSECOND, epoch = epoch + 1
          WHERE shard IN ${sql.in(shards)}
            AND (owner IS NULL OR owner = ${relay} OR leased_until <= UTC_TIMESTAMP(6))`.unprepared
      )),

    giveBack: (shard) =>
      Effect.asVoid(use((sql) =>
        sql`UPDATE outbox_shards SET owner = NULL, leased_until = UTC_TIMESTAMP(6)
          WHERE shard = ${shard} AND owner = ${relay}`
      )),

    leave: Effect.asVoid(Effect.zipRight(
      use((sql) => sql`UPDATE outbox_shards SET owner = NULL, leased_until = UTC_TIMESTAMP(6) WHERE owner = ${relay}`),
      // Also those that have died and been forgotten.
      use((sql) =>
        sql`DELETE FROM outbox_relays WHERE relay = ${relay} OR alive_until < UTC_TIMESTAMP(6) - INTERVAL 1 DAY`
      )
    )),

    busy: Effect.map(
      use((sql) =>
        sql<{ shard: number; first: unknown }>`
          SELECT s.shard, (SELECT o.id FROM outbox AS o WHERE o.shard = s.shard ORDER BY o.id LIMIT 1) AS first
          FROM outbox_shards AS s WHERE s.owner = ${relay}`
      ),
      (rows) => rows.flatMap(({ first, shard }) => first === null ? [] : [shard])
    )
  }
}
