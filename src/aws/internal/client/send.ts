/** One call of an SDK client as an Effect. */
import * as Effect from "effect/Effect"
import type { ServiceError } from "../../../Errors.ts"
import { type AwsService, isAbort, toServiceError } from "../errors/classify.ts"

/** How long an interrupted call may take to let go of its socket. It takes milliseconds; this only bounds a fault. */
const letGo = "5 seconds"

export interface Call<A> {
  readonly service: AwsService
  readonly operation: string
  /** The body came from a stream that cannot be read again: the failure is not retryable. */
  readonly consumed?: boolean | undefined
  readonly run: (abortSignal: AbortSignal) => Promise<A>
}

/**
 * Interruption aborts the request and waits until the client has let go of it, so that nothing of it is under way when
 * a clean-up begins.
 */
export const send = <A>({ consumed, operation, run, service }: Call<A>): Effect.Effect<A, ServiceError> =>
  Effect.async<A, ServiceError>((resume) => {
    const controller = new AbortController()
    const settled = run(controller.signal).then(
      (value) => resume(Effect.succeed(value)),
      (cause: unknown) =>
        resume(isAbort(cause) ? Effect.interrupt : Effect.fail(toServiceError(service, operation, cause, { consumed })))
    )
    return Effect.sync(() => controller.abort()).pipe(
      Effect.zipRight(bounded(Effect.promise(() => settled), letGo)),
      Effect.asVoid
    )
  })

/** A clean-up that cannot hang: given up after that time, even where interruption is switched off. */
export const bounded = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: `${number} seconds`
): Effect.Effect<void, E, R> => Effect.asVoid(Effect.timeoutOption(Effect.interruptible(effect), duration))
