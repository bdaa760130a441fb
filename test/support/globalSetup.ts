/** One MySQL server for the whole run of vitest; it is gone with the run, also when that is interrupted or killed. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { make } from "../../src/local/internal/mysql.ts"

export interface TestMysql {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** The process of the server; undefined where LOCAL_MYSQL_URL names one that runs anyway. */
  readonly pid: number | undefined
}

declare module "vitest" {
  interface ProvidedContext {
    readonly mysql: TestMysql
  }
}

export default async function({ provide }: TestProject): Promise<() => Promise<void>> {
  const scope = Effect.runSync(Scope.make())
  const { host, password, pid, port, user } = await Effect.runPromise(Scope.extend(make, scope))
  provide("mysql", { host, port, user, password: Redacted.value(password), pid })
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
