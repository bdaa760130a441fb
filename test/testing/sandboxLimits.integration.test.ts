/** What ends a sandbox, and what works in one although it looks at the connection. */
import { MainDb } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { expect, layer } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Schema, TestClock } from "effect"
import { createServer } from "node:http"
import { connectionId } from "../support/db/connectionId.ts"
import { main } from "../support/db/databases.ts"
import { databaseError, reasonOf } from "../support/db/errors.ts"
import { ids, setUp, write } from "../support/db/records.ts"
import { admin } from "../support/db/testServer.ts"
import { eventually } from "../support/eventually.ts"
import { realClock } from "../support/realClock.ts"

const sandboxed = Testing.rollback(MainDb)

/** Afterwards nothing is left, neither rows nor a connection in use. */
const inSandbox = <A, E>(test: Effect.Effect<A, E, MainDb>) =>
  Effect.gen(function*() {
    yield* setUp
    yield* sandboxed(test)
    expect(yield* ids).toEqual([])
    yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(0)))
  })

const server = createServer()

const change = (id: number) => MainDb.use((sql) => sql`UPDATE records SET mark = 'y' WHERE id = ${id}`)

layer(main({ poolSize: 4, maxOverflow: 0 }), realClock)("a sandbox", (it) => {
  it.effect("says that a deadlock was its end", () =>
    Effect.gen(function*() {
      yield* setUp
      yield* Effect.all([write(1), write(2), write(3), write(4)])
      const [mine, other] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      // The server rolls the transaction back that has written less.
      const rival = MainDb.withTransaction(Effect.gen(function*() {
        yield* Effect.all([write(11), write(12), write(13), change(2)])
        yield* Deferred.succeed(other, undefined)
        yield* Deferred.await(mine)
        yield* change(1)
      }))
      const fiber = yield* Effect.fork(Effect.exit(rival))
      yield* sandboxed(Effect.gen(function*() {
        yield* Deferred.await(other)
        const exit = yield* Effect.exit(MainDb.withTransaction(
          Effect.gen(function*() {
            yield* change(1)
            yield* Deferred.succeed(mine, undefined)
            yield* change(2)
          }),
          { retries: 3 }
        ))
        const deadlock = databaseError(exit)
        expect(deadlock).toMatchObject({ reason: "Deadlock", retryable: false })
        expect(deadlock.hint).toContain("the sandbox is over")
        const next = databaseError(yield* Effect.exit(write(9)))
        expect(next).toMatchObject({ reason: "TransactionAborted", retryable: false })
        expect(next.message).toContain("the sandbox is over (Deadlock)")
        expect(yield* reasonOf(MainDb.withTransaction(write(9), { retries: 3 }))).toBe("TransactionAborted")
      }))
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "Success" })
      expect(yield* ids).toEqual([1, 2, 3, 4, 11, 12, 13])
    }))

  it.effect("is over when its connection is lost, in or between statements", () =>
    Effect.gen(function*() {
      const kill = Effect.flatMap(connectionId, (id) => admin(`KILL ${id}`))
      yield* inSandbox(Effect.gen(function*() {
        yield* write(1)
        yield* kill
        yield* eventually(Effect.map(reasonOf(ids), (reason) => expect(reason).toBe("TransactionAborted")))
        expect(databaseError(yield* Effect.exit(ids)).message).toContain("the sandbox is over (ConnectionLost)")
      }))
      yield* inSandbox(Effect.gen(function*() {
        const id = yield* connectionId
        const fiber = yield* Effect.fork(Effect.exit(MainDb.withTransaction(
          Effect.zipRight(write(1), MainDb.use((sql) => sql`SELECT SLEEP(20)`)),
          { retries: 2 }
        )))
        yield* Effect.sleep("100 millis")
        yield* admin(`KILL ${id}`)
        const error = databaseError(yield* Fiber.join(fiber))
        expect(error.reason).toMatch(/ConnectionLost|TransactionAborted/)
        expect(error.retryable).toBe(false)
      }))
    }))

  it.effect("fails if a routine has committed what was written in it, also as its last statement", () =>
    Effect.gen(function*() {
      yield* MainDb.use((sql) =>
        Effect.zipRight(sql`DROP PROCEDURE IF EXISTS committing`, sql`CREATE PROCEDURE committing() COMMIT`)
      )
      const test = Effect.zipRight(write(1), MainDb.use((sql) => sql`CALL committing()`))
      const exit = yield* Effect.exit(sandboxed(test))
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause) && Cause.pretty(exit.cause)).toContain("and it stays")
      // What the test itself says comes first.
      expect(yield* Effect.flip(sandboxed(Effect.zipRight(Effect.ignore(test), Effect.fail("wrong"))))).toBe("wrong")
    }))

  it.effect("goes on after an interrupted statement, stream or transaction", () =>
    inSandbox(Effect.gen(function*() {
      yield* write(1)
      const long = MainDb.use((sql) => sql`SELECT SLEEP(20)`)
      const soon = <A, E>(effect: Effect.Effect<A, E, MainDb>) => Effect.timeoutOption(effect, "50 millis")
      yield* soon(long)
      yield* soon(MainDb.withTransaction(Effect.zipRight(write(2), long)))
      // Those that wait for their turn.
      yield* soon(Effect.all([long, write(3), MainDb.withTransaction(write(4))], { concurrency: 3 }))
      yield* soon(MainDb.withTransaction(Effect.zipRight(write(5), MainDb.outside(long))))
      yield* soon(MainDb.withTransaction(Effect.zipRight(write(6), Effect.never)))
      expect(yield* ids).toEqual([1])
    })))

  it.effect("keeps what a daemon does outside of a transaction that has failed meanwhile", () =>
    inSandbox(Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const outside = MainDb.outside(MainDb.withTransaction(Effect.gen(function*() {
        yield* write(2)
        yield* Deferred.succeed(begun, undefined)
        yield* Effect.sleep("30 millis")
        yield* write(3)
      })))
      let daemon: Fiber.Fiber<unknown, unknown> = Fiber.void
      yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
        yield* write(1)
        daemon = yield* Effect.forkDaemon(outside)
        yield* Deferred.await(begun)
        return yield* Effect.fail("no")
      })))
      yield* Fiber.join(daemon)
      expect(yield* ids).toEqual([2, 3])
    })))

  it.effect("has HTTP handlers inside", () =>
    inSandbox(Effect.scoped(
      Effect.gen(function*() {
        const routes = HttpRouter.empty.pipe(
          HttpRouter.post(
            "/:id",
            Effect.flatMap(
              HttpRouter.schemaPathParams(Schema.Struct({ id: Schema.NumberFromString })),
              ({ id }) => Effect.as(MainDb.withTransaction(write(id)), HttpServerResponse.empty())
            )
          )
        )
        yield* HttpServer.serveEffect(routes)
        const { port } = server.address() as { readonly port: number }
        const post = (id: number) => Effect.promise(() => fetch(`http://127.0.0.1:${port}/${id}`, { method: "POST" }))
        const answers = yield* Effect.all([post(1), post(2), post(3)], { concurrency: 3 })
        expect(answers.map(({ status }) => status)).toEqual([204, 204, 204])
        expect(yield* ids).toEqual([1, 2, 3])
      }).pipe(Effect.provide(NodeHttpServer.layer(() => server, { port: 0 })))
    )))

  it.effect("has resolvers and toSqlClient inside, which may not define tables there", () =>
    inSandbox(Effect.gen(function*() {
      const resolver = yield* SqlResolver.findById("Mark", {
        Id: Schema.Number,
        Result: Schema.Struct({ id: Schema.Number, mark: Schema.String }),
        ResultId: (row) => row.id,
        withContext: true,
        execute: (wanted) => MainDb.use((sql) => sql`SELECT * FROM records WHERE ${sql.in("id", wanted)}`)
      })
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* write(1, "one")
        expect(yield* resolver.execute(1)).toMatchObject({ value: { mark: "one" } })
      }))
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(sql`INSERT INTO records VALUES (2, 'two')`)
        expect(yield* reasonOf(sql.withTransaction(sql`CREATE TABLE u (id INT)`))).toBe("SqlError ImplicitCommit")
        yield* Effect.scoped(Effect.flatMap(sql.reserve, (reserved) => reserved.execute("SELECT 1", [], undefined)))
      }).pipe(Effect.provide(MainDb.toSqlClient))
      expect(yield* ids).toEqual([1, 2])
    })))

  it.effect("keeps the id of a row that was inserted outside of a transaction", () =>
    Effect.gen(function*() {
      yield* MainDb.use((sql) =>
        sql`CREATE TABLE IF NOT EXISTS attempts (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL)`
      )
      yield* sandboxed(Effect.gen(function*() {
        const attempt = (name: string) =>
          MainDb.use((sql) =>
            Effect.map(sql`INSERT INTO attempts (name) VALUES (${name})`.raw, (header) =>
              (header as { insertId: number }).insertId)
          )
        let told = 0
        yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
          yield* attempt("undone")
          told = yield* MainDb.outside(attempt("kept"))
          return yield* Effect.fail("wrong password")
        })))
        const later = yield* attempt("later")
        expect(later).toBeGreaterThan(told)
        expect(
          yield* MainDb.use((sql) =>
            sql`SELECT id, name FROM attempts ORDER BY id`
          )
        )
          .toEqual([{ id: told, name: "kept" }, { id: later, name: "later" }])
      }))
    }))

  it.effect("is over if work outside of a transaction needed what that has rolled back", () =>
    inSandbox(Effect.gen(function*() {
      yield* Effect.ignore(MainDb.withTransaction(Effect.gen(function*() {
        yield* MainDb.use((sql) => sql`UPDATE records SET mark = 'z'`)
        yield* write(1)
        // Without a sandbox this waits for the lock on row 1.
        yield* MainDb.outside(MainDb.use((sql) => sql`INSERT INTO records SELECT 2, mark FROM records WHERE id = 1`))
        yield* MainDb.outside(
          MainDb.use((sql) => sql`INSERT INTO records VALUES (3, (SELECT mark FROM records AS r WHERE id = 1))`)
        )
        return yield* Effect.fail("no")
      })))
      const error = databaseError(yield* Effect.exit(ids))
      expect(error.reason).toBe("TransactionAborted")
      expect(String((error.cause as Error).message)).toContain("cannot be done without it")
    })))
})

layer(main())("under the clock of a test, a sandbox", (it) => {
  it.effect("needs no time but that of the server", () =>
    inSandbox(Effect.gen(function*() {
      yield* write(1)
      yield* MainDb.withTransaction(write(2))
      yield* Effect.all([write(3), write(4), MainDb.withTransaction(write(5))], { concurrency: 3 })
      expect((yield* ids).length).toBe(5)
      yield* TestClock.adjust("1 hour")
      expect((yield* ids).length).toBe(5)
    })))
})
