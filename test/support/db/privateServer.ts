/** A server that one test file has for itself, and can stop, kill and start again. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { make as makeMysql } from "../../../src/local/internal/mysql.ts"
import { facts, watch } from "../../../src/local/internal/process.ts"
import type { TestMysql } from "../globalSetup.ts"
import { adminOn } from "./admin.ts"

export interface Controls {
  readonly at: TestMysql
  /** SIGSTOP: it accepts connections (the kernel does) and answers nothing. It has stopped when this returns. */
  readonly stop: Effect.Effect<void>
  /** SIGCONT. */
  readonly resume: Effect.Effect<void>
  /** SIGKILL, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
  /** Starts it again, on the same port and data. Ready when it returns. */
  readonly start: Effect.Effect<void>
}

export class PrivateServer extends Context.Tag("test/PrivateServer")<PrivateServer, Controls>() {
  static readonly layer: Layer.Layer<PrivateServer> = Layer.scoped(
    PrivateServer,
    Effect.suspend(() => Effect.orDie(make))
  )
}

const make = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const mysql = yield* Effect.withConfigProvider(makeMysql(), ConfigProvider.fromMap(new Map()))
  const folder = dirname(mysql.datadir!)
  const [command, ...args] = readFileSync(`/proc/${mysql.pid}/cmdline`, "utf8").split("\0").filter((arg) => arg !== "")
  const at: TestMysql = {
    kind: mysql.server.kind,
    host: mysql.host,
    port: mysql.port,
    user: mysql.user,
    password: Redacted.value(mysql.password),
    pid: mysql.pid,
    entry: { host: mysql.host, port: mysql.port }
  }
  let pid = mysql.pid!
  const signal = (name: NodeJS.Signals): Effect.Effect<void> => Effect.sync(() => void process.kill(pid, name))
  const gone = Effect.map(Effect.suspend(() => facts(pid)), ({ _tag }) => _tag === "None").pipe(
    Effect.repeat({ until: (ended) => ended, schedule: Schedule.spaced("10 millis") })
  )
  // The signal does not act at once: each thread stops when the kernel next schedules it.
  const stopped = Effect.sync(() =>
    readdirSync(`/proc/${pid}/task`).every((task) => / T /.test(readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8")))
  ).pipe(Effect.repeat({ until: (all) => all, schedule: Schedule.spaced("2 millis") }))
  const ready = adminOn(at)("SELECT 1").pipe(
    Effect.catchAllDefect(() => Effect.fail("not yet")),
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.orDie
  )
  // A stopped process would not notice that it is asked to end.
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.try(() => process.kill(pid, "SIGCONT"))))
  return {
    at,
    stop: Effect.zipRight(signal("SIGSTOP"), Effect.asVoid(stopped)),
    resume: signal("SIGCONT"),
    kill: Effect.zipRight(signal("SIGKILL"), Effect.asVoid(gone)),
    start: Effect.gen(function*() {
      writeFileSync(join(folder, "stdin"), "")
      // The first start has written the accounts into its tables.
      const again = args.filter((arg) => !arg.startsWith("--init-file="))
      yield* Scope.extend(watch(folder, { command: command!, args: again }), scope)
      yield* ready
      pid = Number(readFileSync(join(folder, "server.pid"), "utf8"))
    })
  } satisfies Controls
})
