import * as Effect from "effect/Effect"

/** A whole turn of the event loop, in which it takes in what has arrived: the first may come within one. */
export const eventLoopTurn: Effect.Effect<void> = Effect.async<void>((resume) =>
  void setImmediate(() => setImmediate(() => resume(Effect.void)))
)
