import { describe, expect, it } from "vitest"
import { sizeNear } from "../../../../src/db/internal/connection/packetSize.ts"

const LIMIT = 10_000

const sizeOf = (sql: string, values: ReadonlyArray<unknown>, prepared: boolean, isUtf8 = true) =>
  sizeNear(LIMIT, { sql, values, prepared, ...(values.length === 0 ? {} : { text: sql + values.join("") }) }, isUtf8)

describe("the size of a packet", () => {
  it("is not worked out where it is certainly far below the limit", () => {
    expect(sizeOf("SELECT ?", ["x".repeat(900), 5, null], false)).toBeUndefined()
    expect(sizeOf("SELECT ?", ["x".repeat(900), 5, null], true)).toBeUndefined()
    expect(sizeNear(Infinity, { sql: "x".repeat(50_000), values: [], prepared: false }, true)).toBeUndefined()
  })

  it("is that of the text, in bytes", () => {
    expect(sizeOf("x".repeat(9_996), [], false)).toBe(9_999)
    expect(sizeOf("é".repeat(5_000), [], false)).toBe(10_003)
    // A byte for each character at least, in a character set that we do not know.
    expect(sizeOf("é".repeat(5_000), [], false, false)).toBe(5_003)
  })

  it("is that of the text with its values, in the text protocol", () => {
    expect(sizeOf("INSERT", ["x".repeat(9_000)], false)).toBe(9_009)
  })

  it("is that of the larger of the two packets, in the binary protocol", () => {
    expect(sizeOf("x".repeat(9_000), [1], true)).toBe(9_001)
    const bytes = sizeOf("INSERT", [new Uint8Array(9_950)], true)!
    expect(bytes).toBeGreaterThan(9_950)
    expect(bytes).toBeLessThan(9_980)
    expect(sizeOf("INSERT", ["é".repeat(4_975)], true)).toBe(bytes)
    expect(sizeOf("INSERT", [new Uint8Array(4_950), "x".repeat(5_000), 1, null, new Date()], true)).toBe(bytes + 35)
  })

  it("never misses what reaches the limit", () => {
    for (let length = LIMIT - 40; length < LIMIT + 40; length++) {
      for (const prepared of [true, false]) {
        expect(sizeOf("", ["x".repeat(length)], prepared)).toBeGreaterThanOrEqual(length)
        expect(sizeOf("", [Buffer.alloc(length)], true)).toBeGreaterThan(length)
      }
    }
  })
})
