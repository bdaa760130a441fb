import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { createConnection } from "mysql2/promise"
import { execFileSync } from "node:child_process"
import { type IsolationLevel, MainDb } from "../../src/db/Database.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { main, nameOf, threadId, threadsOf } from "../support/db/databases.ts"
import { admin, server } from "../support/db/testServer.ts"

const setUp = MainDb.use((sql) =>
  Effect.gen(function*() {
    yield* sql`CREATE TABLE IF NOT EXISTS records (id INT PRIMARY KEY, mark VARCHAR(60) NOT NULL)`
    yield* sql`DELETE FROM records`
  })
)

const write = (id: number, mark = "x") => MainDb.use((sql) => sql`INSERT INTO records VALUES (${id}, ${mark})`)

const ids = MainDb.use((sql) => sql<{ id: number }>`SELECT id FROM records ORDER BY id`).pipe(
  Effect.map((rows) => rows.map(({ id }) => id))
)

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [number, Exit.Exit<A, E>], never, R> =>
  Effect.gen(function*() {
    const start = performance.now()
    const exit = yield* Effect.exit(effect)
    return [performance.now() - start, exit] as const
  })

const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(effect, { until: holds, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.timeout("15 seconds"),
    Effect.orDie,
    Effect.as(true)
  )

/** The clock of the machine: the server's time is real. */
const real = { excludeTestServices: true } as const

/** Waits until the server runs such a statement. */
const running = (database: string, text: string) =>
  eventually(threadsOf(database), (threads) => threads.some(({ info }) => info?.includes(text) === true))

const databaseError = (exit: Exit.Exit<unknown, unknown>): DatabaseError => {
  const failures = Exit.isFailure(exit) ? [...Cause.failures(exit.cause)] : []
  expect(failures).toHaveLength(1)
  expect(failures[0]).toBeInstanceOf(DatabaseError)
  return failures[0] as DatabaseError
}

/** The statement may find the connection lost, or the transaction that it took with it. */
const lossOf = (error: DatabaseError): unknown => error.reason === "TransactionAborted" ? error.cause : error

const reasonOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<unknown, never, R> =>
  Effect.map(
    Effect.exit(effect),
    (exit) =>
      Exit.isSuccess(exit) ? "Success" : [...Cause.failures(exit.cause)].map((error) =>
        error instanceof DatabaseError
          ? error.reason
          : error instanceof SqlError && error.cause instanceof DatabaseError
          ? `SqlError ${error.cause.reason}`
          : error
      )[0] ?? "defect or interruption"
  )

/** A connection past the code under test; its statements say whether the server refused them. */
const connectionTo = (database: string) =>
  Effect.flatMap(server, ({ host, password, port, user }) =>
    Effect.acquireRelease(
      Effect.promise(() => createConnection({ host, port, user, password, database })),
      (connection) => Effect.promise(() => connection.end())
    )).pipe(
      Effect.map((connection) => (sql: string) =>
        Effect.promise(() => connection.query(sql).then(() => false, () => true))
      )
    )

const settled = Effect.gen(function*() {
  const stats = yield* MainDb.stats
  expect(stats.active).toBe(0)
  expect(stats.waiting).toBe(0)
  expect(stats.idle + stats.active + stats.dialling).toBe(stats.size)
  return stats
})

describe("a transaction", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), real)("ends as its body ends", (it) => {
    it.effect("commits on success and gives the body's value", () =>
      Effect.gen(function*() {
        yield* setUp
        expect(yield* MainDb.withTransaction(Effect.as(write(1), "value"))).toBe("value")
        expect(yield* ids).toEqual([1])
      }))

    it.effect("rolls back on failure and keeps the failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(1), Effect.fail("mine" as const))))
        expect(exit).toEqual(Exit.fail("mine"))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("rolls back on a defect and keeps the defect", () =>
      Effect.gen(function*() {
        yield* setUp
        const defect = new Error("bug")
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(1), Effect.die(defect))))
        expect(exit).toEqual(Exit.die(defect))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("rolls back on interruption, promptly, and the statement stops on the server", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        for (const nested of [false, true]) {
          const sleep = Effect.zipRight(write(1), MainDb.use((sql) => sql`SELECT SLEEP(3)`))
          const work = MainDb.withTransaction(nested ? MainDb.withTransaction(sleep) : sleep)
          const [took, exit] = yield* timed(
            Effect.timeoutFail(work, { duration: "200 millis", onTimeout: () => "late" })
          )
          expect(exit).toEqual(Exit.fail("late"))
          expect(took).toBeGreaterThan(190)
          expect(took).toBeLessThan(1_000)
          expect((yield* threadsOf(database)).filter(({ info }) => info?.includes("SLEEP") === true)).toEqual([])
          expect(yield* ids).toEqual([])
        }
        const stats = yield* settled
        expect(stats.discarded.broken, "the connection is used again").toBe(0)
      }))

    it.effect("waits for no one: interrupting a statement that waits for the transaction's connection", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const late = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sleeper = yield* Effect.fork(MainDb.use((sql) => sql`SELECT SLEEP(1)`))
          yield* running(database, "SLEEP(1)")
          const waiting = yield* timed(Effect.timeout(write(1), "100 millis"))
          yield* Fiber.join(sleeper)
          yield* write(2)
          return waiting
        }))
        expect(late[0]).toBeLessThan(900)
        expect(Exit.isFailure(late[1])).toBe(true)
        expect(yield* ids, "an abandoned statement never runs").toEqual([2])
      }))

    it.effect("goes on after a statement that was interrupted alone: that one is undone, the others stay", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          const slow = MainDb.use((sql) => sql`INSERT INTO records SELECT 2, SLEEP(3)`)
          const [took, exit] = yield* timed(Effect.timeout(slow, "150 millis"))
          expect(took).toBeLessThan(1_000)
          expect(Exit.isFailure(exit)).toBe(true)
          yield* write(3)
          yield* Effect.raceFirst(
            MainDb.use((sql) => sql`INSERT INTO records SELECT 4, SLEEP(3)`),
            Effect.sleep("50 millis")
          )
          yield* write(5)
        }))
        expect(yield* ids).toEqual([1, 3, 5])
        yield* settled
      }))

    it.effect("leaves nothing of its session to the next borrower of the connection", () =>
      Effect.gen(function*() {
        yield* setUp
        const [first] = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sql = yield* MainDb
          yield* sql`SET @mine = 'left'`
          yield* sql`CREATE TEMPORARY TABLE left_over (a INT)`
          yield* sql`SELECT GET_LOCK('left over', 0)`
          return yield* sql<{ id: number }>`SELECT CONNECTION_ID() AS id`
        }))
        const after = yield* MainDb.withTransaction(Effect.gen(function*() {
          const sql = yield* MainDb
          const [row] = yield* sql`SELECT CONNECTION_ID() AS id, @mine AS mine, IS_FREE_LOCK('left over') AS free,
            @@session.tx_isolation AS level, @@session.time_zone AS zone`
          return { row, table: yield* reasonOf(sql`SELECT * FROM left_over`) }
        }))
        expect(after).toEqual({
          row: { id: first!.id, mine: null, free: 1, level: "READ-COMMITTED", zone: "+00:00" },
          table: "SqlError UnknownObject"
        })
      }))

    it.effect("uses sql.withTransaction of the plain client just the same, with SqlErrors", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        const failed = yield* Effect.flip(sql.withTransaction(Effect.zipRight(
          sql`INSERT INTO records VALUES (1, 'x')`,
          sql`INSERT INTO records VALUES (1, 'x')`
        )))
        expect(failed).toBeInstanceOf(SqlError)
        expect((failed.cause as DatabaseError).reason).toBe("UniqueViolation")
        yield* sql.withTransaction(sql`INSERT INTO records VALUES (2, 'x')`)
        yield* MainDb.withTransaction(
          Effect.ignore(sql.withTransaction(Effect.zipRight(write(3), Effect.fail("undo"))))
        )
        expect(yield* ids).toEqual([2])
      }))
  })

  layer(main({ poolSize: 4, maxOverflow: 0 }), real)("nested in a transaction", (it) => {
    it.effect("is a savepoint: its failure takes back its own rows only", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* write(2)
            yield* MainDb.withTransaction(write(3))
            yield* Effect.fail("undo")
          })))
          yield* MainDb.withTransaction(Effect.gen(function*() {
            yield* write(4)
            yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(write(5), Effect.fail("undo"))))
            yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(write(6), Effect.die("undo"))))
            yield* write(7)
          }))
        }))
        expect(yield* ids).toEqual([1, 4, 7])
      }))

    it.effect("does not meet its siblings: concurrent ones run after each other, each with its own savepoint", () =>
      Effect.gen(function*() {
        yield* setUp
        let inside = 0
        yield* MainDb.withTransaction(
          Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            (i) =>
              Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
                expect(++inside).toBe(1)
                yield* write(i)
                yield* Effect.yieldNow()
                yield* write(i + 100)
                inside--
                if (i % 2 === 0) yield* Effect.fail("undo")
              }))),
            { concurrency: "unbounded", discard: true }
          )
        )
        const odd = Array.from({ length: 10 }, (_, i) => 2 * i + 1)
        expect(yield* ids).toEqual([...odd, ...odd.map((i) => i + 100)])
      }))

    it.effect("a statement of the outer level beside a failing child is not lost", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          const inChild = yield* Deferred.make<void>()
          const child = yield* Effect.fork(Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
            yield* write(1)
            yield* Deferred.succeed(inChild, undefined)
            yield* Effect.yieldNow()
            yield* write(2)
            yield* Effect.fail("undo")
          }))))
          yield* Deferred.await(inChild)
          yield* write(3)
          yield* Fiber.join(child)
        }))
        expect(yield* ids).toEqual([3])
      }))

    it.effect("cannot have an isolation, an access mode of its own; the same ones are no contradiction", () =>
      Effect.gen(function*() {
        yield* setUp
        const reasons = yield* MainDb.withTransaction(
          Effect.all([
            reasonOf(MainDb.withTransaction(write(1), { isolation: "READ COMMITTED" })),
            reasonOf(MainDb.withTransaction(write(2), { readOnly: true })),
            reasonOf(MainDb.withTransaction(write(3), { isolation: "SERIALIZABLE", readOnly: false }))
          ]),
          { isolation: "SERIALIZABLE" }
        )
        expect(reasons).toEqual(["InvalidParameter", "InvalidParameter", "Success"])
        expect(yield* ids).toEqual([3])
      }))

    it.effect("interrupted, takes back its own rows and leaves the outer transaction healthy", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          const [took, exit] = yield* timed(
            MainDb.withTransaction(Effect.zipRight(write(2), MainDb.use((sql) => sql`SELECT SLEEP(3)`)), {
              timeout: "200 millis"
            })
          )
          expect(took).toBeLessThan(1_000)
          expect(databaseError(exit).reason).toBe("TransactionTimeout")
          yield* write(3)
        }))
        expect(yield* ids).toEqual([1, 3])
      }))
  })

  layer(main({ poolSize: 2, maxOverflow: 0 }), real)("whose connection is lost", (it) => {
    const kill = (sql: SqlClient) => Effect.flatMap(threadId(sql), (id) => Effect.as(admin(`KILL ${id}`), id))

    it.effect("fails with ConnectionLost at the next statement, then refuses more; nothing is committed", () =>
      Effect.gen(function*() {
        yield* setUp
        let second: unknown
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill(yield* MainDb)
          yield* write(2).pipe(Effect.onError(() =>
            Effect.map(reasonOf(write(3)), (reason) => {
              second = reason
            })
          ))
        })))
        expect(lossOf(databaseError(exit))).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(second).toBe("TransactionAborted")
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("fails although its body swallowed that", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill(yield* MainDb)
          yield* Effect.ignore(write(2))
          return "fine"
        })))
        const error = databaseError(exit)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect((error.cause as DatabaseError).reason).toBe("ConnectionLost")
        expect(yield* ids).toEqual([])
      }))

    it.effect("before COMMIT: a typed failure, with an outcome that is known or said to be unknown", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* kill(yield* MainDb)
        })))
        const error = databaseError(exit)
        // Whether the driver has noticed before it sends COMMIT is a race; either way it is typed.
        expect(["CommitOutcomeUnknown", "TransactionAborted"]).toContain(error.reason)
        expect(error.retryable).toBe(error.reason === "TransactionAborted")
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("before ROLLBACK: the body's own failure is what comes out", () =>
      Effect.gen(function*() {
        yield* setUp
        const body = Effect.gen(function*() {
          yield* write(1)
          yield* kill(yield* MainDb)
          return yield* Effect.fail("mine" as const)
        })
        expect(yield* Effect.exit(MainDb.withTransaction(body))).toEqual(Exit.fail("mine"))
        expect(yield* Effect.exit(MainDb.withTransaction(MainDb.withTransaction(body)))).toEqual(Exit.fail("mine"))
        const defect = yield* Effect.exit(MainDb.withTransaction(Effect.orDie(body)))
        expect(defect).toEqual(Exit.die("mine"))
        expect(yield* ids).toEqual([])
        yield* settled
      }))

    it.effect("in a savepoint that is released: a typed failure", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* Effect.ignore(MainDb.withTransaction(Effect.flatMap(MainDb, kill)))
        })))
        expect(databaseError(exit)).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect(yield* ids).toEqual([])
      }))
  })

  layer(main({ poolSize: 1, maxOverflow: 0, poolPrePing: false }), real)(
    "whose connection was dead before BEGIN",
    (it) => {
      /** Kills the connection while this process stands still: it cannot know before it writes BEGIN. */
      const killUnnoticed = Effect.gen(function*() {
        const id = yield* threadId(yield* MainDb)
        const { host, password, port, user } = yield* server
        const script = `require("mysql2/promise").createConnection(${JSON.stringify({ host, port, user, password })})
        .then((c) => c.query("KILL ${id}").then(() => c.end()))`
        yield* Effect.sync(() => execFileSync(process.execPath, ["-e", script]))
      })

      it.effect("fails with a typed ConnectionLost that may be tried again", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* killUnnoticed
          const exit = yield* Effect.exit(MainDb.withTransaction(write(1)))
          expect(databaseError(exit)).toMatchObject({ reason: "ConnectionLost", retryable: true, statement: "BEGIN" })
          expect(yield* ids).toEqual([])
          yield* settled
        }))

      it.effect("succeeds where it may be retried", () =>
        Effect.gen(function*() {
          yield* setUp
          yield* killUnnoticed
          yield* MainDb.withTransaction(write(1), { retries: 1 })
          expect(yield* ids).toEqual([1])
          yield* settled
        }))
    }
  )
})

describe("locks", () => {
  layer(main({ poolSize: 4, maxOverflow: 0 }), real)((it) => {
    /** Two transactions that lock two rows crosswise; the one with less written is the server's victim. */
    const crosswise = (options: {
      readonly victim: (
        deadlocking: Effect.Effect<unknown, DatabaseError, MainDb>,
        attempt: number
      ) => Effect.Effect<unknown, unknown, MainDb>
      readonly retries?: number
    }) =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) => sql`INSERT INTO records VALUES (1, 'a'), (2, 'a'), (11, 'a'), (12, 'a'), (13, 'a')`)
        const update = (id: number, mark: string) =>
          MainDb.use((sql) => sql`UPDATE records SET mark = ${mark} WHERE id = ${id}`)
        const winnerLocked = yield* Deferred.make<void>()
        const victimLocked = yield* Deferred.make<void>()
        let attempt = 0
        const winner = MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'winner' WHERE id > 10`)
          yield* update(1, "winner")
          yield* Deferred.succeed(winnerLocked, undefined)
          yield* Deferred.await(victimLocked)
          yield* update(2, "winner")
        }))
        const victim = MainDb.withTransaction(
          Effect.gen(function*() {
            attempt++
            yield* Deferred.await(winnerLocked)
            yield* update(2, "victim")
            yield* Deferred.succeed(victimLocked, undefined)
            // Long enough for the winner to wait for us: the deadlock is found at our statement or at the winner's.
            yield* options.victim(update(1, "victim"), attempt)
          }),
          options.retries === undefined ? {} : { retries: options.retries }
        )
        const [won, lost] = yield* Effect.all([Effect.exit(winner), Effect.exit(victim)], { concurrency: 2 })
        expect(Exit.isSuccess(won)).toBe(true)
        return { lost, attempts: attempt }
      })

    it.effect("a deadlock is typed and retryable", () =>
      Effect.gen(function*() {
        const { lost } = yield* crosswise({ victim: (deadlocking) => deadlocking })
        const error = databaseError(lost)
        expect(error).toMatchObject({ reason: "Deadlock", errno: 1213, sqlState: "40001", retryable: true })
        expect(error.statement).toBe("UPDATE records SET mark = ? WHERE id = ?")
        yield* settled
      }))

    it.effect("after a deadlock nothing runs any more: the next row is not committed on its own", () =>
      Effect.gen(function*() {
        let next: unknown
        let nested: unknown
        const { lost } = yield* crosswise({
          victim: (deadlocking) =>
            Effect.gen(function*() {
              yield* Effect.ignore(deadlocking)
              next = yield* reasonOf(write(3))
              nested = yield* reasonOf(MainDb.withTransaction(write(4)))
            })
        })
        expect(next).toBe("TransactionAborted")
        expect(nested).toBe("TransactionAborted")
        const error = databaseError(lost)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: true })
        expect((error.cause as DatabaseError).reason).toBe("Deadlock")
        expect(yield* ids).toEqual([1, 2, 11, 12, 13])
        yield* settled
      }))

    it.effect("a deadlock inside a savepoint ends the whole transaction", () =>
      Effect.gen(function*() {
        let next: unknown
        const { lost } = yield* crosswise({
          victim: (deadlocking) =>
            Effect.gen(function*() {
              const inner = yield* reasonOf(MainDb.withTransaction(Effect.zipRight(write(3), deadlocking)))
              expect(inner).toBe("Deadlock")
              next = yield* reasonOf(write(4))
            })
        })
        expect(next).toBe("TransactionAborted")
        expect(databaseError(lost).reason).toBe("TransactionAborted")
        expect(yield* ids).toEqual([1, 2, 11, 12, 13])
      }))

    for (const swallowed of [false, true]) {
      it.effect(`a deadlock's victim succeeds on the second attempt${swallowed ? ", also if its body swallowed it" : ""}`, () =>
        Effect.gen(function*() {
          const { attempts, lost } = yield* crosswise({
            retries: 3,
            victim: (deadlocking) => swallowed ? Effect.ignore(deadlocking) : deadlocking
          })
          expect(Exit.isSuccess(lost)).toBe(true)
          expect(attempts).toBe(2)
          const rows = yield* MainDb.use((sql) => sql`SELECT id, mark FROM records WHERE id IN (1, 2) ORDER BY id`)
          expect(rows).toEqual([{ id: 1, mark: "victim" }, { id: 2, mark: "victim" }])
        }))
    }

    it.effect("a lock wait timeout leaves the transaction usable", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1)
        const locked = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'held' WHERE id = 1`)
          yield* Deferred.succeed(locked, undefined)
          yield* Deferred.await(done)
        })))
        yield* Deferred.await(locked)
        const reason = yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`SET SESSION innodb_lock_wait_timeout = 1`)
          yield* write(2)
          const exit = yield* Effect.exit(MainDb.use((sql) => sql`UPDATE records SET mark = 'mine' WHERE id = 1`))
          yield* write(3)
          return databaseError(exit)
        }))
        yield* Deferred.succeed(done, undefined)
        yield* Fiber.join(holder)
        expect(reason).toMatchObject({ reason: "LockWaitTimeout", errno: 1205, retryable: true })
        expect(yield* ids).toEqual([1, 2, 3])
        // The setting of that transaction does not reach the next one.
        const left = yield* Effect.forEach([1, 2, 3, 4], () =>
          MainDb.use((sql) => sql<{ t: number }>`SELECT @@innodb_lock_wait_timeout AS t`), { concurrency: 4 })
        expect(
          left.flat().filter(({ t }) =>
            Number(t) === 1
          )
        ).toEqual([])
      }))

    it.effect("a lock wait timeout that the body got over does not repeat it for a failure of its own", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1)
        const locked = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(MainDb.withTransaction(Effect.gen(function*() {
          yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'held' WHERE id = 1`)
          yield* Deferred.succeed(locked, undefined)
          yield* Deferred.await(done)
        })))
        yield* Deferred.await(locked)
        let attempts = 0
        const exit = yield* Effect.exit(MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* MainDb.use((sql) => sql`SET SESSION innodb_lock_wait_timeout = 1`)
            yield* Effect.ignore(MainDb.use((sql) => sql`UPDATE records SET mark = 'mine' WHERE id = 1`))
            yield* write(2)
            return yield* Effect.fail("no" as const)
          }),
          { retries: 2 }
        ))
        yield* Deferred.succeed(done, undefined)
        yield* Fiber.join(holder)
        expect(exit).toEqual(Exit.fail("no"))
        expect(attempts).toBe(1)
      }))
  })
})

describe("what would end a transaction behind its back", () => {
  layer(main(), real)((it) => {
    it.effect("is refused before it is sent: DDL, COMMIT and the like", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          for (
            const text of [
              "CREATE TABLE never (a INT)",
              "ALTER TABLE records ADD a INT",
              "TRUNCATE records",
              "COMMIT",
              "ROLLBACK",
              "BEGIN",
              "/* x */ DROP TABLE records",
              "SET autocommit = 1",
              "LOCK TABLES records READ"
            ]
          ) {
            expect(yield* reasonOf(MainDb.use((sql) => sql.unsafe(text))), text).toBe("ImplicitCommit")
            expect(yield* reasonOf(MainDb.use((sql) => sql.unsafe(text).raw)), text).toBe("ImplicitCommit")
            expect(yield* reasonOf(MainDb.withTransaction(MainDb.use((sql) => sql.unsafe(text)))), text).toBe(
              "ImplicitCommit"
            )
          }
          yield* Effect.fail("undo")
        })))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(yield* ids).toEqual([])
        expect(yield* reasonOf(MainDb.use((sql) => sql`SELECT * FROM never`))).toBe("UnknownObject")
      }))

    it.effect("hidden in a procedure, fails the transaction, and what comes after it is refused", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* MainDb.use((sql) =>
          sql`CREATE OR REPLACE PROCEDURE sneaky() BEGIN INSERT INTO records VALUES (2, 'x'); COMMIT; END`.unprepared
        )
        let next: unknown
        const exit = yield* Effect.exit(MainDb.withTransaction(Effect.gen(function*() {
          yield* write(1)
          yield* MainDb.use((sql) => sql`CALL sneaky()`)
          next = yield* reasonOf(write(3))
        })))
        expect(next).toBe("TransactionAborted")
        const error = databaseError(exit)
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: false })
        expect((error.cause as DatabaseError).reason).toBe("ImplicitCommit")
        expect(yield* ids, "what the procedure committed cannot be helped").toEqual([1, 2])
      }))

    it.effect("is allowed outside, also on a reserved connection", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* sql`CREATE TABLE now_and_then (a INT)`
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* sql.reserve
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (1, 'x')", [], undefined)
          yield* connection.executeUnprepared("COMMIT", [], undefined)
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (2, 'x')", [], undefined)
          yield* connection.execute("DROP TABLE IF EXISTS nothing_of_that_name", [], undefined)
          yield* connection.executeUnprepared("BEGIN", [], undefined)
          yield* connection.execute("INSERT INTO records VALUES (3, 'x')", [], undefined)
        }))
        expect(yield* ids, "what was left open is rolled back").toEqual([1, 2])
      }))

    it.effect("a reserved connection inside a transaction is the transaction's, with the same rules", () =>
      Effect.gen(function*() {
        yield* setUp
        const sql = yield* MainDb
        yield* Effect.ignore(MainDb.withTransaction(Effect.scoped(Effect.gen(function*() {
          const connection = yield* sql.reserve
          yield* connection.execute("INSERT INTO records VALUES (1, 'x')", [], undefined)
          expect(yield* reasonOf(connection.execute("COMMIT", [], undefined))).toBe("SqlError ImplicitCommit")
          yield* Effect.fail("undo")
        }))))
        expect(yield* ids).toEqual([])
      }))
  })
})

describe("fibers that outlive a transaction", () => {
  layer(main({ poolSize: 3, maxOverflow: 0 }), real)((it) => {
    it.effect("get TransactionClosed, and their rows are nowhere", () =>
      Effect.gen(function*() {
        yield* setUp
        const ended = yield* Deferred.make<void>()
        const late = Effect.zipRight(
          Deferred.await(ended),
          Effect.all([
            reasonOf(write(2)),
            reasonOf(MainDb.withTransaction(write(3))),
            reasonOf(MainDb.use((sql) => Stream.runDrain(sql`SELECT 1`.stream))),
            reasonOf(Effect.flatMap(MainDb, (sql) =>
              Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
                connection.execute("INSERT INTO records VALUES (4, 'x')", [], undefined)))))
          ])
        )
        const fiber = yield* MainDb.withTransaction(Effect.zipRight(write(1), Effect.forkDaemon(late)))
        const other = yield* Effect.fork(MainDb.withTransaction(Effect.zipRight(write(9), Effect.fail("undo"))))
        yield* Deferred.succeed(ended, undefined)
        expect(yield* Fiber.join(fiber)).toEqual([
          "TransactionClosed",
          "TransactionClosed",
          "TransactionClosed",
          "SqlError TransactionClosed"
        ])
        yield* Fiber.await(other)
        expect(yield* ids).toEqual([1])
        yield* settled
      }))

    it.effect("a statement still running at a successful end is waited for, and is part of the transaction", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const fiber = yield* MainDb.withTransaction(Effect.gen(function*() {
          const fiber = yield* Effect.forkDaemon(MainDb.use((sql) => sql`INSERT INTO records SELECT 1, SLEEP(0.3)`))
          yield* running(database, "SLEEP")
          return fiber
        }))
        expect(yield* ids).toEqual([1])
        yield* Fiber.join(fiber)
      }))

    it.effect("statements still running and waiting at a failed end are stopped at once, and none of them stays", () =>
      Effect.gen(function*() {
        yield* setUp
        const before = (yield* MainDb.stats).discarded.broken
        const database = yield* nameOf(MainDb)
        const fibers: Array<Fiber.RuntimeFiber<unknown>> = []
        const [took, exit] = yield* timed(MainDb.withTransaction(Effect.gen(function*() {
          for (let i = 0; i < 4; i++) {
            fibers.push(
              yield* Effect.forkDaemon(reasonOf(MainDb.use((sql) => sql`INSERT INTO records SELECT ${i}, SLEEP(3)`)))
            )
          }
          yield* running(database, "SLEEP")
          yield* Effect.fail("undo")
        })))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(took).toBeLessThan(1_500)
        const reasons = yield* Effect.forEach(fibers, Fiber.join)
        expect(reasons.slice(1)).toEqual(["TransactionClosed", "TransactionClosed", "TransactionClosed"])
        expect(["Cancelled", "Success"]).toContain(reasons[0])
        expect(yield* ids).toEqual([])
        expect((yield* settled).discarded.broken, "the connection is used again").toBe(before)
      }))
  })
})

describe("options", () => {
  layer(main({ poolSize: 1, maxOverflow: 0 }), real)((it) => {
    /** What a transaction reads of a row that another changes: before its COMMIT, and after it. */
    const reads = (isolation?: IsolationLevel) =>
      Effect.gen(function*() {
        yield* setUp
        yield* write(1, "old")
        const read = MainDb.use((sql) => sql<{ mark: string }>`SELECT mark FROM records WHERE id = 1`).pipe(
          Effect.map(([row]) => row?.mark)
        )
        const other = yield* connectionTo(yield* nameOf(MainDb))
        return yield* MainDb.withTransaction(
          Effect.gen(function*() {
            yield* read
            yield* other("SET SESSION innodb_lock_wait_timeout = 1")
            yield* other("BEGIN")
            const refused = yield* other("UPDATE records SET mark = 'new' WHERE id = 1")
            const before = yield* read
            yield* other("COMMIT")
            return refused ? "locked" : [before, yield* read]
          }),
          isolation === undefined ? {} : { isolation }
        )
      }).pipe(Effect.scoped)

    it.effect("isolation holds for one transaction and is as before in the next", () =>
      Effect.gen(function*() {
        for (
          const [isolation, seen] of [
            ["READ UNCOMMITTED", ["new", "new"]],
            ["READ COMMITTED", ["old", "new"]],
            ["REPEATABLE READ", ["old", "old"]],
            ["SERIALIZABLE", "locked"]
          ] as const
        ) {
          expect(yield* reads(isolation), isolation).toEqual(seen)
          expect(yield* reads(), `after ${isolation}`).toEqual(["old", "new"])
        }
        expect(yield* MainDb.use((sql) => sql`SELECT @@tx_isolation AS level`)).toEqual([{ level: "READ-COMMITTED" }])
      }))

    it.effect("readOnly refuses writes, and the next transaction writes again", () =>
      Effect.gen(function*() {
        yield* setUp
        const exit = yield* Effect.exit(MainDb.withTransaction(write(1), { readOnly: true }))
        expect(databaseError(exit)).toMatchObject({ reason: "ReadOnlyTransaction", errno: 1792, retryable: false })
        expect(yield* MainDb.withTransaction(ids, { readOnly: true, isolation: "REPEATABLE READ" })).toEqual([])
        yield* MainDb.withTransaction(write(2))
        expect(yield* ids).toEqual([2])
      }))

    it.effect("timeout rolls back with TransactionTimeout", () =>
      Effect.gen(function*() {
        yield* setUp
        const work = Effect.zipRight(write(1), MainDb.use((sql) => sql`SELECT SLEEP(3)`))
        const [took, exit] = yield* timed(MainDb.withTransaction(work, { timeout: Duration.millis(200) }))
        expect(databaseError(exit)).toMatchObject({ reason: "TransactionTimeout", retryable: false })
        expect(took).toBeLessThan(1_000)
        expect(yield* ids).toEqual([])
      }))

    it.effect("retries repeat neither a failure of the body's own nor one that the server did not roll back", () =>
      Effect.gen(function*() {
        yield* setUp
        let attempts = 0
        const once = <E>(effect: Effect.Effect<unknown, E, MainDb>) =>
          Effect.exit(MainDb.withTransaction(Effect.zipRight(Effect.sync(() => attempts++), effect), { retries: 5 }))
        yield* once(Effect.fail("mine"))
        yield* once(Effect.die("bug"))
        yield* once(Effect.interrupt)
        yield* once(Effect.zipRight(write(1), write(1)))
        yield* once(MainDb.use((sql) => sql`SELECT nonsense`))
        expect(attempts).toBe(5)
        expect(yield* ids).toEqual([])
      }))

    it.effect("retries give up after so many, with the last failure", () =>
      Effect.gen(function*() {
        yield* setUp
        let attempts = 0
        const exit = yield* Effect.exit(MainDb.withTransaction(
          Effect.gen(function*() {
            attempts++
            yield* write(attempts)
            const sql = yield* MainDb
            yield* Effect.flatMap(threadId(sql), (id) => admin(`KILL ${id}`))
            yield* write(100)
          }),
          { retries: 2 }
        ))
        expect(attempts).toBe(3)
        expect(lossOf(databaseError(exit))).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(yield* ids).toEqual([])
      }))
  })
})

describe("a thousand interruptions", () => {
  layer(main({ poolSize: 8, maxOverflow: 4, poolTimeout: "10 seconds" }), real)((it) => {
    it.effect("leak nothing: every slot is accounted for, and the server has no thread of ours that we do not know", () =>
      Effect.gen(function*() {
        yield* setUp
        const database = yield* nameOf(MainDb)
        const defects: Array<string> = []
        const work = (i: number): Effect.Effect<unknown, unknown, MainDb> =>
          Effect.gen(function*() {
            const kind = yield* Random.nextIntBetween(0, 4)
            // Some milliseconds of work. Not SLEEP: MariaDB 10.11 may never end one whose KILL meets its very beginning.
            const statement = MainDb.use((sql) => sql.unsafe(`SELECT BENCHMARK(${(i % 7) * 3_000}, SHA1('x'))`))
            const body: Effect.Effect<unknown, unknown, MainDb> = kind === 0
              ? statement
              : kind === 1
              ? Effect.zipRight(write(i), statement)
              : kind === 2
              ? Effect.all([statement, MainDb.withTransaction(write(i)), statement], { concurrency: 3 })
              : MainDb.withTransaction(Effect.zipRight(statement, Effect.fail("undo")))
            return yield* kind === 0 ? body : MainDb.withTransaction(body)
          })
        yield* Effect.forEach(Array.from({ length: 1000 }, (_, i) => i + 1), (i) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(work(i))
            const pause = yield* Random.nextIntBetween(0, 12)
            if (pause > 3) yield* Effect.sleep(pause)
            else yield* Effect.iterate(0, { while: (n) => n < pause, body: (n) => Effect.as(Effect.yieldNow(), n + 1) })
            const exit = yield* Fiber.interrupt(fiber)
            if (Exit.isFailure(exit)) {
              for (const defect of Cause.defects(exit.cause)) defects.push(String(defect))
              for (const failure of Cause.failures(exit.cause)) {
                if (failure !== "undo") defects.push(String(failure))
              }
            }
          }), { concurrency: 40, discard: true })
        expect(defects.slice(0, 5)).toEqual([])
        const stats = yield* settled
        expect(stats.size).toBeLessThanOrEqual(12)
        expect(yield* eventually(threadsOf(database), (threads) => threads.length === stats.size)).toBe(true)
        const open = yield* admin(`SELECT trx_mysql_thread_id FROM information_schema.innodb_trx t
          JOIN information_schema.processlist p ON p.ID = t.trx_mysql_thread_id WHERE p.DB = '${database}'`)
        expect(open).toEqual([])
        // Interrupting BEGIN costs the connection, interrupting a statement does not.
        expect(stats.discarded.broken).toBeLessThan(100)
      }))
  })
})
