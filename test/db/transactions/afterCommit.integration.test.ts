/** What runs after a commit, and what runs outside of the open transaction. */
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import { GarminDb, MainDb } from "../../../src/db/Database.ts"
import { garmin, main } from "../../support/db/databases.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { faultWithTable, ids as idsOnServer, insert } from "../../support/db/faults.ts"
import { ids, settled, setUp, write } from "../../support/db/records.ts"
import { realClock } from "../../support/realClock.ts"

const log = Effect.map(Ref.make<ReadonlyArray<string>>([]), (ref) => ({
  say: (what: string) => Ref.update(ref, (said) => [...said, what]),
  said: Ref.get(ref)
}))

describe("afterCommit", () => {
  layer(Layer.merge(main({ poolSize: 4, maxOverflow: 0 }), garmin()), realClock)("in transactions", (it) => {
    it.effect("runs after the outermost commit, in the order of registration, before withTransaction returns", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.afterCommit(say("first"))
          yield* write(1)
          yield* MainDb.withTransaction(Effect.zipRight(write(2), MainDb.afterCommit(say("second"))))
          // Others can see the rows by then, and this transaction is no longer open.
          yield* MainDb.afterCommit(Effect.flatMap(Effect.orDie(ids), (rows) => say(`rows ${rows.join()}`)))
          yield* say("body")
        }))
        expect(yield* said).toEqual(["body", "first", "second", "rows 1,2"])
        yield* settled
      }))

    it.effect("is dropped with its savepoint, and with its transaction", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* MainDb.withTransaction(MainDb.afterCommit(say("inner")))
            yield* MainDb.afterCommit(say("dropped"))
            yield* Effect.fail("undo")
          })))
          yield* MainDb.afterCommit(say("kept"))
        }))
        yield* Effect.ignore(
          MainDb.withTransaction(Effect.zipRight(MainDb.afterCommit(say("rolled back")), Effect.fail("undo")))
        )
        yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(MainDb.afterCommit(say("died")), Effect.die("undo"))))
        expect(yield* said).toEqual(["kept"])
      }))

    it.effect("runs at once where no transaction is open", () =>
      Effect.gen(function*() {
        const { said, say } = yield* log
        yield* MainDb.afterCommit(say("at once"))
        expect(yield* said).toEqual(["at once"])
      }))

    it.effect("belongs to its own database, whatever is nested in whatever", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        yield* GarminDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.withTransaction(Effect.gen(function*() {
            yield* GarminDb.afterCommit(say("garmin"))
            yield* MainDb.afterCommit(say("main"))
            yield* write(1)
          }))
          yield* say("between")
        }))
        expect(yield* said).toEqual(["main", "between", "garmin"])
      }))

    it.effect("a defect in one is logged; the others run, and the result stays a success", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        const logged: Array<string> = []
        const logger = Logger.make(({ cause, message }) => void logged.push(`${message} ${cause}`))
        const value = yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* MainDb.afterCommit(Effect.die(new Error("a bug")))
          yield* MainDb.afterCommit(say("still"))
          return "value"
        })).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        expect(value).toBe("value")
        expect(yield* said).toEqual(["still"])
        expect(logged).toEqual([expect.stringMatching(/MainDb: an effect failed.*a bug/s)])
        expect(yield* ids).toEqual([1])
      }))

    it.effect("an interruption after the commit does not stop it", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* MainDb.afterCommit(
            Effect.zipRight(Deferred.succeed(begun, undefined), Effect.delay(say("slow"), "100 millis"))
          )
        })))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        expect(yield* said).toEqual(["slow"])
      }))

    it.effect("each attempt of a repeated transaction has its own", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        let attempts = 0
        yield* MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* MainDb.afterCommit(say(`attempt ${attempts}`))
            const id = (yield* MainDb.use((sql) => sql<{ id: number | string }>`SELECT CONNECTION_ID() AS id`))[0]!.id
            if (attempts === 1) yield* Effect.ignore(MainDb.outside(MainDb.use((sql) => sql.unsafe(`KILL ${id}`))))
            yield* write(1)
          }),
          { retries: 2 }
        )
        expect(attempts).toBe(2)
        expect(yield* said).toEqual(["attempt 2"])
      }))

    it.effect("one that is registered late, by a fiber that nobody joined, runs at once after a commit and never after a rollback", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        const late = (what: string, go: Deferred.Deferred<void>) =>
          Effect.forkDaemon(Effect.zipRight(Deferred.await(go), MainDb.afterCommit(say(what))))
        const go = yield* Deferred.make<void>()
        const committed = yield* MainDb.withTransaction(
          Effect.zipLeft(MainDb.withTransaction(late("after a commit", go)), write(1))
        )
        const ref = yield* Ref.make<Fiber.RuntimeFiber<void, unknown> | undefined>(undefined)
        yield* Effect.ignore(MainDb.withTransaction(
          Effect.zipRight(
            Effect.flatMap(late("after a rollback", go), (fiber) => Ref.set(ref, fiber)),
            Effect.fail("undo")
          )
        ))
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(committed)
        yield* Fiber.join((yield* Ref.get(ref))!)
        expect(yield* said).toEqual(["after a commit"])
      }))

    it.effect("works with a client of another driver", () =>
      Effect.gen(function*() {
        yield* setUp
        const { said, say } = yield* log
        const sql = yield* MainDb
        const foreign = Layer.provide(GarminDb.fromSqlClient, Layer.succeed(SqlClient, sql))
        yield* Effect.provide(
          GarminDb.withTransaction(Effect.gen(function*() {
            yield* GarminDb.use((sql) => sql`INSERT INTO records VALUES (1, 'x')`)
            yield* Effect.ignore(
              GarminDb.withTransaction(Effect.zipRight(GarminDb.afterCommit(say("dropped")), Effect.fail("undo")))
            )
            yield* GarminDb.withTransaction(GarminDb.afterCommit(say("kept")))
            yield* say("body")
          })),
          foreign
        )
        expect(yield* said).toEqual(["body", "kept"])
      }))
  })

  for (const whenUnknown of ["drop", "run"] as const) {
    faultWithTable(
      `28 after an unknown outcome of COMMIT it ${
        whenUnknown === "run" ? "runs where it asks for that" : "does not run"
      }`,
      {},
      (stage) =>
        Effect.gen(function*() {
          const { said, say } = yield* log
          const error = yield* Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
            yield* insert(1)
            yield* MainDb.afterCommit(say("ran"), { whenUnknown })
            yield* stage.proxy.trap("COMMIT", "lose")
          })))
          expect(error).toMatchObject({ reason: "CommitOutcomeUnknown", outcome: "unknown" })
          expect(yield* said).toEqual(whenUnknown === "run" ? ["ran"] : [])
          expect(yield* idsOnServer(stage)).toEqual([1])
        })
    )
  }
})

describe("outside", () => {
  layer(Layer.merge(main({ poolSize: 2, maxOverflow: 0, poolTimeout: 300 }), garmin()), realClock)(
    "of a transaction",
    (it) => {
      it.effect("what it writes survives the rollback, and does not see what is not committed", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* Effect.ignore(MainDb.withTransaction(
            Effect.gen(function*() {
              yield* write(1)
              expect(yield* MainDb.outside(ids)).toEqual([])
              yield* MainDb.outside(MainDb.withTransaction(write(2)))
              expect(yield* ids).toEqual([1, 2])
              yield* Effect.fail("undo")
            }),
            { isolation: "READ COMMITTED" }
          ))
          expect(yield* ids).toEqual([2])
          yield* settled
        }))

      it.effect("leaves the transactions of other databases alone", () =>
        Effect.gen(function*() {
          yield* GarminDb.use((sql) => sql`CREATE TABLE IF NOT EXISTS notes (id INT PRIMARY KEY)`)
          yield* setUp
          yield* Effect.ignore(GarminDb.withTransaction(MainDb.withTransaction(Effect.gen(function*() {
            yield* MainDb.outside(Effect.zipRight(write(1), GarminDb.use((sql) => sql`INSERT INTO notes VALUES (1)`)))
            yield* Effect.fail("undo")
          }))))
          expect(yield* ids).toEqual([1])
          expect(yield* GarminDb.use((sql) => sql`SELECT id FROM notes`)).toEqual([])
        }))

      it.effect("changes nothing where no transaction is open, and turns SqlErrors into DatabaseErrors", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* MainDb.outside(write(1))
          const sql = yield* MainDb
          expect(yield* reasonOf(MainDb.outside(sql`INSERT INTO records VALUES (1, 'x')`))).toBe("UniqueViolation")
        }))

      it.effect("waits for its connection no longer than the pool's timeout", () =>
        Effect.gen(function*() {
          yield* setUp
          const sql = yield* MainDb
          const reason = yield* Effect.scoped(Effect.zipRight(
            sql.reserve,
            MainDb.withTransaction(Effect.zipRight(write(1), reasonOf(MainDb.outside(write(2)))))
          ))
          expect(reason).toBe("PoolTimeout")
          expect(yield* ids).toEqual([1])
        }))
    }
  )
})
