/** Every layer of the infrastructure, composed. */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import { Queue } from "./aws/Queue.ts"
import { Storage } from "./aws/Storage.ts"
import { BloodDb, GarminDb, MainDb, UfcDb } from "./db/Database.ts"
import { ConfigurationError, type DatabaseError } from "./Errors.ts"

/** Parts that fail at the same time for their settings become one error, which lists the problems of all. */
const together = <A, E, R>(
  layer: Layer.Layer<A, E | ConfigurationError, R>
): Layer.Layer<A, E | ConfigurationError, R> =>
  Layer.catchAllCause(layer, (cause) => {
    const failures = [...Cause.failures(cause)]
    const errors = failures.filter((failure) => failure instanceof ConfigurationError)
    return failures.length < 2 || errors.length < failures.length ? Layer.failCause(cause) : Layer.fail(
      new ConfigurationError({
        service: [...new Set(errors.map(({ service }) => service))].join(", "),
        reason: errors.every(({ reason }) => reason === errors[0]!.reason) ? errors[0]!.reason : "InvalidSettings",
        // Storage and queue share the settings of AWS.
        problems: [...new Map(
          errors.flatMap(({ problems }) => problems).map((problem) => [`${problem.setting} ${problem.detail}`, problem])
        ).values()]
      })
    )
  })

/**
 * Storage, queue and all four databases, from the settings of the environment. Each part that needs one opens its own
 * connections, side by side; closing the scope closes them all. What is wrong with the settings of any part is in one
 * ConfigurationError.
 */
export const layer: Layer.Layer<
  Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb,
  ConfigurationError | DatabaseError
> = together(Layer.mergeAll(Storage.layer, Queue.layer, MainDb.layer, GarminDb.layer, BloodDb.layer, UfcDb.layer))

/**
 * The same, each database only where its URL is set. Work that needs a database asks for it with `require`, and gets a
 * ConfigurationError where it is not there.
 */
export const layerOptional: Layer.Layer<Storage | Queue, ConfigurationError | DatabaseError> = together(Layer.mergeAll(
  Storage.layer,
  Queue.layer,
  MainDb.layerOptional,
  GarminDb.layerOptional,
  BloodDb.layerOptional,
  UfcDb.layerOptional
))
