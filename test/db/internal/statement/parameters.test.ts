import * as Statement from "@effect/sql/Statement"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { describe, expect, it } from "vitest"
import { encode } from "../../../../src/db/internal/statement/parameters.ts"

const sent = (value: unknown): unknown => Either.getOrThrow(encode([value], 0))[0]
const refusal = (...values: ReadonlyArray<unknown>): string =>
  Either.match(encode(values, 0), { onLeft: ({ detail }) => detail, onRight: () => "accepted" })

describe("parameters", () => {
  it("leaves alone what the driver understands, without a copy", () => {
    const values = ["text", "", 1, -0.5, true, false, null, new Date(0), Buffer.from("bytes")]
    expect(Either.getOrThrow(encode(values, 0))).toBe(values)
  })

  it("sends other bytes as binary, the rest as JSON", () => {
    expect(sent(new Uint8Array([1, 2, 3]))).toEqual(Buffer.from([1, 2, 3]))
    expect(sent(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toEqual(Buffer.from([2, 3]))
    expect(sent(new Float32Array([1]))).toEqual(Buffer.from([0, 0, 0x80, 0x3f]))
    expect(sent(new Uint8Array([7]).buffer)).toEqual(Buffer.from([7]))
    expect(sent([1, "two", null])).toBe("[1,\"two\",null]")
    expect(sent({ a: { b: [] } })).toBe("{\"a\":{\"b\":[]}}")
    expect(sent(Object.create(null))).toBe("{}")
  })

  it("does not change the array that it was given", () => {
    const values = [new Uint8Array(1), { a: 1 }]
    encode(values, 0)
    expect(values).toEqual([new Uint8Array(1), { a: 1 }])
  })

  it.each([
    ["undefined", undefined, "is undefined"],
    ["NaN", Number.NaN, "not a finite number"],
    ["an infinity", Number.POSITIVE_INFINITY, "not a finite number"],
    ["an invalid date", new Date(Number.NaN), "invalid Date"],
    ["a function", () => 1, "is a function"],
    ["a symbol", Symbol("s"), "is a symbol"],
    [
      "a cycle",
      (() => {
        const cycle: Record<string, unknown> = {}
        cycle["self"] = cycle
        return cycle
      })(),
      "a cycle"
    ],
    ["a toJSON that throws", { toJSON: () => JSON.parse("") }, "a toJSON that throws"],
    ["what JSON leaves out", { toJSON: () => undefined }, "undefined"],
    ["a bigint of 66 digits", 10n ** 65n, "more than 65 digits"],
    ["a date before the year 0", new Date(-62_200_000_000_000), "outside of the years 0 to 9999"],
    ["a date after the year 9999", new Date(Date.UTC(12024, 0)), "outside of the years 0 to 9999"],
    ["half of a character", "\ud83e", "lone surrogate"],
    ["a Redacted", Redacted.make("secret"), "a Redacted"],
    ["an Option", Option.some(1), "Effect's type Option"],
    ["an Either", Either.right(1), "Effect's type Either"],
    ["a Duration", Duration.seconds(1), "Effect's type Duration"],
    ["an Effect", Effect.succeed(1), "Effect's type"],
    ["a promise", Promise.resolve(1), "a Promise"],
    ["a Map", new Map([["a", 1]]), "a Map"],
    ["a Set", new Set([1]), "a Set"],
    ["a WeakMap", new WeakMap(), "a WeakMap"],
    ["an Error", new Error("x"), "a Error"],
    ["a regular expression", /x/, "a RegExp"],
    ["a URL", new URL("http://a/b"), "stands for a single value"],
    ["a date-time of Effect", DateTime.unsafeMake(0), "stands for a single value"],
    ["a boxed text", Object("x"), "a String"],
    ["a piece of SQL", Statement.unsafeFragment("NOW()"), "a piece of SQL"],
    ["NaN within JSON", { a: [Number.NaN] }, "NaN"],
    ["undefined in an array", { a: [undefined] }, "undefined"],
    ["a hole in an array", { a: Array(1) }, "undefined"],
    ["a bigint within JSON", { big: 1n }, "bigint"],
    ["a function within JSON", { f: () => 1 }, "function"],
    ["a Map within JSON", [{ a: new Map() }], "a Map"],
    ["bytes within JSON", { bytes: new Uint8Array(1) }, "a Uint8Array"],
    ["an invalid date within JSON", [new Date(Number.NaN)], "an invalid Date"],
    ["a Redacted within JSON", { password: Redacted.make("secret") }, "a Redacted"],
    ["an Option within JSON", { a: Option.none() }, "Effect's type Option"]
  ])("refuses %s and names the position", (_, value, why) => {
    expect(refusal("fine", value)).toContain("parameter 2 ")
    expect(refusal("fine", value)).toContain(why)
  })

  it("takes what JSON says exactly", () => {
    class Address {
      readonly street = "Main"
    }
    expect(sent({ a: undefined, b: null })).toBe("{\"b\":null}")
    expect(sent({ at: new Date(0), link: new URL("http://a/b") })).toBe(
      "{\"at\":\"1970-01-01T00:00:00.000Z\",\"link\":\"http://a/b\"}"
    )
    expect(sent(new Address())).toBe("{\"street\":\"Main\"}")
    expect(sent({ toJSON: () => ({ a: 1 }) })).toBe("{\"a\":1}")
    expect(sent(18446744073709551615n)).toBe(18446744073709551615n)
  })

  it("judges the years of a date in the time zone of the connection", () => {
    const last = [new Date("9999-12-31T23:00:00.000Z")]
    expect(Either.isRight(encode(last, 0))).toBe(true)
    expect(Either.isLeft(encode(last, 120))).toBe(true)
  })

  it("hints at null where undefined is refused", () => {
    expect(encode([undefined], 0)).toEqual(
      Either.left({ detail: "parameter 1 is undefined", hint: "pass null for SQL NULL" })
    )
  })

  it("never throws, and never lets a value of no SQL type through", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.anything({ withBigInt: true, withDate: true, withTypedArray: true }), (value) => {
        const result = encode([value], 0)
        if (Either.isRight(result)) {
          const [encoded] = result.right
          expect(
            encoded === null || ["string", "number", "boolean", "bigint"].includes(typeof encoded) ||
              encoded instanceof Date
              || Buffer.isBuffer(encoded)
          ).toBe(true)
        }
      })
    )
  })
})
