import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { isTraced } from "../../src/internal/tracing.ts"

describe("an installed tracer", () => {
  const traced = Effect.withFiberRuntime<boolean>((fiber) => Effect.succeed(isTraced(fiber)))

  it.live("is told from the default one", () =>
    Effect.gen(function*() {
      expect(yield* traced).toBe(false)
      const tracer = Tracer.make({
        span: () => {
          throw new Error("no span is made")
        },
        context: (run) => run()
      })
      expect(yield* Effect.withTracer(traced, tracer)).toBe(true)
    }))
})
