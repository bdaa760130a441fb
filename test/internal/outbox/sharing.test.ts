import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import { batchesOf } from "../../../src/internal/outbox/batches.ts"
import type { Entry } from "../../../src/internal/outbox/entry.ts"
import { Lease } from "../../../src/internal/outbox/lease.ts"
import { SHARDS } from "../../../src/internal/outbox/schema.ts"
import * as Settings from "../../../src/internal/outbox/settings.ts"
import { shardOfGroup, shardOfMessage } from "../../../src/internal/outbox/shards.ts"
import { shareOf } from "../../../src/internal/outbox/sharing.ts"

describe("shards", () => {
  it("are the same for ever: what older versions have written depends on them", () => {
    expect(["", "g", "group-1", "customer-42"].map((group) => shardOfGroup("Queue", group))).toEqual([5, 0, 12, 2])
    expect(shardOfMessage("0000001f-0000-4000-8000-000000000000")).toBe(15)
  })

  it("are used evenly", () => {
    const counts = new Map<number, number>()
    for (let n = 0; n < 16_000; n++) {
      const shard = shardOfGroup("Queue", `customer-${n}`)
      counts.set(shard, (counts.get(shard) ?? 0) + 1)
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: SHARDS }, (_, n) => n))
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })
})

describe("shareOf", () => {
  const relays = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 })

  it("gives all shards away, as equally as can be, whoever has them now", () => {
    fc.assert(fc.property(relays, fc.array(fc.nat(), { minLength: SHARDS, maxLength: SHARDS }), (living, picks) => {
      const owners = picks.map((pick) => pick % 3 === 0 ? null : living[pick % living.length]!)
      const shares = living.map((relay) => shareOf(relay, living, owners))
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(SHARDS)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
    }))
  })

  it("moves nothing once everyone has a share", () => {
    fc.assert(fc.property(relays, (living) => {
      const owners = Array.from({ length: SHARDS }, (_, shard) => living[shard % living.length]!)
      for (const relay of living) {
        expect(shareOf(relay, living, owners)).toBe(owners.filter((owner) => owner === relay).length)
      }
    }))
  })

  it("counts a relay that is not known to live yet", () => {
    expect(shareOf("new", ["old"], Array.from({ length: SHARDS }, () => "old"))).toBe(8)
  })
})

describe("Lease", () => {
  const at = (monotonic: number, wall = monotonic) => ({ monotonic, wall })

  it("ends by the clock that says so first", () => {
    const lease = new Lease(0, at(0, 1_000), 100)
    expect(lease.remaining(at(40, 1_040))).toBe(60)
    // The machine was suspended: the one clock has stopped, the other has not.
    expect(lease.remaining(at(40, 9_000))).toBeLessThan(0)
    // The other was set back.
    expect(lease.remaining(at(120, 0))).toBeLessThan(0)
    lease.renew(at(90, 1_090), 100)
    expect(lease.remaining(at(120, 1_120))).toBe(70)
  })

  it("has nothing left once it is lost", () => {
    const lease = new Lease(0, at(0), 100)
    lease.lose()
    lease.renew(at(10), 100)
    expect(lease.remaining(at(10))).toBe(0)
    Effect.runSync(lease.lost)
  })
})

describe("batchesOf", () => {
  const entry = (n: number, size: number, queue = "q"): Entry => ({
    id: n,
    messageId: String(n),
    queue,
    group: undefined,
    delaySeconds: 0,
    deduplicationId: undefined,
    headers: Either.left(undefined),
    body: "1",
    size,
    age: 0
  })

  it("makes batches of one queue each, of 10 messages and 1 MiB at most, and loses nothing", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 1_200_000 }), fc.constantFrom("q", "r"))),
      (sizes) => {
        const entries = sizes.map(([size, queue], n) => entry(n, size, queue))
        const batches = batchesOf(entries)
        for (const batch of batches) {
          expect(batch.length).toBeLessThanOrEqual(10)
          expect(new Set(batch.map(({ queue }) => queue)).size).toBe(1)
          const bytes = batch.reduce((sum, { size }) => sum + size, 0)
          expect(bytes <= 1_048_576 || batch.length === 1).toBe(true)
        }
        expect(batches.flat().map(({ id }) => id).sort((a, b) => a - b)).toEqual(entries.map(({ id }) => id))
      }
    ))
  })
})

describe("options of a relay", () => {
  it("have defaults, of which parts are fractions of the lease", () => {
    expect(Settings.of({})).toEqual(Either.right({
      pollInterval: 1_000,
      concurrency: 4,
      lease: 15_000,
      renewal: 5_000,
      margin: 3_000,
      onPoison: "block",
      stopTimeout: 10_000
    }))
  })
})
