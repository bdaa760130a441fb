/** Sandboxes around single tests. */
import * as Effect from "effect/Effect"
import type { ConfigurationError } from "../../../Errors.ts"
import * as Sandbox from "./sandbox.ts"
import type { DatabaseTags, Requirement } from "./view.ts"

export const rollback = <const Tags extends DatabaseTags>(
  ...databases: Tags
): <A, E, R>(
  test: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | ConfigurationError, Exclude<R, Requirement<Tags>> | Requirement<Tags>> => {
  const sandbox = Sandbox.layer(...databases)
  return (test) => Effect.provide(test, sandbox)
}
