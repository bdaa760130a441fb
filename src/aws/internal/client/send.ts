/** One call of an SDK client as an Effect. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ServiceError } from "../../../Errors.ts"
import { RELEASE } from "../deadlines.ts"
import { isAbort, toServiceError } from "../errors/classify.ts"
import type { AwsService } from "../errors/errorTable.ts"

/**
 * Runs one call of a client. Interruption aborts the request and waits until the client has released it, so that
 * nothing of it is under way when a clean-up begins.
 *
 * `operation` is the name of the SDK's command. `consumed`: the body came from a stream that cannot be read again, so
 * the failure is not retryable.
 */
export type Send = <A>(
  operation: string,
  run: (abortSignal: AbortSignal) => Promise<A>,
  consumed?: boolean
) => Effect.Effect<A, ServiceError>

export const sendTo = (service: AwsService): Send => (operation, run, consumed = false) =>
  Effect.async((resume) => {
    const controller = new AbortController()
    const settled = run(controller.signal).then(
      (value) => resume(Effect.succeed(value)),
      (cause: unknown) =>
        resume(isAbort(cause) ? Effect.interrupt : Effect.fail(toServiceError(service, operation, cause, { consumed })))
    )
    return Effect.zipRight(
      Effect.sync(() => controller.abort()),
      bounded(Effect.promise(() => settled), RELEASE)
    )
  })

/** Runs a clean-up for at most `duration`, then interrupts it, even in an uninterruptible region. */
export const bounded = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput
): Effect.Effect<void, E, R> => Effect.asVoid(Effect.timeoutOption(Effect.interruptible(effect), duration))
