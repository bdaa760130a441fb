import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Stage } from "./stage.ts"

/**
 * A user without SUPER, for whom limits and read_only hold, with all rights on the database of the stage. Gives what
 * changes a URL into that user's.
 */
export const plainUser = ({ admin, database }: Stage): Effect.Effect<(url: string) => string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.zipRight(
      admin(`CREATE USER ${database}@'127.0.0.1' IDENTIFIED BY 'plain'`),
      admin(`GRANT ALL ON ${database}.* TO ${database}@'127.0.0.1'`)
    ),
    () => admin(`DROP USER ${database}@'127.0.0.1'`)
  ).pipe(Effect.as((url: string): string => {
    const changed = new URL(url)
    changed.username = database
    changed.password = "plain"
    return changed.href
  }))
