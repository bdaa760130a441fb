/** What we borrow of `@effect/sql`'s statements. If this fails after an upgrade, read `src/db/internal/borrowed` first. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Statement from "@effect/sql/Statement"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { compiler, partsOf, UpstreamStatement } from "../../../../src/db/internal/borrowed/upstreamStatement.ts"

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
