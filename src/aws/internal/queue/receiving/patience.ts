/**
 * How long a heartbeat, an acknowledgement or a release waits for its answer. A client's own patience is longer than most
 * visibilities: a single reply that never comes would use up all of one.
 */
import * as Effect from "effect/Effect"
import { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend } from "../backend.ts"

/** Milliseconds that a slow server has in any case. */
const LEAST = 2_000

/** Fails after a third of the visibility, so that there is time for another attempt. */
export const within = <A>(
  backend: QueueBackend,
  operation: "ChangeMessageVisibilityBatch" | "DeleteMessageBatch",
  visibility: number,
  request: Effect.Effect<A, ServiceError>
): Effect.Effect<A, ServiceError> =>
  backend.inMemory ? request : Effect.timeoutFail(request, {
    duration: Math.max(LEAST, visibility / 3),
    onTimeout: () =>
      new ServiceError({
        service: "SQS",
        operation,
        reason: "Timeout",
        retryable: true,
        attempts: 1,
        outcome: "unknown",
        detail: "there was no answer while it was of use"
      })
  })
