/** Every layer of the infrastructure, composed. */
import * as Layer from "effect/Layer"
import { Queue } from "./aws/Queue.ts"
import { Storage } from "./aws/Storage.ts"
import { BloodDb, GarminDb, MainDb, UfcDb } from "./db/Database.ts"
import type { ConfigurationError, DatabaseError } from "./Errors.ts"

/**
 * Storage, queue and all four databases, from the settings of the environment. Each part that needs one opens its own
 * connections, side by side; closing the scope closes them all.
 */
export const layer: Layer.Layer<
  Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb,
  ConfigurationError | DatabaseError
> = Layer.mergeAll(Storage.layer, Queue.layer, MainDb.layer, GarminDb.layer, BloodDb.layer, UfcDb.layer)

/**
 * The same, each database only where its URL is set. Work that needs a database asks for it with `require`, and gets a
 * ConfigurationError where it is not there.
 */
export const layerOptional: Layer.Layer<Storage | Queue, ConfigurationError | DatabaseError> = Layer.mergeAll(
  Storage.layer,
  Queue.layer,
  MainDb.layerOptional,
  GarminDb.layerOptional,
  BloodDb.layerOptional,
  UfcDb.layerOptional
)
