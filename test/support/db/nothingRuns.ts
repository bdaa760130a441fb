import * as Effect from "effect/Effect"
import { expect } from "vitest"
import { eventually } from "../eventually.ts"
import type { Thread } from "./admin.ts"

/**
 * Checks that none of these threads runs anything, or anything with that text. A thread is listed as busy for a moment
 * after its reply; a statement that was left running would be there for seconds.
 */
export const nothingRuns = (
  threads: Effect.Effect<ReadonlyArray<Thread>>,
  text?: string
): Effect.Effect<void> =>
  eventually(
    Effect.map(threads, (all) => {
      const busy = all.filter(({ command, info }) =>
        text === undefined ? command !== "Sleep" : String(info).includes(text)
      )
      expect(busy).toEqual([])
    }),
    "300 millis"
  )
