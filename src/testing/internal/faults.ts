/** Services that fail by a plan. */
import type * as Context from "effect/Context"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { QueueTag } from "../../aws/Queue.ts"
import { Storage } from "../../aws/Storage.ts"
import type { AnyDatabaseTag } from "../../db/Database.ts"
import type { ConfigurationError } from "../../Errors.ts"
import type { Fault } from "./database/faultModel.ts"
import * as Databases from "./database/faults.ts"
import * as Queues from "./services/queueFaults.ts"
import * as Storages from "./services/storageFaults.ts"

interface Faults {
  (
    storage: typeof Storage,
    plan: ReadonlyArray<Storages.StorageFault>
  ): Layer.Layer<Storage, ConfigurationError, Storage>
  <Self, Id extends string>(
    queue: QueueTag<Self, Id>,
    plan: ReadonlyArray<Queues.QueueFault>
  ): Layer.Layer<Self, ConfigurationError, Self>
  <Tag extends AnyDatabaseTag>(
    database: Tag,
    plan: ReadonlyArray<Fault>
  ): Layer.Layer<Context.Tag.Identifier<Tag>, ConfigurationError, Context.Tag.Identifier<Tag>>
}

const ofAny = (tag: unknown, plan: unknown): unknown => {
  if (tag === Storage) return Storages.layer(plan as ReadonlyArray<Storages.StorageFault>)
  return Predicate.hasProperty(tag, "databaseName")
    ? Databases.layer(tag as unknown as AnyDatabaseTag, plan as ReadonlyArray<Fault>)
    : Queues.layer(tag as QueueTag<unknown, string>, plan as ReadonlyArray<Queues.QueueFault>)
}

/**
 * A database, a queue or the storage of the context, failing by a plan: its callers get the errors that production gives.
 * When the layer is closed after a success and a fault has not happened, it dies (a defect).
 *
 * Faults of databases are made by `Testing.Fault`, those of `Storage` by `Testing.StorageFault`, those of a queue by
 * `Testing.QueueFault`.
 */
export const faults: Faults = ofAny as Faults
