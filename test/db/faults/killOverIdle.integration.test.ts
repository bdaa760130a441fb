/** KILL QUERY goes over an idle connection of the pool: also on a server that accepts no other, and never to another server. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { createConnection } from "mysql2/promise"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultOnStage, insert, inUse, makeTable } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { layerOf, type Options, type Stage } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { timed } from "../../support/timed.ts"

const update = MainDb.use((sql) => sql`UPDATE t SET n = n + 1 WHERE id = 1`)

/** A table with one row, and who may have so many connections at most. */
const limited = (stage: Stage, connections: number) =>
  Effect.gen(function*() {
    yield* makeTable(stage)
    yield* stage.admin(`INSERT INTO ${stage.database}.t (id) VALUES (1)`)
    const as = yield* plainUser(stage)
    yield* stage.admin(`ALTER USER ${stage.database}@'127.0.0.1' WITH MAX_USER_CONNECTIONS ${connections}`)
    return as
  })

/** Holds the lock of the row, so that whoever updates it waits. */
const lockRow = (stage: Stage) =>
  Effect.gen(function*() {
    const { database, direct } = stage
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => createConnection(direct)),
      (open) => Effect.promise(() => open.end())
    )
    const query = (sql: string) => Effect.promise(() => connection.query(sql))
    yield* query("BEGIN")
    yield* query(`SELECT n FROM ${database}.t WHERE id = 1 FOR UPDATE`)
    return query("COMMIT")
  })

/** Interrupts an update that waits for the lock of its row, then lets the row go. */
const interruptUpdate = (stage: Stage) =>
  Effect.gen(function*() {
    const release = yield* lockRow(stage)
    const fiber = yield* Effect.fork(update)
    yield* eventually(Effect.map(stage.threads, (threads) => {
      expect(threads.map(({ info }) => info)).toContainEqual(expect.stringContaining("UPDATE t SET"))
    }))
    const [, took] = yield* timed(Fiber.interrupt(fiber))
    yield* release
    yield* eventually(Effect.map(stage.threads, (threads) => {
      expect(threads.filter(({ info }) => String(info).includes("UPDATE t SET"))).toEqual([])
    }))
    const [row] = yield* stage.admin(`SELECT n FROM ${stage.database}.t WHERE id = 1`)
    return { took, n: row!["n"] as number }
  })

/** Opens so many connections, which are idle then. None is reset: MariaDB does not count a connection of a user after that. */
const open = (count: number) =>
  Effect.gen(function*() {
    const all = yield* Effect.makeLatch()
    const hold = MainDb.withTransaction(Effect.zipRight(connectionId, all.await))
    yield* Effect.all([...Effect.replicate(hold, count), Effect.zipRight(inUse(count), all.open)], {
      concurrency: "unbounded"
    })
  })

const five: Options = { poolSize: 5, maxOverflow: 0, poolPrePingSkip: "1 minute", connectTimeout: "5 seconds" }

const test = (
  name: string,
  options: Options,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
): void =>
  faultOnStage(name, (stage) =>
    Effect.gen(function*() {
      const as = yield* limited(stage, 5)
      yield* Effect.provide(Effect.scoped(body(stage)), layerOf(as(stage.url), { ...five, ...options }))
    }))

for (const preparedStatements of [true, false]) {
  test(
    `40 the server accepts no further connection, prepared statements ${preparedStatements}: the statement ends all the same`,
    { preparedStatements },
    (stage) =>
      Effect.gen(function*() {
        yield* open(5)
        const { n, took } = yield* interruptUpdate(stage)
        expect(n).toBe(0)
        expect(took).toBeLessThan(1_000)
        expect(yield* MainDb.stats).toMatchObject({ size: 5, idle: 5, active: 0, opened: 5, discarded: { broken: 0 } })
        expect((yield* stage.proxy.accepted).length).toBe(5)
        // The connection that carried the KILL is as it was.
        yield* insert(2)
        yield* open(5)
        expect((yield* MainDb.stats).opened).toBe(5)
      })
  )
}

test("40 nothing is idle: a connection is dialled for the KILL", { poolSize: 1 }, (stage) =>
  Effect.gen(function*() {
    const id = yield* connectionId
    expect(yield* interruptUpdate(stage)).toMatchObject({ n: 0 })
    expect(yield* connectionId).toBe(id)
    expect((yield* stage.proxy.accepted).length).toBe(2)
  }))

test(
  "40 nothing is idle and the dial is refused: the next connection that comes back takes the KILL",
  {},
  (stage) =>
    Effect.gen(function*() {
      yield* open(5)
      const latch = yield* Effect.makeLatch()
      const hold = MainDb.withTransaction(Effect.zipRight(connectionId, latch.await))
      const holders = yield* Effect.fork(Effect.all(Effect.replicate(hold, 4), { concurrency: 4 }))
      yield* inUse(4)
      const interrupted = yield* Effect.fork(interruptUpdate(stage))
      // The dial that the server refuses.
      yield* eventually(Effect.map(stage.proxy.accepted, ({ length }) => expect(length).toBe(6)))
      yield* Effect.sleep("100 millis")
      yield* latch.open
      yield* Fiber.join(holders)
      expect(yield* Fiber.join(interrupted)).toMatchObject({ n: 0 })
      expect(yield* MainDb.stats).toMatchObject({ idle: 5, active: 0, discarded: { broken: 0 } })
    })
)

test("40 the idle connection is lost with the KILL: the next one is used", {}, (stage) =>
  Effect.gen(function*() {
    yield* open(3)
    yield* stage.proxy.trap("KILL QUERY", "reset")
    expect(yield* interruptUpdate(stage)).toMatchObject({ n: 0 })
    // Nobody knows when the first KILL arrives, so the connection of the statement is not used again.
    expect(yield* MainDb.stats).toMatchObject({ idle: 1, active: 0, discarded: { broken: 2 } })
  }))

test(
  "40 the idle connection does not answer: the statement ends, and both are closed",
  {},
  (stage) =>
    Effect.gen(function*() {
      yield* open(3)
      yield* stage.proxy.trap("KILL QUERY", "swallow")
      const { n, took } = yield* interruptUpdate(stage)
      expect(n).toBe(0)
      expect(took).toBeLessThan(1_900)
      expect(yield* MainDb.stats).toMatchObject({ idle: 1, active: 0, discarded: { broken: 2 } })
    })
)
