/** `Testing.faults`: a database that fails by a plan, with the errors and the consequences of the real failures. */
import { ConfigurationError, type DatabaseError, MainDb } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import { expect, it as plain, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { main } from "../support/db/databases.ts"
import { reasonOf } from "../support/db/errors.ts"
import { ids, setUp, write } from "../support/db/records.ts"
import { eventually } from "../support/eventually.ts"
import { realClock } from "../support/realClock.ts"

const { Fault } = Testing

type Plan = Parameters<typeof Testing.faults>[1]

const withFaults = (...plan: Plan) => <A, E>(effect: Effect.Effect<A, E, MainDb>) =>
  Effect.provide(effect, Testing.faults(MainDb, plan))

const three = Effect.all([write(1), write(2), write(3)], { discard: true })

/** What the effect fails with in the presence of these faults, and what is in the table then. */
const outcome = <A, E>(effect: Effect.Effect<A, E, MainDb>, ...plan: Plan) =>
  Effect.gen(function*() {
    yield* setUp
    const exit = yield* Effect.exit(withFaults(...plan)(Effect.either(effect)))
    yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(0)))
    return [Exit.isSuccess(exit) ? exit.value : exit, yield* ids] as const
  })

const failure = (fields: Partial<DatabaseError>) => ({ _tag: "Left", left: expect.objectContaining(fields) })
const success = { _tag: "Right" }

layer(main({ poolSize: 3, maxOverflow: 0 }), realClock)("a database with faults", (it) => {
  it.effect("deadlocks at a statement, and the server has rolled back", () =>
    Effect.gen(function*() {
      const transaction = MainDb.withTransaction(three)
      const [result, rows] = yield* outcome(transaction, Fault.deadlock({ statement: 3 }))
      expect(result).toMatchObject(failure({ reason: "Deadlock", errno: 1213, sqlState: "40001", retryable: true }))
      expect(rows).toEqual([])
      const retried = MainDb.withTransaction(three, { retries: 2 })
      expect(yield* outcome(retried, Fault.deadlock({ statement: 3 }))).toMatchObject([success, [1, 2, 3]])
      expect(yield* outcome(retried, Fault.deadlock({ statement: 3, times: 2 }))).toMatchObject([success, [1, 2, 3]])
      const [always] = yield* outcome(retried, Fault.deadlock({ times: Infinity }))
      expect(always).toMatchObject(failure({ reason: "Deadlock" }))
      // As in production: what swallows a deadlock cannot go on.
      const [swallowed, none] = yield* outcome(
        MainDb.withTransaction(Effect.zipRight(Effect.ignore(three), write(4))),
        Fault.deadlock({ statement: 2 })
      )
      expect(swallowed).toMatchObject(failure({ reason: "TransactionAborted" }))
      expect(none).toEqual([])
    }))

  it.effect("loses the connection", () =>
    Effect.gen(function*() {
      const lost = Fault.connectionLost({ statement: "INSERT" })
      expect(yield* outcome(MainDb.withTransaction(three), lost)).toMatchObject([
        failure({ reason: "ConnectionLost", retryable: true }),
        []
      ])
      expect(yield* outcome(MainDb.withTransaction(three, { retries: 1 }), lost)).toMatchObject([success, [1, 2, 3]])
      const unknown = failure({ reason: "ConnectionLost", outcome: "unknown", retryable: false })
      expect(yield* outcome(three, lost)).toMatchObject([unknown, []])
      expect(yield* outcome(three, Fault.connectionLost({ carriedOut: true }))).toMatchObject([unknown, [1]])
      const read = MainDb.use((sql) => Stream.runCount(sql`SELECT id FROM records`.stream))
      expect(yield* outcome(read, Fault.connectionLost({ carriedOut: true }))).toMatchObject([
        failure({ reason: "ConnectionLost", retryable: true }),
        []
      ])
    }))

  it.effect("loses the answer to COMMIT, carried out or not", () =>
    Effect.gen(function*() {
      const unknown = failure({ reason: "CommitOutcomeUnknown", outcome: "unknown", retryable: false })
      const transaction = MainDb.withTransaction(three, { retries: 5 })
      expect(yield* outcome(transaction, Fault.commitLost())).toMatchObject([unknown, [1, 2, 3]])
      expect(yield* outcome(transaction, Fault.commitLost({ committed: false }))).toMatchObject([unknown, []])
      const twice = Effect.zipRight(transaction, MainDb.withTransaction(write(4)))
      expect(yield* outcome(twice, Fault.commitLost({ commit: 2, committed: false }))).toMatchObject([
        unknown,
        [1, 2, 3]
      ])
    }))

  it.effect("has no connection", () =>
    Effect.gen(function*() {
      const transaction = MainDb.withTransaction(three)
      const [full] = yield* outcome(transaction, Fault.poolTimeout())
      expect(full).toMatchObject(failure({ reason: "PoolTimeout", retryable: true }))
      expect(String((full as { left: Error }).left.message)).toContain("3 active, 0 idle")
      expect(yield* outcome(three, Fault.poolTimeout({ connection: 3 }))).toMatchObject([
        failure({ reason: "PoolTimeout" }),
        [1, 2]
      ])
      expect(yield* outcome(transaction, Fault.unreachable())).toMatchObject([
        failure({ reason: "Unreachable", retryable: true }),
        []
      ])
    }))

  it.effect("refuses statements", () =>
    Effect.gen(function*() {
      const transaction = MainDb.withTransaction(
        Effect.zipRight(ids, Effect.zipRight(Effect.ignore(write(1)), write(2)))
      )
      const reasonAt = (fault: Plan[number]) => outcome(MainDb.withTransaction(Effect.zipRight(ids, write(1))), fault)
      expect(yield* reasonAt(Fault.uniqueViolation({ constraint: "records.mark" }))).toMatchObject([
        failure({ reason: "UniqueViolation", constraint: "mark", errno: 1062, retryable: false }),
        []
      ])
      expect(yield* reasonAt(Fault.foreignKeyViolation({ constraint: "fk_owner" }))).toMatchObject([
        failure({ reason: "ForeignKeyViolation", constraint: "fk_owner" }),
        []
      ])
      expect(yield* reasonAt(Fault.lockWaitTimeout({ statement: /insert/i }))).toMatchObject([
        failure({ reason: "LockWaitTimeout", retryable: true }),
        []
      ])
      expect(yield* reasonAt(Fault.statementTimeout({ statement: ({ reads }) => !reads }))).toMatchObject([
        failure({ reason: "StatementTimeout", retryable: false }),
        []
      ])
      expect(yield* reasonAt(Fault.readOnlyServer())).toMatchObject([failure({ reason: "ReadOnlyServer" }), []])
      expect(yield* reasonAt(Fault.error({ errno: 1048, sqlState: "23000" }))).toMatchObject([
        failure({ reason: "NotNullViolation", errno: 1048 }),
        []
      ])
      expect(yield* reasonAt(Fault.error({ errno: 1053, statement: 2 }))).toMatchObject([
        failure({ reason: "ConnectionLost", retryable: true }),
        []
      ])
      // A failed statement alone is undone.
      expect(yield* outcome(transaction, Fault.uniqueViolation({ constraint: "PRIMARY" })))
        .toMatchObject([success, [2]])
    }))

  it.effect("gives the fields of the real errors, those of the cause too", () =>
    Effect.gen(function*() {
      const run = (text: string) => MainDb.use((sql) => sql.unsafe(text))
      const fields = (error: unknown) => {
        const { cause, ...others } = error as DatabaseError
        return { ...others, cause: { ...cause as object } }
      }
      const same = (text: string, fault: Plan[number], ...known: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const real = fields(yield* Effect.flip(run(text)))
          const injected = fields(yield* Effect.flip(withFaults(fault)(run(text))))
          expect(injected).toEqual({ ...real, ...known.length === 0 ? {} : { detail: injected.detail } })
          for (const part of known) expect(injected.detail).toContain(part)
        })
      yield* run("DROP TABLE IF EXISTS likes")
      yield* run("DROP TABLE IF EXISTS liked")
      yield* run("CREATE TABLE liked (id INT PRIMARY KEY)")
      yield* run("CREATE TABLE likes (liked INT, CONSTRAINT of_liked FOREIGN KEY (liked) REFERENCES liked (id))")
      yield* run("INSERT INTO liked VALUES (1)")
      yield* run("INSERT INTO likes VALUES (1)")
      yield* same("INSERT INTO liked VALUES (1)", Fault.uniqueViolation({ constraint: "PRIMARY" }))
      const violation = Fault.foreignKeyViolation({ constraint: "of_liked" })
      // The real one names the tables.
      yield* same("INSERT INTO likes VALUES (2)", violation, "Cannot add or update a child row", "`of_liked`")
      yield* same("DELETE FROM liked", violation, "Cannot delete or update a parent row", "`of_liked`")
      yield* same(
        "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found when trying to get lock; try restarting transaction'",
        Fault.deadlock()
      )
      yield* same(
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT = 'Lock wait timeout exceeded; try restarting transaction'",
        Fault.lockWaitTimeout()
      )
    }))

  it.effect("over a sandbox undoes what the transaction has done, and the sandbox goes on", () =>
    Effect.gen(function*() {
      yield* setUp
      yield* Testing.rollback(MainDb)(Effect.gen(function*() {
        yield* write(10)
        yield* withFaults(Fault.deadlock({ statement: 3 }))(MainDb.withTransaction(three, { retries: 1 }))
        expect(yield* ids).toEqual([1, 2, 3, 10])
        const more = MainDb.withTransaction(write(4))
        expect(yield* reasonOf(withFaults(Fault.commitLost())(more))).toBe("CommitOutcomeUnknown")
        expect(yield* ids).toEqual([1, 2, 3, 4, 10])
        const other = MainDb.withTransaction(write(5))
        expect(yield* reasonOf(withFaults(Fault.commitLost({ committed: false }))(other))).toBe("CommitOutcomeUnknown")
        expect(yield* reasonOf(withFaults(Fault.connectionLost())(other))).toBe("ConnectionLost")
        expect(yield* reasonOf(withFaults(Fault.readOnlyServer())(other))).toBe("ReadOnlyServer")
        expect(yield* ids).toEqual([1, 2, 3, 4, 10])
      }))
      expect(yield* ids).toEqual([])
    }))

  it.effect("tells a test in which a fault did not happen", () =>
    Effect.gen(function*() {
      yield* setUp
      const exit = yield* Effect.exit(
        withFaults(Fault.deadlock({ statement: 7 }), Fault.poolTimeout())(Effect.ignore(three))
      )
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toMatch(/deadlock did not happen.* 0 statements/)
      const twice = yield* Effect.exit(withFaults(Fault.deadlock({ times: 2 }))(Effect.ignore(write(4))))
      expect(Exit.isFailure(twice) && Cause.pretty(twice.cause)).toContain("deadlock happened only 1 of 2 times")
      yield* withFaults(Fault.deadlock({ times: Infinity }))(Effect.ignore(write(4)))
      // A test that fails has enough to tell.
      expect(yield* reasonOf(withFaults(Fault.deadlock({ statement: 7 }))(Effect.fail("mine")))).toBe("mine")
    }))

  it.effect("refuses a plan that makes no sense, with all that is wrong", () =>
    Effect.gen(function*() {
      const plan = [
        Fault.deadlock({ statement: 0, times: 1.5 }),
        Fault.uniqueViolation({ constraint: "a'b" }),
        Fault.error({ errno: 12, sqlState: "x" }),
        Fault.connectionLost({ statment: 2 } as object),
        Fault.commitLost({ commit: -1 }),
        "deadlock" as never
      ]
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(Testing.faults(MainDb, plan))))
      expect(refused).toBeInstanceOf(ConfigurationError)
      expect(refused.problems.map(({ setting }) => setting)).toEqual([
        "plan[0].statement",
        "plan[0].times",
        "plan[1].constraint",
        "plan[2].errno",
        "plan[2].sqlState",
        "plan[3].statment",
        "plan[4].commit",
        "plan[5]"
      ])
      const empty = yield* Effect.flip(Effect.scoped(Layer.build(Testing.faults(MainDb, []))))
      expect(empty.message).toContain("at least one fault")
    }))
})

plain.effect("a view needs a client of ours", () =>
  Effect.gen(function*() {
    const foreign = Layer.succeed(MainDb, {} as never)
    for (
      const view of [Testing.sandbox(MainDb), Testing.recorded(MainDb), Testing.faults(MainDb, [Fault.deadlock()])]
    ) {
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(view, foreign))))
      expect(refused.message).toContain("needs a client of ours")
    }
  }))
