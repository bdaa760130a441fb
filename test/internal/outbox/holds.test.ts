import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import type { Entry } from "../../../src/internal/outbox/entry.ts"
import { Holds, laneOf } from "../../../src/internal/outbox/holds.ts"

const entry = (messageId: string, group?: string): Entry => ({
  id: 1,
  messageId,
  queue: "q",
  group,
  delaySeconds: 0,
  deduplicationId: undefined,
  headers: Either.left(undefined),
  body: "1",
  size: 1,
  age: 0
})
const blocked = (id: string) => ({ id, queue: "q", messageGroupId: "g", reason: "InvalidRequest" as const })

describe("laneOf", () => {
  it("is the group where there is order, and else the message", () => {
    expect(laneOf(entry("a", "g"), true)).toBe(laneOf(entry("b", "g"), true))
    expect(laneOf(entry("a", "g"), false)).not.toBe(laneOf(entry("b", "g"), false))
    expect(laneOf(entry("a"), true)).not.toBe(laneOf(entry("b"), true))
    expect(laneOf({ ...entry("a", "g"), queue: "other" }, true)).not.toBe(laneOf(entry("a", "g"), true))
  })
})

describe("Holds", () => {
  const lane = laneOf(entry("a", "g"), true)

  it("holds a group until its pause is over, and lets it go at the beginning of a pass only", () => {
    const holds = new Holds()
    holds.add(lane, entry("a", "g"), true, 0, 1)
    expect(holds.has(lane)).toBe(true)
    holds.begin(999)
    expect(holds.has(lane)).toBe(true)
    holds.begin(1_000)
    expect(holds.has(lane)).toBe(false)
  })

  it("waits longer after each failure of the same message, up to a limit", () => {
    const holds = new Holds()
    const pauses = Array.from({ length: 8 }, (_, n) => {
      holds.add(lane, entry("a", "g"), true, 0, 1)
      for (let now = 0;; now += 500) {
        holds.begin(now)
        if (!holds.has(lane)) return [n, now]
      }
    })
    expect(pauses.map(([, pause]) => pause)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    holds.add(lane, entry("b", "g"), true, 0, 1)
    holds.begin(1_000)
    expect(holds.has(lane)).toBe(false)
  })

  it("tells of a refused message once, and shows it until it is gone", () => {
    const holds = new Holds()
    expect(holds.add(lane, entry("a", "g"), true, 0, 0, blocked("a"))).toBe(true)
    expect(holds.add(lane, entry("a", "g"), true, 0, 0, blocked("a"))).toBe(false)
    // It fails for another reason meanwhile, and is refused as before after that.
    expect(holds.add(lane, entry("a", "g"), true, 0, 0)).toBe(false)
    expect(holds.blocked).toEqual([blocked("a")])
    expect(holds.add(lane, entry("a", "g"), true, 0, 0, blocked("a"))).toBe(false)
    holds.begin(100_000)
    expect(holds.blocked).toEqual([blocked("a")])
    holds.finish()
    expect(holds.blocked).toEqual([])
    expect(holds.add(lane, entry("b", "g"), true, 0, 0, blocked("b"))).toBe(true)
    holds.sent(lane)
    expect(holds.blocked).toEqual([])
  })

  it("excludes what is held, and only so much", () => {
    const holds = new Holds()
    for (let n = 0; n < 5; n++) {
      holds.add(`g${n}`, entry(`a${n}`, `g${n}`), true, 0, 0)
      holds.add(`m${n}`, entry(`m${n}`, `g${n}`), false, 0, 0)
    }
    expect(holds.excluded(2)).toEqual({ groups: [["q", "g0"], ["q", "g1"]], ids: ["m0", "m1"] })
    holds.begin(100_000)
    expect(holds.excluded(2)).toEqual({ groups: [], ids: [] })
  })
})
