/** Two MySQL servers, of which the second replicates the first semi-synchronously, and HAProxy in front of them. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { make as makeMysql } from "../src/local/internal/mysql.ts"
import type { Command } from "../src/local/internal/process.ts"
import { binaries, installed } from "../src/local/internal/servers.ts"
import { adminOn, type Row } from "../test/support/db/admin.ts"
import { haproxy, tellHaproxy } from "../test/support/db/realProxies.ts"
import type { TestMysql } from "../test/support/globalSetup.ts"

export interface Pair {
  /** Of the proxy: the account that both servers have. */
  readonly url: (database: string) => string
  readonly first: TestMysql
  readonly second: TestMysql
  /** Runs one statement as an administrator, past the proxy. */
  readonly onFirst: (sql: string) => Effect.Effect<ReadonlyArray<Row>>
  readonly onSecond: (sql: string) => Effect.Effect<ReadonlyArray<Row>>
  /** New connections are refused. `cut`: those that are open are ended, too. */
  readonly fence: (cut: boolean) => Effect.Effect<void>
  /** Carries out what the second server has received, and lets it accept writes. */
  readonly promote: Effect.Effect<void>
  /** New connections go to the second server. */
  readonly admitSecond: Effect.Effect<void>
}

/** A server that can be the source of another, and its replica. */
const server = (id: number): Effect.Effect<TestMysql, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const source = Effect.map(installed(binaries), (recipe) => ({
      ...recipe,
      serve: (folder: string, port: number): Command => {
        const { args, command } = recipe.serve(folder, port)
        return {
          command,
          args: [
            ...args.filter((arg) => arg !== "--skip-log-bin"),
            `--server-id=${id}`,
            "--log-bin=binlog",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            // To become read-only, the server waits for statements that may wait for rows of transactions that wait for it.
            "--innodb-lock-wait-timeout=2"
          ]
        }
      }
    }))
    const mysql = yield* Effect.withConfigProvider(makeMysql([source]), ConfigProvider.fromMap(new Map()))
    const { host, password, pid, port, server: { kind }, user } = mysql
    if (kind !== "MySQL") return yield* Effect.dieMessage("this program needs MySQL: set TEST_SERVER=mysql-9.7")
    // A stopped process would not notice that it is asked to end.
    yield* Effect.addFinalizer(() => Effect.ignore(Effect.try(() => process.kill(pid!, "SIGCONT"))))
    return { kind, host, port, user, password: Redacted.value(password), pid, entry: { host, port } }
  })

export const pair: Effect.Effect<Pair, unknown, Scope.Scope> = Effect.gen(function*() {
  const [first, second] = yield* Effect.all([server(1), server(2)], { concurrency: 2 })
  const [onFirst, onSecond] = [adminOn(first), adminOn(second)]
  const run = (on: typeof onFirst, ...statements: ReadonlyArray<string>) =>
    Effect.forEach(statements, (sql) => on(sql), { discard: true })
  yield* run(
    onFirst,
    "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
    "RESET BINARY LOGS AND GTIDS"
  )
  yield* run(
    onSecond,
    "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
    "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
    "SET GLOBAL super_read_only = ON",
    "RESET BINARY LOGS AND GTIDS",
    `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '${first.host}', SOURCE_PORT = ${first.port}, SOURCE_USER = '${first.user}',
      SOURCE_PASSWORD = '${first.password}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1`,
    "START REPLICA"
  )
  yield* run(
    onFirst,
    // It never falls back to reporting commits that the replica does not have.
    "SET GLOBAL rpl_semi_sync_source_timeout = 4000000000",
    "SET GLOBAL rpl_semi_sync_source_enabled = ON",
    "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'",
    "GRANT ALL ON *.* TO app@'127.0.0.1'",
    // Its owner may write to a server that is read_only.
    "REVOKE SUPER, CONNECTION_ADMIN ON *.* FROM app@'127.0.0.1'"
  )
  const proxy = yield* haproxy([first, second])
  const tell = (command: string) =>
    Effect.flatMap(
      tellHaproxy(proxy, command),
      (answer) => answer === "" ? Effect.void : Effect.dieMessage(`HAProxy: ${answer}`)
    )
  yield* tell("disable server databases/db1")
  return {
    // The servers have no TLS for their clients, and the second has never seen them before.
    url: (database) => `mysql://app:app@${proxy.host}:${proxy.port}/${database}?allow-public-key-retrieval=true`,
    first,
    second,
    onFirst,
    onSecond,
    fence: (cut) =>
      Effect.zipRight(
        tell("disable server databases/db0"),
        cut ? tell("shutdown sessions server databases/db0") : Effect.void
      ),
    promote: Effect.gen(function*() {
      yield* run(onSecond, "STOP REPLICA IO_THREAD")
      const [status] = yield* onSecond("SHOW REPLICA STATUS")
      const [applied] = yield* onSecond(
        `SELECT WAIT_FOR_EXECUTED_GTID_SET('${status!["Retrieved_Gtid_Set"]}', 30) AS timedOut`
      )
      if (Number(applied!["timedOut"]) !== 0) return yield* Effect.dieMessage("the replica does not get done")
      yield* run(
        onSecond,
        "STOP REPLICA",
        "RESET REPLICA ALL",
        "SET GLOBAL super_read_only = OFF",
        "SET GLOBAL read_only = OFF"
      )
    }),
    admitSecond: tell("enable server databases/db1")
  }
})
