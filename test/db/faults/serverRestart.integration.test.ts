/** FACTS of trusted pools: the faults of a server that is stopped, killed, restarted, full or read-only. Numbered as there. */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { createConnection } from "mysql2/promise"
import { MainDb } from "../../../src/db/Database.ts"
import { PrivateServer } from "../../support/db/privateServer.ts"
import {
  eventually,
  healthy,
  layerOf,
  onStage,
  type Options,
  type Stage,
  timed,
  withDatabase
} from "../../support/db/stage.ts"

const connectionId = MainDb.use((sql) => sql<{ id: number }>`SELECT CONNECTION_ID() AS id`).pipe(
  Effect.map(([row]) => row!.id)
)

/** Users without SUPER, so that limits and read_only hold for them. */
const plainUser = (stage: Stage, limits = "") =>
  Effect.acquireRelease(
    stage.admin(`CREATE USER ${stage.database}@'127.0.0.1' IDENTIFIED BY 'plain' ${limits}`).pipe(
      Effect.zipRight(stage.admin(`GRANT ALL ON ${stage.database}.* TO ${stage.database}@'127.0.0.1'`)),
      Effect.as(
        (url: string): string => {
          const changed = new URL(url)
          changed.username = stage.database
          changed.password = "plain"
          return changed.href
        }
      )
    ),
    () => stage.admin(`DROP USER ${stage.database}@'127.0.0.1'`)
  )

layer(PrivateServer.layer, { excludeTestServices: true })("a server of one's own", (it) => {
  type Server = PrivateServer["Type"]
  const fault = (
    name: string,
    options: Options,
    body: (server: Server, stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
  ) =>
    it.effect(
      name,
      () => Effect.flatMap(PrivateServer, (server) => withDatabase(server.at, options, (stage) => body(server, stage)))
    )

  describe("restarted", () => {
    fault(
      "1 restart while idle: the next statements work",
      { poolPrePingSkip: "1 minute" },
      (server) =>
        Effect.gen(function*() {
          yield* Effect.all(Effect.replicate(MainDb.use((sql) => sql`SELECT SLEEP(0.05)`), 4), { concurrency: 4 })
          expect((yield* MainDb.stats).idle).toBe(4)
          yield* server.kill
          yield* eventually(
            Effect.map(MainDb.stats, ({ idle, size }) => expect({ idle, size }).toEqual({ idle: 0, size: 0 }))
          )
          yield* server.start
          yield* Effect.all(Effect.replicate(MainDb.use((sql) => sql`SELECT 1`), 20), { concurrency: 20 })
        })
    )

    fault("1 restart while idle and while nobody looked: transactions work", {}, (server) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* server.kill
        yield* server.start
        yield* MainDb.withTransaction(MainDb.use((sql) => sql`SELECT 1`))
      }))

    fault(
      "2 restart mid-query: a typed error at once, in and out of transactions",
      {},
      (server) =>
        Effect.gen(function*() {
          const plain = yield* Effect.fork(Effect.flip(MainDb.use((sql) => sql`SELECT SLEEP(6)`)))
          const inTransaction = yield* Effect.fork(
            Effect.flip(MainDb.withTransaction(MainDb.use((sql) => sql`SELECT SLEEP(6)`)))
          )
          yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(2)))
          yield* Effect.sleep("100 millis")
          yield* server.kill
          const [errors, took] = yield* timed(Fiber.join(Fiber.zip(plain, inTransaction)))
          for (const error of errors) expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
          expect(took).toBeLessThan(1_100)
          yield* server.start
        })
    )

    fault("2 a restart during an outage: waiters are served when the server is back", {
      poolTimeout: "10 seconds",
      connectTimeout: "8 seconds"
    }, (server) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* server.kill
        yield* eventually(Effect.map(MainDb.stats, ({ size }) => expect(size).toBe(0)))
        const waiters = yield* Effect.fork(
          Effect.all(Effect.replicate(connectionId, 10), { concurrency: 10 })
        )
        yield* Effect.sleep("100 millis")
        yield* server.start
        expect(yield* Fiber.join(waiters)).toHaveLength(10)
      }))

    fault(
      "1 restart while idle, met only at BEGIN: retries cover it",
      { poolPrePing: false },
      (_, stage) =>
        Effect.gen(function*() {
          yield* connectionId
          yield* stage.proxy.trap("BEGIN", "reset")
          expect(yield* Effect.flip(MainDb.withTransaction(connectionId))).toMatchObject({ reason: "ConnectionLost" })
          yield* stage.proxy.trap("BEGIN", "reset")
          yield* MainDb.withTransaction(connectionId, { retries: 1 })
        })
    )
  })

  describe("stopped", () => {
    const stopped = (server: Server): Effect.Effect<void, never, Scope.Scope> =>
      Effect.acquireRelease(server.stop, () => server.resume)

    fault(
      "3 stopped before the ping: the waiter's deadline holds",
      { poolPrePingSkip: 0, poolTimeout: 500 },
      (server) =>
        Effect.gen(function*() {
          yield* connectionId
          yield* Effect.scoped(Effect.gen(function*() {
            yield* stopped(server)
            const [error, took] = yield* timed(Effect.flip(connectionId))
            expect(error).toMatchObject({ reason: "PoolTimeout" })
            expect(took).toBeLessThan(1_250)
          }))
        })
    )

    fault("3 stopped before the ping: silence does not cost each elder a deadline", {
      poolPrePingSkip: 0,
      poolTimeout: "4 seconds"
    }, (server) =>
      Effect.gen(function*() {
        yield* Effect.all(Effect.replicate(MainDb.use((sql) => sql`SELECT SLEEP(0.05)`), 4), { concurrency: 4 })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* stopped(server)
          const [error, took] = yield* timed(Effect.flip(connectionId))
          // One ping of a second and one dial of 400 milliseconds.
          expect(error).toMatchObject({ reason: "ConnectTimeout", retryable: true })
          expect(took).toBeLessThan(2_400)
          expect((yield* MainDb.stats).idle).toBe(0)
        }))
      }))

    fault(
      "4 stopped mid-query: a timeout comes back, and the connection is cut",
      {},
      (server) =>
        Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            const running = yield* Effect.fork(
              timed(MainDb.use((sql) => sql`SELECT SLEEP(2)`).pipe(Effect.timeout("300 millis"), Effect.exit))
            )
            yield* Effect.sleep("100 millis")
            yield* stopped(server)
            const [exit, took] = yield* Fiber.join(running)
            expect(Exit.isFailure(exit)).toBe(true)
            // The timeout, and a second for the KILL that nobody answers.
            expect(took).toBeLessThan(2_100)
            expect(yield* MainDb.stats).toMatchObject({ active: 0, discarded: { broken: 1 } })
          }))
        })
    )

    fault(
      "4 stopped mid-transaction: bounded, and the body's error is kept",
      {},
      (server) =>
        Effect.scoped(Effect.gen(function*() {
          const [error, took] = yield* timed(Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
            yield* connectionId
            yield* stopped(server)
            return yield* Effect.fail("the body's own")
          }))))
          expect(error).toBe("the body's own")
          expect(took).toBeLessThan(2_500)
        }))
    )
  })

  describe("full", () => {
    it.effect("11 too many connections: waits for a place, and the error of the deadline says why", () =>
      Effect.flatMap(PrivateServer, (server) =>
        onStage(server.at, (stage) =>
          Effect.gen(function*() {
            const as = yield* plainUser(stage)
            const crowd: Array<() => Promise<void>> = []
            yield* Effect.acquireRelease(
              stage.admin("SET GLOBAL max_connections = 10"),
              () => stage.admin("SET GLOBAL max_connections = 500")
            )
            yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all(crowd.map((leave) => leave()))))
            for (let i = 0; i < 10; i++) {
              const connection = yield* Effect.promise(() => createConnection(as(stage.direct)))
              crowd.push(() => connection.end())
            }
            yield* Effect.scoped(Effect.gen(function*() {
              const body = Effect.gen(function*() {
                const error = yield* Effect.flip(connectionId)
                expect(error).toMatchObject({
                  reason: "PoolTimeout",
                  cause: { reason: "TooManyConnections", errno: 1040 }
                })
                expect((yield* stage.proxy.accepted).length).toBeLessThan(20)
                const waiter = yield* Effect.fork(connectionId)
                yield* Effect.sleep("100 millis")
                yield* Effect.promise(() => crowd.pop()!())
                expect(yield* Fiber.join(waiter)).toBeGreaterThan(0)
              })
              yield* Effect.provide(body, layerOf(as(stage.url), { poolTimeout: "800 millis" }))
            }))
          }))))
  })

  describe("ending idle connections", () => {
    fault("21 KILL while idle: nobody notices", { poolPrePingSkip: "1 minute" }, (_, stage) =>
      Effect.gen(function*() {
        const id = yield* connectionId
        yield* stage.admin(`KILL ${id}`)
        yield* eventually(Effect.map(MainDb.stats, ({ size }) => expect(size).toBe(0)))
        expect(yield* connectionId).not.toBe(id)
      }))

    it.effect("21 wait_timeout: nobody notices", () =>
      Effect.flatMap(PrivateServer, (server) =>
        onStage(server.at, (stage) =>
          Effect.gen(function*() {
            yield* Effect.acquireRelease(
              stage.admin("SET GLOBAL wait_timeout = 1"),
              () => stage.admin("SET GLOBAL wait_timeout = 28800")
            )
            yield* Effect.provide(
              Effect.gen(function*() {
                const id = yield* connectionId
                yield* Effect.sleep("1500 millis")
                const [other] = yield* timed(connectionId)
                expect(other).not.toBe(id)
                expect((yield* MainDb.stats).discarded.broken).toBe(1)
              }),
              layerOf(stage.url)
            )
          }))))
  })

  describe("with other defaults than ours", () => {
    it.effect("20 the character set and the time zone of the session outlive its reset", () =>
      Effect.flatMap(PrivateServer, (server) =>
        onStage(server.at, (stage) =>
          Effect.gen(function*() {
            const set = (charset: string, zone: string) =>
              Effect.forEach(
                [
                  ...["client", "connection", "results"].map((which) => `character_set_${which} = ${charset}`),
                  `time_zone = '${zone}'`
                ],
                (assignment) => stage.admin(`SET GLOBAL ${assignment}`)
              )
            yield* Effect.acquireRelease(set("latin1", "+05:00"), () => set("utf8mb4", "SYSTEM"))
            const look = MainDb.use((sql) =>
              sql`SELECT ${"🧪"} AS emoji, @@time_zone AS zone, @@tx_isolation AS isolation, DATABASE() AS name`
            )
            yield* Effect.provide(
              Effect.gen(function*() {
                const fresh = yield* look
                expect(fresh).toEqual([
                  { emoji: "🧪", zone: "+00:00", isolation: "READ-COMMITTED", name: stage.database }
                ])
                yield* MainDb.use((sql) => sql`SET @v = 1`)
                expect(yield* look).toEqual(fresh)
                expect((yield* MainDb.stats).opened).toBe(1)
              }),
              layerOf(stage.url)
            )
          }))))
  })

  describe("failed over", () => {
    it.effect("27 fail-over to read-only: a typed error, and every older connection goes", () =>
      Effect.flatMap(PrivateServer, (server) =>
        onStage(server.at, (stage) =>
          Effect.gen(function*() {
            const as = yield* plainUser(stage)
            yield* stage.admin(`CREATE TABLE ${stage.database}.t (id INT PRIMARY KEY)`)
            yield* Effect.provide(
              Effect.gen(function*() {
                yield* Effect.all(Effect.replicate(MainDb.use((sql) => sql`SELECT SLEEP(0.05)`), 3), { concurrency: 3 })
                expect((yield* MainDb.stats).opened).toBe(3)
                yield* Effect.scoped(Effect.gen(function*() {
                  yield* Effect.acquireRelease(
                    stage.admin("SET GLOBAL read_only = 1"),
                    () => stage.admin("SET GLOBAL read_only = 0")
                  )
                  const error = yield* Effect.flip(MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`))
                  expect(error).toMatchObject({ reason: "ReadOnlyServer", errno: 1290, retryable: true })
                  expect(yield* MainDb.stats).toMatchObject({ size: 0, discarded: { invalidated: 2, broken: 1 } })
                }))
                yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`)
                yield* healthy
              }),
              layerOf(as(stage.url))
            )
          }))))

    it.effect("27 fail-over mid-transaction: nothing is half done, and retries repeat the whole", () =>
      Effect.flatMap(PrivateServer, (server) =>
        onStage(server.at, (stage) =>
          Effect.gen(function*() {
            const as = yield* plainUser(stage)
            yield* stage.admin(`CREATE TABLE ${stage.database}.t (id INT PRIMARY KEY)`)
            yield* Effect.provide(
              Effect.gen(function*() {
                let attempts = 0
                yield* stage.admin("SET GLOBAL read_only = 1")
                yield* Effect.addFinalizer(() => stage.admin("SET GLOBAL read_only = 0"))
                yield* MainDb.withTransaction(
                  Effect.gen(function*() {
                    if (++attempts === 2) yield* stage.admin("SET GLOBAL read_only = 0")
                    yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`)
                    yield* MainDb.use((sql) => sql`INSERT INTO t VALUES (2)`)
                  }),
                  { retries: 2 }
                )
                expect(attempts).toBe(2)
              }),
              layerOf(as(stage.url))
            )
            expect(yield* stage.admin(`SELECT id FROM ${stage.database}.t`)).toHaveLength(2)
          }))))
  })
})
