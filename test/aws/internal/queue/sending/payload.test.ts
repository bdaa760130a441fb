import { describe, expect, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as Chunk from "effect/Chunk"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { runInNewContext } from "node:vm"
import { toJson } from "../../../../../src/aws/internal/queue/sending/payload.ts"

class Scan extends Schema.Class<Scan>("Scan")({ id: Schema.Number, at: Schema.DateFromSelf }) {}
class Plain {
  readonly a = 1
  method(): void {}
}
function Old(this: { a: number }): void {
  this.a = 1
}
Old.prototype.inherited = () => 1

const detail = (payload: unknown): string =>
  Either.match(toJson(payload), { onLeft: ({ detail }) => detail, onRight: (body) => `accepted: ${body}` })

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

describe("a payload as JSON", () => {
  const accepted: ReadonlyArray<readonly [string, unknown]> = [
    ["undefined fields", { a: undefined, b: 1 }],
    ["a Date", { at: new Date(0) }],
    ["a Date of another realm", { at: runInNewContext("new Date(0)") }],
    ["a DateTime", { at: DateTime.unsafeMake(0) }],
    ["a URL", { at: new URL("https://example.com/a?b=c") }],
    ["an instance", new Plain()],
    ["an instance of a schema's class", new Scan({ id: 1, at: new Date(0) })],
    ["an instance with inherited fields", new (Old as unknown as new() => object)()],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["an array of another realm", runInNewContext("[1, { a: 2 }]")],
    ["a document with an _id", { toJSON: () => ({ _id: "7", name: "x" }) }],
    ["floats and limits", [1.5, -0.25, 1e-300, 2 ** 53 - 1, -(2 ** 53 - 1)]],
    ["lone surrogates", "\uD800"],
    ["the same object twice", ((a) => [a, a])({ b: 1 })],
    ["nesting", nested(900)]
  ]
  for (const [name, payload] of accepted) {
    it(`takes ${name}`, () => expect(toJson(payload)).toEqual(Either.right(JSON.stringify(payload))))
  }

  const self: Record<string, unknown> = { a: [] }
  ;(self["a"] as Array<unknown>).push(self)
  const throwing = {
    get secret(): never {
      throw new Error("HIV positive")
    }
  }
  const refused: ReadonlyArray<readonly [string, unknown, string]> = [
    ["nothing", undefined, "is undefined"],
    ["a function", { a: { f: () => 1 } }, "has a function, which is nothing in JSON, at payload.a.f"],
    ["a symbol", [Symbol.iterator], "has a symbol, which is nothing in JSON, at payload[0]"],
    ["a bigint", { items: [{ n: 1 }, { n: 1n }] }, "has a bigint, which JSON does not know, at payload.items[1].n"],
    ["NaN", { a: NaN }, "has a number that is not finite, at payload.a"],
    ["infinity", [[-Infinity]], "has a number that is not finite, at payload[0][0]"],
    [
      "a large integer",
      { id: 2 ** 53 },
      "has an integer beyond 2^53 - 1, which receivers read as another one, at payload.id"
    ],
    ["a very large integer", { id: -1e300 }, "has an integer beyond"],
    [
      "undefined in an array",
      [1, undefined],
      "has an array with undefined or with a hole in it, which JSON writes as null, at payload[1]"
    ],
    ["a hole", Object.assign([1], { length: 3 }), "at payload[1]"],
    [
      "an invalid Date",
      { items: [0, 1, 2, { at: new Date(NaN) }] },
      "has a Date that is invalid, which JSON writes as null, at payload.items[3].at"
    ],
    ["a Map", { a: new Map([["k", 1]]) }, "has a Map, which JSON does not know, at payload.a"],
    ["a Map at the top", new Map(), "has a Map, which JSON does not know"],
    ["a Set", { a: new Set([1]) }, "has a Set, which JSON does not know, at payload.a"],
    ["a Map of another realm", { a: runInNewContext("new Map()") }, "has a Map"],
    ["a WeakMap", { a: new WeakMap() }, "has a weak collection"],
    ["a RegExp", { a: /x/ }, "has a RegExp"],
    ["an Error", { a: new Error("HIV positive") }, "has an Error, which JSON does not know, at payload.a"],
    ["a Promise", { a: Promise.resolve(1) }, "has a Promise"],
    ["bytes", { a: new Uint8Array(2) }, "has a sequence of bytes"],
    ["a Buffer", { a: Buffer.from("HIV positive") }, "has a sequence of bytes"],
    ["an ArrayBuffer", { a: new ArrayBuffer(2) }, "has a sequence of bytes"],
    ["a boxed number", { a: Object(NaN) }, "has a boxed primitive"],
    ["a generator", { a: (function*() {})() }, "has a Generator"],
    ["headers", { a: new Headers({ a: "b" }) }, "has an object of the platform without fields"],
    [
      "a Redacted",
      { a: { password: Redacted.make("hunter2") } },
      "has a Redacted, of which JSON shows nothing, at payload.a.password"
    ],
    [
      "an Option",
      { a: Option.some(1) },
      "has a value of Effect (such as Option, Duration or Chunk), of which JSON shows a description, at payload.a"
    ],
    ["a Duration", { a: Duration.seconds(1) }, "has a value of Effect"],
    ["a BigDecimal", { a: BigDecimal.unsafeFromString("1.5") }, "has a value of Effect"],
    ["a Chunk", { a: Chunk.make(1) }, "has a value of Effect"],
    ["a HashMap", { a: HashMap.make(["a", 1]) }, "has a value of Effect"],
    ["an Effect", { a: Effect.succeed(1) }, "has a value of Effect"],
    [
      "a key __proto__",
      JSON.parse("{\"a\":{\"__proto__\":{\"admin\":true}}}"),
      "has a key `__proto__`, which changes the prototype of a copy, at payload.a.__proto__"
    ],
    ["a circle", self, "refers to itself, or is nested more than 1000 deep, at payload.a[0].a[0].a[0].a[0].a[0].a[0]…"],
    ["deep nesting", nested(1001), "refers to itself, or is nested more than 1000 deep"],
    ["very deep nesting", nested(1_000_000), "refers to itself, or is nested more than 1000 deep"],
    [
      "a getter that throws",
      { a: throwing },
      "cannot be read: a getter, a toJSON or a Proxy throws, at payload.a.secret"
    ],
    ["a toJSON that throws", {
      a: {
        toJSON: () => {
          throw new Error("HIV")
        }
      }
    }, "cannot be read: a getter, a toJSON or a Proxy throws, at payload.a"],
    ["a toJSON that gives nothing", { a: { toJSON: () => undefined } }, "is undefined"],
    ["a toJSON that gives a Map", { a: { toJSON: () => new Map() } }, "has a toJSON that gives a Map"],
    [
      "a value in what a toJSON gives",
      { a: { toJSON: () => ({ b: [NaN] }) } },
      "has a number that is not finite, at payload.a.b[0]"
    ],
    ["a character", { a: [{ b: "x\uFFFE" }] }, "contains U+FFFE or U+FFFF, which SQS refuses, at payload.a[0].b"],
    ["a character in a key", { a: { "\uFFFF": 1 } }, "contains U+FFFE or U+FFFF, which SQS refuses, at payload.a[key]"],
    [
      "a key that is data",
      { byName: { "Erika Mustermann": NaN } },
      "has a number that is not finite, at payload.byName[key]"
    ],
    ["a long key", { ["x".repeat(41)]: NaN }, "has a number that is not finite, at payload[key]"],
    [
      "a Proxy that throws",
      new Proxy({}, {
        ownKeys: () => {
          throw new Error("HIV")
        }
      }),
      "cannot be read"
    ]
  ]
  for (const [name, payload, expected] of refused) {
    it(`refuses ${name}, and quotes nothing`, () => {
      const said = detail(payload)
      expect(said).toContain(expected)
      expect(said).not.toMatch(/HIV|hunter2|Erika/)
    })
  }

  it("lets through what comes back as it was, and nothing else", () => {
    const leaf = FastCheck.oneof(
      FastCheck.anything(),
      FastCheck.constantFrom(
        undefined,
        NaN,
        1n,
        new Map(),
        new Date(NaN),
        new Date(0),
        () => 1,
        2 ** 60,
        new Uint8Array(1)
      )
    )
    const payload = FastCheck.oneof(
      FastCheck.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true, withSet: true }),
      FastCheck.array(FastCheck.dictionary(FastCheck.string(), leaf)),
      FastCheck.jsonValue()
    )
    const plain = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(plain)
      if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value
      if (value instanceof Date) return value.toISOString()
      return Object.fromEntries(
        Object.entries(value).filter(([, item]) => item !== undefined).map(([key, item]) => [key, plain(item)])
      )
    }
    let passed = 0
    FastCheck.assert(
      FastCheck.property(payload, (value) => {
        const result = toJson(value)
        if (Either.isLeft(result)) return
        passed++
        expect(JSON.parse(result.right)).toEqual(plain(value))
      }),
      { numRuns: 2000 }
    )
    expect(passed).toBeGreaterThan(200)
  })
})
