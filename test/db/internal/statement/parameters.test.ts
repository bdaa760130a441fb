import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { describe, expect, it } from "vitest"
import { encode } from "../../../../src/db/internal/statement/parameters.ts"

const sent = (value: unknown): unknown => Either.getOrThrow(encode([value]))[0]
const refusal = (...values: ReadonlyArray<unknown>): string =>
  Either.match(encode(values), { onLeft: ({ detail }) => detail, onRight: () => "accepted" })

describe("parameters", () => {
  it("leaves alone what the driver understands, without a copy", () => {
    const values = ["text", "", 1, -0.5, true, false, null, new Date(0), Buffer.from("bytes")]
    expect(Either.getOrThrow(encode(values))).toBe(values)
  })

  it("writes bigints as digits, other bytes as binary, the rest as JSON", () => {
    expect(sent(18446744073709551615n)).toBe("18446744073709551615")
    expect(sent(-1n)).toBe("-1")
    expect(sent(new Uint8Array([1, 2, 3]))).toEqual(Buffer.from([1, 2, 3]))
    expect(sent(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toEqual(Buffer.from([2, 3]))
    expect(sent(new Float32Array([1]))).toEqual(Buffer.from([0, 0, 0x80, 0x3f]))
    expect(sent(new Uint8Array([7]).buffer)).toEqual(Buffer.from([7]))
    expect(sent([1, "two", null])).toBe("[1,\"two\",null]")
    expect(sent({ a: { b: [] } })).toBe("{\"a\":{\"b\":[]}}")
    expect(sent(Object.create(null))).toBe("{}")
  })

  it("does not change the array that it was given", () => {
    const values = [1n, { a: 1 }]
    encode(values)
    expect(values).toEqual([1n, { a: 1 }])
  })

  it.each([
    ["undefined", undefined, "is undefined"],
    ["NaN", Number.NaN, "not a finite number"],
    ["an infinity", Number.POSITIVE_INFINITY, "not a finite number"],
    ["an invalid date", new Date(Number.NaN), "invalid Date"],
    ["a function", () => 1, "is function"],
    ["a symbol", Symbol("s"), "is symbol"],
    [
      "a cycle",
      (() => {
        const cycle: Record<string, unknown> = {}
        cycle["self"] = cycle
        return cycle
      })(),
      "cannot be written as JSON"
    ],
    ["a bigint within an object", { big: 1n }, "cannot be written as JSON"],
    ["what JSON leaves out", { toJSON: () => undefined }, "cannot be written as JSON"]
  ])("refuses %s and names the position", (_, value, why) => {
    expect(refusal("fine", value)).toContain("parameter 2 ")
    expect(refusal("fine", value)).toContain(why)
  })

  it("hints at null where undefined is refused", () => {
    expect(encode([undefined])).toEqual(
      Either.left({ detail: "parameter 1 is undefined", hint: "pass null for SQL NULL" })
    )
  })

  it("never throws, and never lets a value of no SQL type through", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.anything({ withBigInt: true, withDate: true, withTypedArray: true }), (value) => {
        const result = encode([value])
        if (Either.isRight(result)) {
          const [encoded] = result.right
          expect(
            encoded === null || ["string", "number", "boolean"].includes(typeof encoded) || encoded instanceof Date
              || Buffer.isBuffer(encoded)
          ).toBe(true)
        }
      })
    )
  })
})
