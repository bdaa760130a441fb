/** Services that fail by a plan. */
import type * as Context from "effect/Context"
import type * as Layer from "effect/Layer"
import type { QueueTag } from "../../aws/Queue.ts"
import { Storage } from "../../aws/Storage.ts"
import type { ConfigurationError } from "../../Errors.ts"
import type { Fault } from "./database/faultModel.ts"
import * as Databases from "./database/faults.ts"
import type { AnyDatabaseTag } from "./database/view.ts"
import * as Queues from "./services/queueFaults.ts"
import * as Storages from "./services/storageFaults.ts"

/**
 * A database, a queue or the storage of the context, failing by a plan: its callers get the errors that production gives.
 * When the layer is closed after a success and a fault has not happened, it dies (a defect).
 *
 * Faults of databases are made by `Testing.Fault`, those of `Storage` by `Testing.StorageFault`, those of a queue by
 * `Testing.QueueFault`.
 */
export const faults: {
  (storage: typeof Storage, plan: ReadonlyArray<Storages.StorageFault>): Layer.Layer<Storage, ConfigurationError, Storage>
  <Tag extends AnyDatabaseTag>(
    database: Tag,
    plan: ReadonlyArray<Fault>
  ): Layer.Layer<Context.Tag.Identifier<Tag>, ConfigurationError, Context.Tag.Identifier<Tag>>
  <Self, Id extends string>(
    queue: QueueTag<Self, Id>,
    plan: ReadonlyArray<Queues.QueueFault>
  ): Layer.Layer<Self, ConfigurationError, Self>
} = (tag: typeof Storage | AnyDatabaseTag | QueueTag<never, string>, plan: ReadonlyArray<never>): Layer.Layer<never, ConfigurationError, never> =>
  tag === Storage
    ? Storages.layer(plan) as Layer.Layer<never, ConfigurationError>
    : "databaseName" in tag
    ? Databases.layer(tag, plan)
    : Queues.layer(tag as QueueTag<never, string>, plan)
