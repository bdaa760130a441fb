import { describe, expect, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as StorageKey from "../../src/aws/StorageKey.ts"

const keys: FastCheck.Arbitrary<StorageKey.StorageKey> = FastCheck.record({
  customerId: FastCheck.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  discussionId: FastCheck.option(FastCheck.stringMatching(/^[A-Za-z0-9_-]{1,128}$/), { nil: undefined }),
  timestamp: FastCheck.date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true
  })
    .map((date) => DateTime.unsafeMake(date)),
  uuid: FastCheck.uuid(),
  category: FastCheck.constantFrom(...StorageKey.categories),
  fileExtension: FastCheck.stringMatching(/^[a-z0-9]{1,16}$/)
})

const sample: StorageKey.StorageKey = {
  customerId: 42,
  discussionId: "7",
  timestamp: DateTime.unsafeMake("2026-11-23T14:47:02.123Z"),
  uuid: "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b",
  category: "image",
  fileExtension: "png"
}
const text = "42/assets/chat/7/20261123T144702123Z_1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b_image.png"

describe("StorageKey", () => {
  it("has the agreed form", () => {
    expect(StorageKey.format(sample)).toBe(text)
    const { discussionId: _, ...alone } = sample
    expect(StorageKey.format(alone)).toBe(text.replace("/7/", "/"))
  })

  it("survives a round trip, for any parts", () => {
    FastCheck.assert(FastCheck.property(keys, (key) => {
      const back = Option.getOrThrow(StorageKey.parse(StorageKey.format(key)))
      expect(StorageKey.format(back)).toBe(StorageKey.format(key))
      expect({ ...back, timestamp: back.timestamp.epochMillis }).toEqual({
        ...JSON.parse(JSON.stringify({ ...key, timestamp: 0 })),
        timestamp: key.timestamp.epochMillis
      })
      expect(Schema.decodeSync(StorageKey.schema)(Schema.encodeSync(StorageKey.schema)(key))).toEqual(back)
    }))
  })

  it.each(StorageKey.categories)("knows the category %s", (category) => {
    const key = StorageKey.format({ ...sample, category })
    expect(Option.map(StorageKey.parse(key), (parts) => parts.category)).toEqual(Option.some(category))
    const decoded = Schema.decodeSync(StorageKey.schema)(key)
    expect(decoded.category).toBe(category)
    expect(Schema.encodeSync(StorageKey.schema)(decoded)).toBe(key)
  })

  it("sorts by time", () => {
    FastCheck.assert(FastCheck.property(keys, keys, (left, right) => {
      const [a, b] = [left, right].map((key) => StorageKey.format({ ...sample, timestamp: key.timestamp })) as [
        string,
        string
      ]
      expect(Math.sign(left.timestamp.epochMillis - right.timestamp.epochMillis)).toBe(a < b ? -1 : a > b ? 1 : 0)
    }))
  })

  it.each([
    "",
    "nonsense",
    text.replace("42/", "0/"),
    text.replace("42/", "042/"),
    text.replace("42/", "-1/"),
    text.replace("42/", "9007199254740993/"),
    text.replace("/7/", "/../"),
    text.replace("/7/", "/a b/"),
    text.replace("/7/", "//"),
    text.replace("20261123", "20260230"),
    text.replace("T14", "T25"),
    text.replace("_image", "_photo"),
    text.replace(".png", ".PNG"),
    text.replace(".png", ""),
    text.replace("1b4e28ba", "1B4E28BA"),
    `/${text}`,
    `${text}\n`,
    `${text}/x`
  ])("does not accept %j as a key", (other) => {
    expect(StorageKey.parse(other)).toEqual(Option.none())
    expect(Schema.decodeOption(StorageKey.schema)(other)).toEqual(Option.none())
  })

  it("refuses to encode parts that would not survive the round trip", () => {
    for (const wrong of [{ customerId: 0 }, { customerId: 1.5 }, { discussionId: "../x" }, { fileExtension: "p/g" }]) {
      expect(Option.isNone(Schema.encodeOption(StorageKey.schema)({ ...sample, ...wrong }))).toBe(true)
    }
  })

  it.effect("makes new keys by the Clock, no two alike", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(new Date("2026-11-23T14:47:02.123Z"))
      const [one, two] = yield* Effect.all([StorageKey.make(sample), StorageKey.make(sample)])
      expect(one).toMatch(
        /^42\/assets\/chat\/7\/20261123T144702123Z_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}_image\.png$/
      )
      expect(one).not.toBe(two)
    }))
})
