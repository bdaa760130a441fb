/** What we borrow from `@effect/sql`. When one of these fails after an upgrade, read `src/db/internal/borrowed` first. */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as Statement from "@effect/sql/Statement"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { compiler, partsOf, UpstreamStatement } from "../../../../src/db/internal/borrowed/statementClass.ts"
import {
  slotOf,
  transactionsOf,
  withSlot,
  withTransactions
} from "../../../../src/db/internal/borrowed/transactionSlot.ts"

const acquirer: SqlConnection.Connection.Acquirer = Effect.die("never asked")
const attributes = [["db.namespace", "main"]] as const
const sql = Statement.make(acquirer, compiler, attributes, undefined)

describe("the class of statements", () => {
  it("is the same for statements, unsafe texts and every client", () => {
    expect(sql`SELECT ${1}`).toBeInstanceOf(UpstreamStatement)
    expect(sql.unsafe("SELECT 1")).toBeInstanceOf(UpstreamStatement)
    expect(Statement.make(Effect.never, compiler, [], undefined).unsafe("")).toBeInstanceOf(UpstreamStatement)
  })

  it("keeps its segments, and compiles those that it is constructed with", () => {
    const { segments } = sql`SELECT * FROM files WHERE ${
      sql.and([sql`id = ${7}`, sql`name = ${"x"}`])
    }` as unknown as InstanceType<typeof UpstreamStatement>
    const rebuilt = new UpstreamStatement(segments, acquirer, compiler, attributes, undefined)
    expect(rebuilt.compile()).toEqual(["SELECT * FROM files WHERE (id = ? AND name = ?)", [7, "x"]])
  })

  it("runs through `commit` when a statement is used as an effect, and has the getters that ours override", () => {
    class Counted extends UpstreamStatement {
      override commit() {
        return Effect.succeed([{ committed: true }])
      }
    }
    const counted = new Counted(Statement.unsafeFragment("SELECT 1").segments, acquirer, compiler, [], undefined)
    expect(Effect.runSync(counted)).toEqual([{ committed: true }])
    const accessors = Object.entries(Object.getOwnPropertyDescriptors(UpstreamStatement.prototype))
      .filter(([, { get }]) => get !== undefined).map(([name]) => name)
    expect(accessors).toEqual(expect.arrayContaining(["withoutTransform", "raw", "values", "unprepared", "stream"]))
  })

  it("holds the parts from which another client's statements can be rebuilt", () => {
    const parts = partsOf(sql as unknown as SqlClient.SqlClient)
    expect(parts.acquirer).toBe(acquirer)
    expect(parts.compiler).toBe(compiler)
    expect(parts.spanAttributes).toBe(attributes)
    expect("transformRows" in parts).toBe(true)
  })
})

describe("the transaction slot", () => {
  const database = {}
  const context = withTransactions(Context.empty(), new Map([[database, "a transaction"]]))

  it("is where upstream looks for its transaction, in the shape that it destructures", () => {
    const [connection, depth] = Context.unsafeGet(context, SqlClient.TransactionConnection)
    expect(typeof connection.execute).toBe("function")
    expect(depth).toBe(0)
  })

  it("gives back what was put there, and nothing of upstream's", () => {
    expect(transactionsOf(context)?.get(database)).toBe("a transaction")
    expect(transactionsOf(withSlot(context, ["a connection of upstream", 0]))).toBeUndefined()
    expect(slotOf(withSlot(context, undefined))).toBeUndefined()
  })

  it.effect("refuses the statements of a client that takes the connection in it for its own", () =>
    Effect.gen(function*() {
      const [connection] = Context.unsafeGet(context, SqlClient.TransactionConnection)
      const error = yield* Effect.flip(connection.execute("SELECT 1", [], undefined))
      expect(error.cause).toMatchObject({
        reason: "InvalidParameter",
        hint: expect.stringContaining("fromSqlClient")
      })
    }))

  it.effect("is what SqlResolver takes along into its batches, as the only part of the caller's context", () =>
    Effect.gen(function*() {
      class Other extends Context.Tag("test/Other")<Other, string>() {}
      const seen: Array<unknown> = []
      const resolver = yield* SqlResolver.findById("Borrowed", {
        Id: Schema.Number,
        Result: Schema.Struct({ id: Schema.Number }),
        ResultId: ({ id }) => id,
        execute: (ids) =>
          Effect.map(Effect.context<never>(), (inside) => {
            seen.push(transactionsOf(inside)?.get(database), Context.getOption(inside, Other))
            return ids.map((id) => ({ id }))
          })
      })
      const found = yield* Effect.mapInputContext(
        resolver.execute(1),
        (outside: Context.Context<never>) => Context.add(Context.merge(outside, context), Other, "not taken along")
      )
      expect(Option.isSome(found)).toBe(true)
      expect(seen).toEqual(["a transaction", Option.none()])
    }))
})
