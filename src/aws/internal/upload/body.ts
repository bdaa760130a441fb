/** The body of a request, read a chunk at a time. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { LINGER } from "../deadlines.ts"
import { Stalled, TooLarge, type UploadError } from "./errors.ts"

export interface Body {
  /** The next bytes, or undefined at the end. A failure stays. */
  readonly next: Effect.Effect<Uint8Array | undefined, UploadError>
  /** Bytes so far. */
  readonly received: () => number
  /**
   * Closes the connection of a body that was not read to its end. `linger`: only after the rest was read and dropped for
   * a while, because most clients read no answer before they have sent everything, and a connection that is closed under
   * them loses it.
   */
  readonly close: (linger: boolean) => Effect.Effect<void>
}

export const open = (
  request: HttpServerRequest.HttpServerRequest,
  { idleTimeout, maxTotalSize }: { readonly idleTimeout: Duration.Duration; readonly maxTotalSize: number }
): Effect.Effect<Body> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const pull = yield* Scope.extend(Stream.toPull(request.stream), scope)
    let pending: Iterator<Uint8Array> | undefined
    let received = 0
    let failure: UploadError | undefined
    let state: "open" | "ended" | "broken" = "open"

    const fail = (error: UploadError, broken: boolean): Effect.Effect<never, UploadError> => {
      failure = error
      if (broken) state = "broken"
      return Effect.fail(error)
    }
    const gone = Effect.suspend(() =>
      fail(new Stalled({ reason: "Disconnected", detail: "the client has gone" }), true)
    )
    const silent = Effect.suspend(() =>
      fail(new Stalled({ reason: "Timeout", detail: "the client sent nothing for too long" }), true)
    )
    const ended = Effect.sync((): undefined => {
      state = "ended"
    })
    const received_ = (chunk: Chunk.Chunk<Uint8Array>): Effect.Effect<Uint8Array | undefined, UploadError> => {
      pending = chunk[Symbol.iterator]()
      return next
    }
    const fill = pull.pipe(
      // What was interrupted may have taken bytes with it.
      Effect.onInterrupt(() => Effect.sync(() => void (state = "broken"))),
      Effect.timeoutOption(idleTimeout),
      Effect.matchEffect({
        // A request of the web without a body fails without a cause.
        onFailure: (end) => Option.isNone(end) || end.value.cause === undefined ? ended : gone,
        onSuccess: (chunk) => Option.isNone(chunk) ? silent : received_(chunk.value)
      })
    )
    const next: Body["next"] = Effect.suspend(() => {
      if (failure !== undefined) return Effect.fail(failure)
      const held = pending?.next()
      if (held?.done === false) {
        received += held.value.byteLength
        return received <= maxTotalSize
          ? Effect.succeed(held.value)
          : fail(
            new TooLarge({
              reason: "BodyTooLarge",
              limit: maxTotalSize,
              detail: `the body has more than ${maxTotalSize} bytes`
            }),
            false
          )
      }
      if (state === "open") return fill
      return state === "ended" ? Effect.succeed(undefined) : gone
    })

    const drop = Effect.suspend(() => state === "open" ? Effect.ignore(Effect.forever(pull)) : Effect.void)
    return {
      next,
      received: () => received,
      close: (linger) =>
        Effect.zipRight(
          linger ? Effect.timeoutOption(Effect.interruptible(drop), LINGER) : Effect.void,
          Scope.close(scope, Exit.void)
        )
    }
  })
