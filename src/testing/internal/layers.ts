/** The layers that features are tested on. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type MemoryQueueOptions, Queue } from "../../aws/Queue.ts"
import { Storage } from "../../aws/Storage.ts"
import { BloodDb, type DatabaseTag, GarminDb, MainDb, UfcDb } from "../../db/Database.ts"
import type { DatabaseError } from "../../Errors.ts"
import * as Databases from "./environment/databases.ts"
import type { TablesError, TestDatabase } from "./environment/model.ts"
import * as Restore from "./environment/restore.ts"
import { database } from "./environment/sources.ts"

type AnyDatabase = TestDatabase<unknown, unknown, unknown>
type Self<D> = D extends TestDatabase<infer Self, unknown, unknown> ? Self : never
type Failure<D> = D extends TestDatabase<unknown, infer E, unknown> ? E : never
type Needs<D> = D extends TestDatabase<unknown, unknown, infer R> ? R : never

/** What the databases of a list provide, fail with and need. */
export type DatabasesLayer<D extends AnyDatabase> = Layer.Layer<
  Self<D>,
  TablesError | Failure<D>,
  Needs<D>
>

/**
 * Databases on a local server, each made for this layer: no other worker and no other run meets it. It is dropped when the
 * layer is closed; what a killed run leaves, a later one drops after an hour.
 *
 * The server is that of `LOCAL_MYSQL_URL`, or one that is started, which takes seconds: see `Testing.setup`. The
 * account must be allowed to make databases. `{PREFIX}_URL` is set for the layers that this one is provided to; other
 * settings come from the environment.
 */
export const databases = <const D extends ReadonlyArray<AnyDatabase>>(
  ...list: D
): DatabasesLayer<D[number]> => Databases.layer(list) as DatabasesLayer<D[number]>

export interface LayerOptions<D extends ReadonlyArray<AnyDatabase>> {
  /** Made by `Testing.database`. */
  readonly databases: D
  /** How `Queue` in memory is set up. Default: it accepts what a queue of either kind would. */
  readonly queue?: MemoryQueueOptions | undefined
}

/** Storage and Queue in memory, and these databases, as `Testing.databases` makes them. */
export const layerWith = <const D extends ReadonlyArray<AnyDatabase>>(
  options: LayerOptions<D>
): Layer.Layer<
  Storage | Queue | Self<D[number]>,
  TablesError | Failure<D[number]>,
  Needs<D[number]>
> => Layer.mergeAll(Storage.layerMemory, Queue.layerMemoryWith(options.queue ?? {}), databases(...options.databases))

/**
 * Storage and Queue in memory, and the four databases, empty, as `Testing.databases` makes them.
 *
 * ```ts
 * layer(Testing.layer, { timeout: "2 minutes" })("notes", (it) => …)
 * ```
 */
export const layer: Layer.Layer<Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb, TablesError> = layerWith({
  databases: [database(MainDb), database(GarminDb), database(BloodDb), database(UfcDb)]
})

/**
 * Brings a database back to how its layer began, for tests that must commit: rows, and where AUTO_INCREMENT goes on.
 * Tables that have changed are emptied and filled again, whoever has written to them (triggers, cascades); tables that were
 * made since are dropped. Gives the names of those tables. What was done to other definitions stays,
 * and sequences of MariaDB go on.
 *
 * A transaction that is still open and holds their rows makes it fail with `LockWaitTimeout` after 5 seconds. Dies (a
 * defect) with a database that no layer of this module has made.
 */
export const restore = <Self>(
  tag: DatabaseTag<Self, string>
): Effect.Effect<ReadonlyArray<string>, DatabaseError, Self> =>
  Effect.flatMap(
    tag,
    (client) =>
      Restore.beginningOf(client)?.restore
        ?? Effect.dieMessage(`Testing.restore needs a ${tag.databaseName} that Testing.databases has made`)
  )

/** Runs a test, and `Testing.restore` after it, however it has ended. A failure of the test is told first. */
export const restoring =
  <Self>(tag: DatabaseTag<Self, string>) =>
  <A, E, R>(test: Effect.Effect<A, E, R>): Effect.Effect<A, E | DatabaseError, R | Self> =>
    Effect.uninterruptibleMask((interruptible) =>
      Effect.gen(function*() {
        const ended = yield* Effect.exit(interruptible(test))
        const restored = yield* Effect.exit(restore(tag))
        const result = yield* ended
        yield* restored
        return result
      })
    )
