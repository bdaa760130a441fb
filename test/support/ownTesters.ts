/**
 * Before each file: `it.effect` and the others as @effect/vitest made them. Its `layer(…)` replaces them, on the one `it` that
 * all files of a worker share, by those that use its layer, and does not put them back.
 */
import { effect, flakyTest, it, layer, live, prop, scoped, scopedLive } from "@effect/vitest"

Object.assign(it, { effect, flakyTest, layer, live, prop, scoped, scopedLive })
