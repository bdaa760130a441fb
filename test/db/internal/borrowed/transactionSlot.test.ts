/** What we borrow of `@effect/sql`'s transactions. If this fails after an upgrade, read `src/db/internal/borrowed` first. */
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  slotOf,
  transactionsOf,
  withSlot,
  withTransactions
} from "../../../../src/db/internal/borrowed/transactionSlot.ts"

describe("the transaction slot", () => {
  const database = { name: "MainDb", target: "" }
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
