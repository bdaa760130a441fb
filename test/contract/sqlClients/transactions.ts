/** Transactions of several databases, nested, concurrent, failing. */
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { connectionIdOf } from "../../support/db/connectionId.ts"
import { admin } from "../../support/db/testServer.ts"
import { type Client, endOf, howOf, insert, open, pair, type Row, type Subject } from "./subject.ts"

/** A resolver that gives the id of the connection it ran on. Resolvers are told apart by their tags alone. */
const threadResolver = (tag: string, sql: SqlClient.SqlClient) =>
  SqlResolver.ordered(tag, {
    Request: Schema.Number,
    Result: Schema.Number,
    execute: (requests) => Effect.map(connectionIdOf(sql), (id) => requests.map(() => id))
  })

/** One batching region inside the transactions of two databases, and one around them. */
export const batchingRegion: Row = {
  defect:
    "resolvers in one batching region with transactions of two databases do not run in the transaction of their database",
  observe: (subject) =>
    Effect.gen(function*() {
      const [a, b] = yield* pair(subject)
      const ofA = yield* threadResolver("ThreadOfA", a.sql)
      const ofB = yield* threadResolver("ThreadOfB", b.sql)
      const region = { batching: true, concurrency: "unbounded" } as const
      const inside = yield* a.sql.withTransaction(b.sql.withTransaction(Effect.gen(function*() {
        const threadA = yield* connectionIdOf(a.sql)
        const threadB = yield* connectionIdOf(b.sql)
        const [resolvedA, resolvedB] = yield* Effect.all([ofA.execute(1), ofB.execute(1)], region)
        return { twoConnections: threadA !== threadB, a: resolvedA === threadA, b: resolvedB === threadB }
      })))
      const own = ({ sql }: Client, resolver: typeof ofA | typeof ofB) =>
        sql.withTransaction(
          Effect.zipWith(connectionIdOf(sql), resolver.execute(2), (thread, resolved) => thread === resolved)
        )
      return { inside, around: yield* Effect.all([own(a, ofA), own(b, ofB)], region) }
    }),
  sound: { inside: { twoConnections: true, a: true, b: true }, around: [true, true] }
}

/** A transaction whose connection is reset when it sends that command. */
const cutAt = (subject: Subject, command: string, body: Effect.Effect<void, string>) =>
  Effect.gen(function*() {
    const { proxy, sql } = yield* open(subject)
    yield* proxy.trap(command, "reset")
    const { error, how } = yield* endOf(sql.withTransaction(Effect.zipRight(insert(sql, 1), body)))
    return { how, error }
  })

export const transactions: ReadonlyArray<Row> = [
  {
    defect: "one transaction slot for the whole process: what is written to B lands in A",
    observe: (subject) =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(subject)
        yield* endOf(a.sql.withTransaction(insert(b.sql, 1)))
        yield* endOf(
          a.sql.withTransaction(Effect.zipRight(b.sql.withTransaction(insert(b.sql, 2)), Effect.fail("undo")))
        )
        return { a: yield* a.ids, b: yield* b.ids }
      }),
    sound: { a: [], b: [1, 2] }
  },
  batchingRegion,
  {
    defect: "data loaders escape from the transaction",
    observe: (subject) =>
      Effect.gen(function*() {
        const { ids, sql } = yield* open(subject)
        const loaders = yield* subject.loaders(sql)
        const found = yield* endOf(sql.withTransaction(Effect.zipRight(insert(sql, 1), loaders.find(1))))
        const undone = yield* howOf(
          sql.withTransaction(Effect.zipRight(loaders.insert({ id: 2, mark: "x" }), Effect.fail("undo")))
        )
        return { found: Option.isSome(found.value ?? Option.none()), undone, ids: yield* ids }
      }),
    sound: { found: true, undone: "failure", ids: [1] }
  },
  {
    defect: "a COMMIT that fails is a defect",
    observe: (subject) => cutAt(subject, "COMMIT", Effect.void),
    sound: { how: "failure", error: "SqlError" }
  },
  {
    defect: "a ROLLBACK that fails hides the error it was for",
    observe: (subject) => cutAt(subject, "ROLLBACK", Effect.fail("mine")),
    sound: { how: "failure", error: "mine" }
  },
  {
    defect: "a connection that is dead at BEGIN is a defect",
    observe: (subject) => cutAt(subject, "BEGIN", Effect.void),
    sound: { how: "failure", error: "SqlError" }
  },
  {
    defect: "concurrent nested transactions share one savepoint: the row of the one that succeeded is lost",
    observe: (subject) =>
      Effect.gen(function*() {
        const { ids, sql } = yield* open(subject)
        const keeps = sql.withTransaction(Effect.zipRight(Effect.sleep(100), insert(sql, 1)))
        const fails = sql.withTransaction(Effect.zipRight(Effect.sleep(200), Effect.fail("undo")))
        const how = yield* howOf(sql.withTransaction(
          Effect.all([Effect.exit(keeps), Effect.exit(fails)], { concurrency: 2 }).pipe(
            Effect.flatMap(([kept]) => kept)
          )
        ))
        return { how, ids: yield* ids }
      }),
    sound: { how: "success", ids: [1] }
  },
  {
    defect: "a fiber that outlives its transaction goes on in the transaction of another: what it wrote is lost",
    observe: (subject) =>
      Effect.gen(function*() {
        const { ids, sql } = yield* open(subject, { connections: 1 })
        const over = yield* Deferred.make<void>()
        const fiber = yield* sql.withTransaction(
          Effect.forkDaemon(Effect.exit(Effect.zipRight(Deferred.await(over), insert(sql, 1))))
        )
        yield* endOf(sql.withTransaction(
          connectionIdOf(sql).pipe(
            Effect.zipRight(Deferred.succeed(over, undefined)),
            Effect.zipRight(Fiber.join(fiber)),
            Effect.zipRight(Effect.fail("undo"))
          )
        ))
        const said = yield* endOf(Fiber.join(fiber))
        return {
          said: said.value === undefined ? said.how : Exit.isSuccess(said.value) ? "written" : "refused",
          ids: yield* ids
        }
      }),
    sound: { said: "refused", ids: [] }
  },
  {
    defect: "a failed migration stays recorded as applied, because DDL commits implicitly",
    observe: (subject) =>
      Effect.gen(function*() {
        const { database, sql } = yield* open(subject)
        const migrate = Migrator.make({})({
          loader: Migrator.fromRecord({
            "1_files": Effect.flatMap(SqlClient.SqlClient, (client) =>
              Effect.zipRight(client`CREATE TABLE files (id INT PRIMARY KEY)`, Effect.fail("half-way")))
          })
        })
        const { how } = yield* endOf(Effect.provideService(migrate, SqlClient.SqlClient, sql))
        return {
          succeeded: how === "success",
          recorded: yield* admin("SELECT name FROM effect_sql_migrations", { database }),
          tables: yield* admin("SHOW TABLES LIKE 'files'", { database })
        }
      }),
    sound: { succeeded: false, recorded: [], tables: [] }
  }
]
