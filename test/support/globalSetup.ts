/**
 * Starts a MySQL server for each worker of vitest. They end with the run, also if that is interrupted or killed. With one
 * server for all, the tests of one file would wait for those of another: while one KILL waits, MariaDB may hold up every
 * other KILL and every query of the list of threads.
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
  /** The process of the server. Undefined if LOCAL_MYSQL_URL names a server that is already running. */
  readonly pid: number | undefined
}

declare module "vitest" {
  interface ProvidedContext {
    readonly mysql: ReadonlyArray<TestMysql>
  }
}

export default async function({ config, provide }: TestProject): Promise<() => Promise<void>> {
  const scope = Effect.runSync(Scope.make())
  const start = Effect.map(make(), ({ host, password, pid, port, user }) => ({
    host,
    port,
    user,
    password: Redacted.value(password),
    pid
  }))
  // The first start may have to install the server.
  const first = await Effect.runPromise(Scope.extend(start, scope))
  const more = first.pid === undefined ? 0 : Number(config.maxWorkers ?? 1) - 1
  const others = await Effect.runPromise(Scope.extend(Effect.all(Array.from({ length: more }, () => start)), scope))
  provide("mysql", [first, ...others])
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
