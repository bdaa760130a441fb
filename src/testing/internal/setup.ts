/** One database server for all test files of a run. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { make } from "../../local/internal/mysql.ts"

/** What is used of vitest's `TestProject`. */
export interface Project {
  readonly config: { env?: Record<string, unknown> }
}

/**
 * A `globalSetup` of vitest: starts a database server for the whole run, unless `LOCAL_MYSQL_URL` names one, and gives it
 * to all workers as `LOCAL_MYSQL_URL`. It is gone when the run has ended, even by SIGKILL.
 *
 * ```ts
 * import { Testing } from "@betterai/infrastructure/testing"
 * export default Testing.setup
 * ```
 */
export const setup = async ({ config }: Project): Promise<() => Promise<void>> => {
  const scope = Effect.runSync(Scope.make())
  const close = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  const server = await Effect.runPromise(
    Effect.onError(Scope.extend(make(), scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
  )
  // What vitest gives to the processes and threads of the run as their environment.
  config.env = { ...config.env, LOCAL_MYSQL_URL: Redacted.value(server.url("mysql")) }
  return close
}
