/** Looking again until something holds, in real time. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

const every = Schedule.spaced("20 millis")

/** Runs the check again until it passes. What still fails when the time is over is the failure of the test. */
export const eventually = <A, E, R>(
  check: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "3 seconds"
): Effect.Effect<A, E, R> =>
  Effect.sandbox(check).pipe(
    Effect.retry(Schedule.intersect(every, Schedule.recurUpTo(within))),
    Effect.unsandbox
  )

/** Looks until it holds, for three seconds at most, and gives what was seen last, whether that holds or not. */
export const lastSeen = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  holds: (seen: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.repeat(look, {
    until: holds,
    schedule: Schedule.intersect(every, Schedule.recurs(150))
  }).pipe(Effect.zipRight(look))
