/**
 * Starts a database server for each worker of vitest, of the kind that TEST_SERVER names. They end with the run, also if
 * that is interrupted or killed. With one server for all, the tests of one file would wait for those of another: while one
 * KILL waits, MariaDB may hold up every other KILL and every query of the list of threads.
 *
 * With TEST_PROXY, the code under test reaches them through a proxy. With TEST_S3 the run is about S3, and has none.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { useTestServer } from "../../scripts/servers/programs.ts"
import { make, type ServerVersion } from "../../src/local/internal/mysql.ts"
import { type ProxyName, proxyNames, startProxy } from "./db/realProxies.ts"

export interface TestMysql {
  readonly kind: ServerVersion["kind"]
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** The process of the server. Undefined if LOCAL_MYSQL_URL names a server that is already running. */
  readonly pid: number | undefined
  /** Where the code under test connects: the server itself, or the proxy of TEST_PROXY in front of it. */
  readonly entry: { readonly host: string; readonly port: number; readonly pools?: boolean }
}

declare module "vitest" {
  interface ProvidedContext {
    readonly mysql: ReadonlyArray<TestMysql>
  }
}

export default async function({ config, provide }: TestProject): Promise<() => Promise<void>> {
  if (process.env["TEST_S3"]) {
    provide("mysql", [])
    return () => Promise.resolve()
  }
  const scope = Effect.runSync(Scope.make())
  const wanted = await Effect.runPromise(useTestServer)
  const proxy = process.env["TEST_PROXY"] as ProxyName | undefined
  if (proxy !== undefined && !proxyNames.includes(proxy)) {
    throw new Error(`TEST_PROXY must be one of ${proxyNames.join(", ")}`)
  }
  const start = Effect.flatMap(
    make(),
    ({ host, password, pid, port, server: { kind, version }, user }) =>
      Effect.gen(function*() {
        const entry = proxy === undefined ? { host, port } : yield* startProxy(proxy, { host, port })
        return { kind, version, host, port, user, password: Redacted.value(password), pid, entry }
      })
  )
  // The first start may have to install the server.
  const first = await Effect.runPromise(Scope.extend(start, scope))
  if (wanted !== "local" && !`${first.kind}-${first.version}`.toLowerCase().startsWith(`${wanted}.`)) {
    throw new Error(`TEST_SERVER is ${wanted}, and the tests would run on ${first.kind} ${first.version}`)
  }
  console.log(
    `The database tests run on ${first.kind} ${first.version}${proxy === undefined ? "" : `, through ${proxy}`}`
  )
  const more = first.pid === undefined ? 0 : Number(config.maxWorkers ?? 1) - 1
  const others = await Effect.runPromise(Scope.extend(Effect.all(Array.from({ length: more }, () => start)), scope))
  provide("mysql", [first, ...others])
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
