/** `Testing.sandbox`: one transaction behind the service of a database, rolled back at the end. */
import { GarminDb, HttpSession, MainDb } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { expect, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { garmin, main, nameOf } from "../support/db/databases.ts"
import { databaseError, reasonOf } from "../support/db/errors.ts"
import { ids, setUp, write } from "../support/db/records.ts"
import { threadsOf } from "../support/db/testServer.ts"
import { realClock } from "../support/realClock.ts"

const sandboxed = Testing.rollback(MainDb)

/** Runs in a sandbox; then nothing is left, neither rows nor a connection in use. */
const inSandbox = <A, E>(test: Effect.Effect<A, E, MainDb>) =>
  Effect.gen(function*() {
    yield* setUp
    yield* sandboxed(test)
    expect(yield* ids).toEqual([])
    expect(yield* MainDb.stats).toMatchObject({ active: 0 })
  })

layer(Layer.merge(main({ poolSize: 4, maxOverflow: 0 }), garmin()), realClock)("a sandbox", (it) => {
  it.effect("shows what is written in it, and leaves nothing", () =>
    inSandbox(Effect.gen(function*() {
      yield* write(1)
      expect(yield* ids).toEqual([1])
    })))

  it.effect("takes no connection as long as nothing runs", () =>
    inSandbox(Effect.gen(function*() {
      expect(yield* MainDb.stats).toMatchObject({ active: 0 })
      yield* ids
      expect(yield* MainDb.stats).toMatchObject({ active: 1 })
    })))

  it.effect("has daemons and forked fibers inside", () =>
    inSandbox(Effect.gen(function*() {
      yield* write(1)
      expect(yield* Fiber.join(yield* Effect.forkDaemon(ids))).toEqual([1])
      yield* Effect.forEach([2, 3, 4, 5, 6, 7, 8, 9], (id) => write(id), { concurrency: "unbounded" })
      expect((yield* ids).length).toBe(9)
    })))

  it.effect("has sessions of requests inside, and what says that it has none", () =>
    inSandbox(Effect.gen(function*() {
      const ask = <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
        Effect.provideService(
          HttpSession.make(MainDb)(app),
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(new Request("http://localhost/"))
        )
      const [ok, bad] = [200, 400].map((status) => HttpServerResponse.empty({ status }))
      yield* Effect.all(
        [ask(Effect.as(write(1), ok!)), ask(Effect.as(write(2), ok!)), ask(Effect.as(write(3), bad!))],
        {
          concurrency: "unbounded"
        }
      )
      yield* Effect.asVoid(ask(Effect.as(Effect.zipRight(write(4), HttpSession.none(write(5))), bad!)))
      expect(yield* ids).toEqual([1, 2, 5])
    })))

  it.effect("commits to itself; a failing transaction undoes its own rows", () =>
    inSandbox(Effect.gen(function*() {
      yield* MainDb.withTransaction(write(1), {
        isolation: "SERIALIZABLE",
        readOnly: true,
        retries: 3,
        timeout: "5 seconds"
      })
      expect(yield* reasonOf(MainDb.withTransaction(Effect.zipRight(write(2), Effect.fail("no"))))).toBe("no")
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* write(3)
        yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(write(4), Effect.fail("no"))))
        yield* MainDb.withTransaction(write(5))
      }))
      expect(yield* ids).toEqual([1, 3, 5])
    })))

  it.effect("runs what is to follow a commit when a transaction in it ends well", () =>
    inSandbox(Effect.gen(function*() {
      const ran: Array<string> = []
      const after = (what: string) =>
        MainDb.afterCommit(Effect.ignore(Effect.map(ids, (rows) => ran.push(what + rows))))
      yield* after("at once")
      yield* MainDb.withTransaction(Effect.zipRight(write(1), after("kept")))
      yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(after("dropped"), Effect.fail("no"))))
      expect(ran).toEqual(["at once", "kept1"])
    })))

  it.effect("lets transactions run one after another", () =>
    inSandbox(Effect.gen(function*() {
      let open = 0
      yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => i), (i) =>
        MainDb.withTransaction(Effect.gen(function*() {
          yield* write(i)
          expect(++open).toBe(1)
          yield* Effect.yieldNow()
          yield* write(100 + i)
          open--
        })), { concurrency: "unbounded" })
      expect((yield* ids).length).toBe(40)
    })))

  it.effect("streams, and runs statements while it does", () =>
    inSandbox(Effect.gen(function*() {
      yield* Effect.forEach(Array.from({ length: 50 }, (_, i) => i), (id) => write(id))
      const sql = yield* MainDb
      const copied = sql<{ id: number }>`SELECT id FROM records ORDER BY id`.stream.pipe(
        Stream.mapEffect(({ id }) => write(id + 100)),
        Stream.runCount
      )
      expect(yield* copied).toBe(50)
      expect(yield* MainDb.withTransaction(Stream.runCount(sql`SELECT id FROM records`.stream))).toBe(100)
      expect(yield* Stream.runCount(Stream.take(sql`SELECT id FROM records`.stream, 3))).toBe(3)
      expect((yield* ids).length).toBe(100)
    })))

  it.effect("refuses DDL before it is sent, and goes on", () =>
    inSandbox(Effect.gen(function*() {
      yield* write(1)
      const error = databaseError(yield* Effect.exit(MainDb.use((sql) => sql`TRUNCATE records`)))
      expect(error).toMatchObject({ reason: "ImplicitCommit", statement: "TRUNCATE records" })
      expect(yield* reasonOf(MainDb.use((sql) => sql`CREATE TABLE u (id INT)`.stream.pipe(Stream.runDrain))))
        .toBe("ImplicitCommit")
      expect(yield* reasonOf(MainDb.migrate(Effect.succeed([])))).toBe("ImplicitCommit")
      expect(yield* ids).toEqual([1])
    })))

  it.effect("does not see another sandbox of the same database", () =>
    Effect.gen(function*() {
      yield* setUp
      const one = (id: number) =>
        sandboxed(Effect.gen(function*() {
          yield* write(id)
          yield* Effect.sleep("20 millis")
          expect(yield* ids).toEqual([id])
        }))
      yield* Effect.all([one(1), one(2), one(3)], { concurrency: 3 })
      expect(yield* ids).toEqual([])
    }))

  it.effect("covers several databases", () =>
    Effect.gen(function*() {
      const set = <R>(effect: Effect.Effect<unknown, unknown, R>) => Effect.orDie(effect)
      yield* setUp
      yield* set(GarminDb.use((sql) => sql`CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)`))
      yield* Testing.rollback(MainDb, GarminDb)(Effect.gen(function*() {
        yield* MainDb.withTransaction(
          Effect.zipRight(write(1), GarminDb.withTransaction(GarminDb.use((sql) => sql`INSERT INTO t VALUES (1)`)))
        )
        expect(yield* GarminDb.use((sql) => sql`SELECT id FROM t`)).toEqual([{ id: 1 }])
        expect(yield* ids).toEqual([1])
      }))
      expect(yield* GarminDb.use((sql) => sql`SELECT id FROM t`)).toEqual([])
      expect(yield* ids).toEqual([])
    }))

  it.effect("lets what runs outside of a transaction survive its rollback", () =>
    inSandbox(Effect.gen(function*() {
      yield* MainDb.outside(write(1))
      const failed = MainDb.withTransaction(Effect.gen(function*() {
        yield* write(2)
        yield* MainDb.outside(write(3))
        yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(4)
          yield* MainDb.outside(
            MainDb.withTransaction(
              Effect.zipRight(
                write(5),
                Effect.ignore(MainDb.withTransaction(Effect.zipRight(write(6), Effect.fail("no"))))
              )
            )
          )
          return yield* Effect.fail("no")
        })))
        expect(yield* ids).toEqual([1, 2, 3, 5])
        yield* Effect.ignore(MainDb.outside(MainDb.withTransaction(Effect.zipRight(write(7), Effect.fail("no")))))
        return yield* Effect.fail("no")
      }))
      expect(yield* reasonOf(failed)).toBe("no")
      expect(yield* ids).toEqual([1, 3, 5])
      yield* MainDb.withTransaction(Effect.zipRight(write(8), MainDb.outside(write(9))))
      expect(yield* ids).toEqual([1, 3, 5, 8, 9])
    })))

  it.effect("ends with its test, although a daemon has a transaction open and another waits", () =>
    Effect.gen(function*() {
      yield* setUp
      const [holder, waiter] = yield* sandboxed(Effect.gen(function*() {
        const latch = yield* Effect.makeLatch(false)
        const holder = yield* Effect.forkDaemon(Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* latch.open
          yield* Effect.sleep("100 millis")
          yield* write(2)
        }))))
        yield* latch.await
        return [holder, yield* Effect.forkDaemon(Effect.exit(write(3)))] as const
      }))
      expect(databaseError(yield* Fiber.join(waiter)).reason).toBe("TransactionClosed")
      expect(databaseError(yield* Fiber.join(holder)).reason).toMatch(/TransactionClosed|TransactionAborted/)
      expect(yield* ids).toEqual([])
      expect(yield* MainDb.stats).toMatchObject({ active: 0 })
      const name = yield* nameOf(MainDb)
      expect((yield* threadsOf(name)).length).toBeLessThanOrEqual(4)
    }))

  it.effect("tells transactions that wait for each other", () =>
    inSandbox(Effect.gen(function*() {
      const latch = yield* Effect.makeLatch(false)
      const exit = yield* Effect.exit(Effect.all([
        MainDb.withTransaction(Effect.zipRight(write(1), latch.await)),
        MainDb.withTransaction(Effect.zipRight(write(2), latch.open))
      ], { concurrency: 2 }))
      const error = databaseError(exit)
      expect(error.reason).toBe("PoolTimeout")
      expect(error.message).toContain("transactions in a sandbox run one after another")
    })))
})
