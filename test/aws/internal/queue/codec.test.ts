/** What does not fit its schema: the place, and nothing of the payload. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { ofSchema } from "../../../../src/aws/internal/queue/codec.ts"

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree: Schema.Schema<Tree> = Schema.Struct({
  value: Schema.Number,
  children: Schema.Array(Schema.suspend((): Schema.Schema<Tree> => Tree))
})
class Scan extends Schema.Class<Scan>("Scan")({ id: Schema.Number, at: Schema.Date }) {}

const secret = "HIV positive" as never

const cases: ReadonlyArray<readonly [string, Schema.Schema.AnyNoContext, unknown, string]> = [
  ["at the top", Schema.Number, secret, "at the top"],
  ["in a field", Schema.Struct({ n: Schema.Int }), { n: secret }, "at n"],
  ["in a missing field", Schema.Struct({ n: Schema.Int }), {}, "at n"],
  ["in an array", Schema.Struct({ items: Schema.Array(Schema.Struct({ at: Schema.Int })) }), {
    items: [{ at: 1 }, { at: secret }]
  }, "at items[1].at"],
  ["in a tuple", Schema.Tuple(Schema.Int, Schema.Int), [1, secret], "at [1]"],
  ["in a record", Schema.Struct({ byName: Schema.Record({ key: Schema.String, value: Schema.Int }) }), {
    byName: { Erika: secret }
  }, "at byName[key]"],
  [
    "in a struct with an index signature",
    Schema.Struct({ known: Schema.Int }, { key: Schema.String, value: Schema.Int }),
    { known: 1, Erika: secret },
    "at [key]"
  ],
  ["in the key of a record", Schema.Record({ key: Schema.Literal("a", "b"), value: Schema.Int }), { a: 1 }, "at b"],
  [
    "in a union",
    Schema.Union(Schema.Struct({ a: Schema.Int }), Schema.Struct({ b: Schema.Int })),
    { a: secret },
    "at a, b"
  ],
  ["in a recursive schema", Tree, { value: 1, children: [{ value: secret, children: [] }] }, "at children[0].value"],
  ["in a class", Schema.Struct({ scan: Scan }), { scan: secret }, "at scan"],
  ["in a filter", Schema.Struct({ a: Schema.String.pipe(Schema.filter(() => `no: ${secret}`)) }), { a: "HIV" }, "at a"],
  ["in a map", Schema.Struct({ map: Schema.ReadonlyMap({ key: Schema.String, value: Schema.Int }) }), {
    map: new Map([["Erika", secret]])
  }, "at map[0][1]"]
]

describe("a payload that does not fit its schema", () => {
  for (const [name, schema, payload, expected] of cases) {
    it.effect(`${name}: says where, and quotes nothing`, () =>
      Effect.gen(function*() {
        const codec = ofSchema(schema as Schema.Schema<unknown>)
        const error = yield* Effect.flip(codec.encode("enqueue", payload))
        expect(error).toMatchObject({ reason: "InvalidInput", field: "payload", attempts: 0 })
        expect(error.detail).toBe(`payload does not fit its schema ${expected}`)
        expect(error.message + JSON.stringify(error)).not.toMatch(/HIV|Erika/)
      }))
  }

  it.effect("says it of what was received as well", () =>
    Effect.gen(function*() {
      const codec = ofSchema(Schema.Struct({ items: Schema.Array(Schema.NumberFromString) }))
      expect(yield* codec.decode({ items: ["1"] })).toEqual({ items: [1] })
      expect(yield* Effect.flip(codec.decode({ items: ["1", "HIV"] }))).toBe("does not fit its schema at items[1]")
      const record = ofSchema(Schema.Record({ key: Schema.String, value: Schema.Number }))
      expect(yield* Effect.flip(record.decode({ Erika: "x" }))).toBe("does not fit its schema at [key]")
    }))

  it("is told at once where the schema waits for nothing", () => {
    const codec = ofSchema(Schema.Struct({ n: Schema.NumberFromString }))
    expect(Either.isEither(codec.encode("enqueue", { n: 1 }))).toBe(true)
  })
})
