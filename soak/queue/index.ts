/**
 * `npm run soak -- --queue [--messages N]`: messages flow from transactions through an outbox and two queues, a standard and a
 * FIFO one, to workers with an inbox, while producer, relays and workers are killed (SIGKILL) at random moments and started
 * again, and connections of the database are killed. At the end each message of a commit had effect once, none of a
 * rollback had any, those of a FIFO group had it in order, and nothing is left in the outbox or in a queue.
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { useTestServer } from "../../scripts/servers/programs.ts"
import { MainDb } from "../../src/db/Database.ts"
import * as Inbox from "../../src/Inbox.ts"
import { Outbox } from "../../src/Outbox.ts"
import { adminOn } from "../../test/support/db/admin.ts"
import { PrivateServer } from "../../test/support/db/privateServer.ts"
import { Unsound } from "../unsound.ts"
import { audit, count, read } from "./audit.ts"
import * as Children from "./children.ts"
import { DATABASE, tables } from "./model.ts"
import { queues } from "./sqs.ts"

const RELAYS = 2
const WORKERS = 3

/** Messages for each kill, on average. The start of a process is as much work for the processor as 50 messages are. */
const MOST_PER_KILL = 80
const FEWEST_KILLS = 25

/** The longest time without an effect, or until all is quiet after the last one. In milliseconds. */
const PATIENCE = 60_000

const program = (messages: number) =>
  Effect.gen(function*() {
    const began = performance.now()
    const server = yield* PrivateServer
    const admin = adminOn(server.at)
    const [version] = yield* admin("SELECT VERSION() AS version")
    const url = `mysql://${server.at.user}:${server.at.password}@${server.at.host}:${server.at.port}/${DATABASE}`
    yield* admin(`CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4`)
    yield* Effect.forEach(tables, (sql) => admin(sql, { database: DATABASE }), { discard: true })
    yield* Effect.all([
      MainDb.migrate(Outbox.migrations, { table: "outbox_migrations" }),
      MainDb.migrate(Inbox.migrations, { table: "inbox_migrations" })
    ]).pipe(Effect.provide(MainDb.layerConfig(Config.succeed({ url: Redacted.make(url) }))))
    const sqs = yield* queues
    const children = yield* Children.make({
      ...sqs.environment,
      MAIN_DB_URL: url,
      MAIN_DB_POOL_SIZE: "8",
      SOAK_MESSAGES: String(messages)
    })
    console.log(`on ${server.at.kind} ${version!["version"]}: ${messages} messages`)
    const started = performance.now()

    const all = yield* Effect.fork(Effect.all([
      children.keep("producer", 1),
      children.keep("relay", RELAYS),
      children.keep("worker", WORKERS)
    ], { concurrency: "unbounded", discard: true }))

    let cut = 0
    const killConnection = Effect.gen(function*() {
      const threads = yield* admin(`SELECT ID AS id FROM information_schema.PROCESSLIST WHERE DB = '${DATABASE}'`)
      const thread = threads[yield* Random.nextIntBetween(0, Math.max(1, threads.length))]
      if (thread === undefined) return
      // The thread may have ended by itself.
      yield* Effect.ignore(Effect.sandbox(admin(`KILL CONNECTION ${thread["id"]}`)))
      cut++
    })
    // By messages rather than by time: on a machine that is slow or busy, nothing but starts would be done.
    const every = Math.min(MOST_PER_KILL, messages / FEWEST_KILLS)
    const killing = yield* Effect.fork(Effect.forever(Effect.gen(function*() {
      const enough = children.counts.delivered + (yield* Random.nextIntBetween(0, 2 * every))
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 500)).pipe(
        Effect.repeat({ until: () => children.counts.delivered >= enough })
      )
      yield* children.kill((yield* Random.next) < 0.2)
    })))
    const cutting = yield* Effect.fork(Effect.forever(
      Effect.zipRight(Effect.flatMap(Random.nextIntBetween(200, 3_000), Effect.sleep), killConnection)
    ))
    const progress = Effect.gen(function*() {
      const [orders, unsent, effects] = yield* Effect.all(
        ["orders", "outbox", "effects"].map((table) => count(admin, table))
      )
      const { messages: queued } = yield* sqs.count
      const seconds = Math.round((performance.now() - started) / 1_000)
      console.log(
        `${seconds} s: ${orders} orders, ${unsent} of them in the outbox, ${queued} queued, ${effects} effects`
      )
    })
    yield* Effect.fork(Effect.forever(Effect.delay(progress, "20 seconds")))

    const handled = Effect.gen(function*() {
      let [last, at] = [-1, performance.now()]
      for (;;) {
        yield* Effect.sleep("500 millis")
        const effects = yield* count(admin, "effects")
        if (effects !== last) [last, at] = [effects, performance.now()]
        if (effects >= messages && (yield* count(admin, "orders")) >= messages) return
        if (performance.now() - at > PATIENCE) return
      }
    })
    const quiet = Effect.gen(function*() {
      const at = performance.now()
      for (let times = 0; times < 3 && performance.now() - at < PATIENCE;) {
        yield* Effect.sleep("500 millis")
        times = (yield* count(admin, "outbox")) + (yield* sqs.count).messages === 0 ? times + 1 : 0
      }
    })
    // It fails if a process ends by itself, and so does what waits.
    yield* Effect.raceFirst(
      Effect.gen(function*() {
        yield* handled
        yield* Fiber.interruptAll([killing, cutting])
        yield* quiet
      }),
      Effect.zipRight(Fiber.join(all), Effect.never)
    )
    const seconds = (performance.now() - started) / 1_000
    yield* children.stop
    const ended = yield* Effect.exit(Effect.timeout(Fiber.join(all), "15 seconds"))

    const { dead, messages: queued } = yield* sqs.count
    const found = { ...yield* read(admin), queued, dead }
    const { kills, delivered, logged, notStarted, swallowed, "rolled back": rolledBack } = children.counts
    const again = delivered - found.effects.length
    console.log(
      `${found.effects.length} effects of ${found.orders.length} orders in ${
        seconds.toFixed(1)
      } s: ${delivered} deliveries, `
        + `${again} of them again, ${swallowed} swallowed as duplicates; ${rolledBack} transactions rolled back on purpose`
    )
    console.log(
      `killed: ${kills.worker} workers, ${kills.relay} relays, ${kills.producer} producers, ${cut} connections; `
        + `${notStarted} processes did not get the database at their start`
    )
    const findings = [...audit(found, messages)]
    if (ended._tag === "Failure") findings.push(`not all processes end when asked: ${Cause.pretty(ended.cause)}`)
    const few = kills.worker === 0 || kills.relay === 0 || cut === 0 || rolledBack === 0
    // In a short run it can happen that no worker dies between its commit and its acknowledgement.
    if (few || (swallowed === 0 && messages >= 5_000)) {
      findings.push("too little has happened for this run to prove anything")
    }
    if (findings.length > 0) {
      for (const [text, n] of [...logged].sort(([, a], [, b]) => b - a).slice(0, 40)) console.log(`${n} × ${text}`)
      return yield* new Unsound({ findings })
    }
    console.log(
      `each had its effect once and in order, and nothing is left (${
        Math.round((performance.now() - began) / 1_000)
      } s in all)`
    )
  })

export const queue = (messages: number): Effect.Effect<void, unknown> =>
  Effect.scoped(Effect.zipRight(useTestServer, Effect.provide(program(messages), PrivateServer.layer)))
