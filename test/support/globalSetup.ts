/**
 * A MySQL server for each worker of vitest; they are gone with the run, also when that is interrupted or killed. One for all
 * would let the tests of one file wait for those of another: MariaDB may hold up every KILL and every look at the list of
 * threads while one KILL waits.
 */
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
    readonly mysql: ReadonlyArray<TestMysql>
  }
}

export default async function({ config, provide }: TestProject): Promise<() => Promise<void>> {
  const scope = Effect.runSync(Scope.make())
  const start = Effect.map(make, ({ host, password, pid, port, user }) => ({
    host,
    port,
    user,
    password: Redacted.value(password),
    pid
  }))
  // The first one may have to install the server.
  const first = await Effect.runPromise(Scope.extend(start, scope))
  const more = first.pid === undefined ? 0 : Number(config.maxWorkers ?? 1) - 1
  const others = await Effect.runPromise(Scope.extend(Effect.all(Array.from({ length: more }, () => start)), scope))
  provide("mysql", [first, ...others])
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
