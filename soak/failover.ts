/**
 * `npm run soak:failover`: writers at work while the first of two MySQL servers is stopped (SIGSTOP), killed (SIGKILL) or made
 * read-only, and the second promoted. Afterwards the books must balance on the second: what was reported as committed is
 * there, what was reported as failed is not; every failure was a DatabaseError; and each writer has committed again within
 * the connect timeout and two seconds. `-- kill` runs one of the three.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { useTestServer } from "../scripts/servers/programs.ts"
import { MainDb } from "../src/db/Database.ts"
import { audit, type Entry, prepare, read, summary } from "./books.ts"
import { type Pair, pair } from "./replicas.ts"
import { Unsound } from "./unsound.ts"
import { transfer } from "./workload.ts"

const WRITERS = 20
const CONNECT_TIMEOUT = Duration.seconds(1)
const LIMIT = Duration.toMillis(CONNECT_TIMEOUT) + 2_000

/** Waits until the first server has failed to answer twice, each time for half a second. */
const noticed = ({ onFirst }: Pair): Effect.Effect<void> =>
  Effect.exit(Effect.timeout(Effect.sandbox(onFirst("SELECT 1")), "500 millis")).pipe(
    Effect.delay("200 millis"),
    Effect.repeat({ until: ({ _tag }) => _tag === "Failure" }),
    Effect.repeatN(1),
    Effect.asVoid
  )

/** What happens to the first server, up to the moment when the second may be promoted. */
const kinds: Readonly<Record<string, (pair: Pair) => Effect.Effect<void>>> = {
  stop: (pair) =>
    Effect.sync(() => void process.kill(pair.first.pid!, "SIGSTOP")).pipe(
      Effect.zipRight(noticed(pair)),
      Effect.zipRight(pair.fence(true))
    ),
  kill: (pair) =>
    Effect.sync(() => void process.kill(pair.first.pid!, "SIGKILL")).pipe(
      Effect.zipRight(noticed(pair)),
      Effect.zipRight(pair.fence(true))
    ),
  // Connections that are open stay open, on a server that has become read-only: our layer has to leave it by itself.
  "read-only": (pair) =>
    Effect.gen(function*() {
      yield* pair.onFirst("SET GLOBAL super_read_only = ON")
      const [row] = yield* pair.onFirst("SELECT @@gtid_executed AS executed")
      yield* pair.onSecond(`SELECT WAIT_FOR_EXECUTED_GTID_SET('${row!["executed"]}', 30)`)
      yield* pair.fence(false)
    })
}

const run = (kind: string) =>
  Effect.gen(function*() {
    const servers = yield* pair
    yield* prepare(servers.onFirst, "main")
    const [version] = yield* servers.onSecond("SELECT VERSION() AS version")
    const ledgers = Array.from({ length: WRITERS }, (): Array<Entry> => [])
    const back = new Map<number, number>()
    let admitted: number | undefined
    const writer = (ledger: Array<Entry>, index: number) =>
      Effect.forever(Effect.tap(transfer(MainDb, ledger), () =>
        Effect.sync(() => {
          if (admitted === undefined || back.has(index) || ledger.at(-1)?.told !== "committed") return
          back.set(index, performance.now() - admitted)
        })))
    const failed = yield* Effect.gen(function*() {
      const writers = yield* Effect.fork(Effect.forEach(ledgers, writer, { concurrency: "unbounded", discard: true }))
      yield* Effect.sleep("3 seconds")
      const failed = performance.now()
      yield* kinds[kind]!(servers)
      yield* servers.promote
      yield* servers.admitSecond
      admitted = performance.now()
      yield* Effect.raceFirst(Effect.sleep("6 seconds"), Fiber.join(writers))
      yield* Fiber.interrupt(writers)
      return failed
    }).pipe(Effect.provide(MainDb.layerConfig(Config.succeed({
      url: Redacted.make(servers.url("main")),
      poolSize: 10,
      maxOverflow: 5,
      poolTimeout: Duration.seconds(5),
      connectTimeout: CONNECT_TIMEOUT
    }))))

    const found = yield* read(servers.onSecond, "main")
    const entries = ledgers.flat()
    const findings = [...audit("main", entries, found)]
    const times = ledgers.map((_, index) => back.get(index) ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
    const slow = times.filter((millis) => millis > LIMIT)
    if (slow.length > 0) {
      findings.push(`${slow.length} writers had not committed again after ${LIMIT} ms: ${slow.join(", ")}`)
    }
    if (kind === "read-only") {
      const [row] = yield* servers.onFirst("SELECT @@gtid_executed AS executed")
      const [lost] = yield* servers.onSecond(`SELECT GTID_SUBTRACT('${row!["executed"]}', @@gtid_executed) AS gtids`)
      if (lost!["gtids"] !== "") findings.push(`the first server has commits of its own: ${lost!["gtids"]}`)
    }
    console.log(
      `\n${kind} (MySQL ${version!["version"]}): the second server was there ${
        Math.round(admitted! - failed)
      } ms after the failure; ${WRITERS} writers committed again ${Math.round(times[0]!)} to ${
        Math.round(times.at(-1)!)
      } ms after that (allowed: ${LIMIT})\n${summary("main", entries, found)}`
    )
    return findings
  }).pipe(Effect.scoped)

const asked = process.argv.slice(2)
const chosen = Object.keys(kinds).filter((kind) => asked.length === 0 || asked.includes(kind))
if (chosen.length === 0) {
  console.error(`usage: npm run soak:failover [-- ${Object.keys(kinds).join(" | ")}]`)
  process.exit(2)
}

const program = Effect.gen(function*() {
  process.env["TEST_SERVER"] ??= "mysql-9.7"
  yield* useTestServer
  const findings = yield* Effect.forEach(chosen, run)
  if (findings.flat().length > 0) return yield* new Unsound({ findings: findings.flat() })
  console.log("\nnothing that was reported as committed is missing, and nothing else is there")
})

NodeRuntime.runMain(program)
