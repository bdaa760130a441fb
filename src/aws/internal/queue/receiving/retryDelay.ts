/** How long a message whose handler failed stays invisible. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import { MAX_VISIBILITY } from "../limits.ts"

/** Beyond that the schedule is not asked any further. */
const MOST_STEPS = 100

/**
 * The n-th step of the schedule, in whole seconds, n being the receive count; `undefined` where it has ended before. The
 * steps are taken one after another as if each had been waited for.
 */
export const retryDelay = (
  schedule: Schedule.Schedule<unknown, number>,
  receiveCount: number
): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    let now = yield* Clock.currentTimeMillis
    let state = schedule.initial
    let delay = 0
    for (let step = 1; step <= Math.min(Math.max(receiveCount, 1), MOST_STEPS); step++) {
      const [next, , decision] = yield* schedule.step(now, step, state)
      if (ScheduleDecision.isDone(decision)) return undefined
      const start = ScheduleIntervals.start(decision.intervals)
      delay = Math.max(0, start - now)
      state = next
      now += delay
    }
    return Math.min(MAX_VISIBILITY, Math.ceil(delay / 1000))
  })
