/** Opening a client, its pool, and what its spans say. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { createHook } from "node:async_hooks"
import { connectionIdOf } from "../../support/db/connectionId.ts"
import { lastSeen } from "../../support/eventually.ts"
import { recordingTracer } from "../../support/recordingTracer.ts"
import { atLeast, below, endOf, howOf, open, place, type Row } from "./subject.ts"

/** How many timers keep the process alive, of those set after this began. */
const timersFromNow = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const alive = new Map<number, NodeJS.Timeout>()
      const hook = createHook({
        init: (id, type, _trigger, resource) => {
          if (type === "Timeout") alive.set(id, resource as NodeJS.Timeout)
        },
        destroy: (id) => {
          alive.delete(id)
        }
      })
      return { alive, hook: hook.enable() }
    }),
    ({ hook }) => Effect.sync(() => hook.disable())
  ),
  ({ alive }) =>
    // A timer that is firing right now, ours for example, counts until its callback has returned.
    Effect.promise(() => new Promise(setImmediate)).pipe(
      Effect.map(() => [...alive.values()].filter((timer) => timer.hasRef()).length)
    )
)

export const pool: ReadonlyArray<Row> = [
  {
    defect: "the connect timeout does not hold where a server accepts and says nothing",
    observe: (subject) =>
      Effect.gen(function*() {
        const { proxy, url } = yield* place
        yield* proxy.welcome("silent")
        const { connectTimeout } = subject
        const { how, took } = yield* endOf(Effect.scoped(subject.make({ url, plain: true, connectTimeout })), 20_000)
        return { how, late: took - connectTimeout }
      }),
    sound: { how: "failure", late: below(700) }
  },
  {
    defect: "a client that could not be opened leaves something behind that keeps the process alive",
    observe: (subject) =>
      Effect.gen(function*() {
        const { proxy, url } = yield* place
        yield* proxy.welcome("reset")
        const timers = yield* timersFromNow
        const how = yield* howOf(Effect.scoped(subject.make({ url, plain: true, connectTimeout: 300 })), 20_000)
        return {
          how,
          timers: yield* lastSeen(timers, (count) => count === 0),
          sockets: yield* lastSeen(proxy.open, (count) => count === 0)
        }
      }),
    sound: { how: "failure", timers: 0, sockets: 0 }
  },
  {
    defect: "a client opened by its URL says in its spans that it talks to localhost:3306",
    observe: (subject) =>
      Effect.gen(function*() {
        const { database, proxy, sql } = yield* open(subject, { byUrl: true })
        const { spans, tracer } = recordingTracer()
        yield* Effect.withTracer(sql`SELECT 1`, tracer)
        const seen = spans.findLast(({ name }) => name === "sql.execute")?.attributes
        return {
          address: seen?.get("server.address") === proxy.host,
          port: seen?.get("server.port") === proxy.port,
          namespace: seen?.get("db.namespace") === database
        }
      }),
    sound: { address: true, port: true, namespace: true }
  },
  {
    defect: "a client opened by its URL takes no other option: dates cannot be had as text, microseconds are cut off",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject, { byUrl: true, datesAsText: true })
        return yield* sql`SELECT TIMESTAMP'2024-03-31 02:30:00.123456' AS at, DATE'2024-03-31' AS day`
      }),
    sound: [{ at: "2024-03-31 02:30:00.123456", day: "2024-03-31" }]
  },
  {
    defect: "idle connections are not kept",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql, threads } = yield* open(subject, { connections: 5, plain: true })
        yield* Effect.all([1, 2, 3].map(() => sql`SELECT SLEEP(0.2)`), { concurrency: 3 })
        yield* Effect.sleep(2_500)
        return { kept: (yield* threads).length }
      }),
    sound: { kept: atLeast(3) }
  },
  {
    defect: "one text may hold several statements",
    observe: (subject) =>
      Effect.gen(function*() {
        const { ids, sql } = yield* open(subject)
        const how = yield* howOf(
          sql.unsafe("INSERT INTO records VALUES (1, 'x'); INSERT INTO records VALUES (2, 'y')").unprepared
        )
        return { how, ids: yield* ids }
      }),
    sound: { how: "failure", ids: [] }
  },
  {
    defect: "the isolation level of the connections cannot be set",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject, { isolation: "SERIALIZABLE" })
        const levels = yield* sql<{ Value: string }>`
          SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')`
        return levels.map(({ Value }) => Value)[0]
      }),
    sound: "SERIALIZABLE"
  },
  {
    defect: "connections live for ever",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject, { connections: 1, lifetime: 300 })
        const first = yield* connectionIdOf(sql)
        yield* Effect.sleep(400)
        return { renewed: (yield* connectionIdOf(sql)) !== first }
      }),
    sound: { renewed: true }
  },
  {
    defect: "an idle connection that has died is handed out without a ping",
    observe: (subject) =>
      Effect.gen(function*() {
        const { proxy, sql } = yield* open(subject, { connections: 1, pingAlways: true })
        yield* sql`SELECT 1`
        yield* proxy.halfOpen
        return { next: yield* howOf(sql`SELECT 1`) }
      }),
    sound: { next: "success" }
  },
  {
    defect: "waiting for a connection has no deadline",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject, { connections: 1, acquireTimeout: 300 })
        const held = yield* Deferred.make<void>()
        const over = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(sql.withTransaction(
          Effect.zipRight(sql`SELECT 1`, Effect.zipRight(Deferred.succeed(held, undefined), Deferred.await(over)))
        ))
        yield* Deferred.await(held)
        const { error, how, took } = yield* endOf(sql`SELECT 1`, 2_000)
        yield* Deferred.succeed(over, undefined)
        yield* Fiber.join(holder)
        return { how, error, took }
      }),
    sound: { how: "failure", error: "SqlError", took: below(1_000) }
  },
  {
    defect: "prepared statements grow without bound",
    observe: (subject) =>
      Effect.gen(function*() {
        const { sql } = yield* open(subject, { connections: 1 })
        for (let size = 1; size <= 300; size++) {
          yield* sql`SELECT id FROM records WHERE ${sql.in("id", Array.from({ length: size }, (_, i) => i))}`
        }
        const counts = yield* sql<{ Variable_name: string; Value: string }>`
          SHOW SESSION STATUS WHERE Variable_name IN ('Com_stmt_prepare', 'Com_stmt_close')`
        const [closed, prepared] = counts.toSorted((a, b) => a.Variable_name < b.Variable_name ? -1 : 1)
        return { prepared: Number(prepared!.Value), open: Number(prepared!.Value) - Number(closed!.Value) }
      }),
    sound: { prepared: atLeast(300), open: below(200) }
  }
]
