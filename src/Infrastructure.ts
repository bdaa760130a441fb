/** Every layer of the infrastructure, composed. */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import { Queue } from "./aws/Queue.ts"
import { Storage } from "./aws/Storage.ts"
import { BloodDb, GarminDb, MainDb, UfcDb } from "./db/Database.ts"
import { ConfigurationError, type DatabaseError } from "./Errors.ts"

/** If several parts fail because of their settings, one error lists the problems of all of them. */
const withAllProblems = <A, E, R>(
  layer: Layer.Layer<A, E | ConfigurationError, R>
): Layer.Layer<A, E | ConfigurationError, R> =>
  Layer.catchAllCause(layer, (cause) => {
    const failures = [...Cause.failures(cause)]
    const errors = failures.filter((failure) => failure instanceof ConfigurationError)
    return failures.length < 2 || errors.length < failures.length ? Layer.failCause(cause) : Layer.fail(
      new ConfigurationError({
        service: [...new Set(errors.map(({ service }) => service))].join(", "),
        reason: errors.every(({ reason }) => reason === errors[0]!.reason) ? errors[0]!.reason : "InvalidSettings",
        // Storage and Queue share settings: each problem is listed once.
        problems: [...new Map(
          errors.flatMap(({ problems }) => problems).map((problem) => [JSON.stringify(problem), problem])
        ).values()]
      })
    )
  })

/**
 * Storage, queue and all four databases, from the settings of the environment. The parts open their connections
 * concurrently; closing the scope closes them all. One ConfigurationError lists what is wrong with the settings of any
 * part.
 */
export const layer: Layer.Layer<
  Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb,
  ConfigurationError | DatabaseError
> = withAllProblems(
  Layer.mergeAll(Storage.layer, Queue.layer, MainDb.layer, GarminDb.layer, BloodDb.layer, UfcDb.layer)
)

/**
 * Storage, queue, and each database whose URL is set. Work that needs a database asks for it with `require`, which fails
 * with a ConfigurationError if no layer has provided that database.
 */
export const layerOptional: Layer.Layer<Storage | Queue, ConfigurationError | DatabaseError> = withAllProblems(
  Layer.mergeAll(
    Storage.layer,
    Queue.layer,
    MainDb.layerOptional,
    GarminDb.layerOptional,
    BloodDb.layerOptional,
    UfcDb.layerOptional
  )
)
