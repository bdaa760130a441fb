import { describe, expect, it } from "vitest"
import { type Timer, Timers } from "../../../../../src/aws/internal/queue/memory/timers.ts"

/** Numbers that look random, and are the same in every run. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state % below
  }
}

describe("timers", () => {
  it("run in the order of their times, and of two at one time the first that was set", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = numbers(seed)
      const timers = new Timers()
      const expected: Array<{ readonly at: number; readonly n: number }> = []
      const set: Array<Timer> = []
      const ran: Array<number> = []
      for (let n = 0; n < 200; n++) {
        const at = random(40)
        set.push(timers.set(at, () => void ran.push(n)))
        expected.push({ at, n })
      }
      const cancelled = new Set<number>()
      for (let count = 0; count < 120; count++) {
        const n = random(200)
        cancelled.add(n)
        timers.cancel(set[n])
      }
      const left = expected.filter(({ n }) => !cancelled.has(n)).sort((a, b) => a.at - b.at || a.n - b.n)
      expect(timers.next).toBe(left[0]?.at ?? Infinity)
      timers.run(20)
      expect(ran).toEqual(left.filter(({ at }) => at <= 20).map(({ n }) => n))
      expect(timers.next).toBe(left.find(({ at }) => at > 20)?.at ?? Infinity)
      timers.run(40)
      expect(ran).toEqual(left.map(({ n }) => n))
      expect(timers.next).toBe(Infinity)
    }
  })

  it("may set and cancel others while they run", () => {
    const timers = new Timers()
    const ran: Array<string> = []
    const later = timers.set(2, () => void ran.push("cancelled"))
    timers.set(1, (now) => {
      timers.cancel(later)
      timers.set(now, () => void ran.push("at once"))
      timers.set(now + 1, () => void ran.push("later"))
    })
    timers.run(1)
    expect(ran).toEqual(["at once"])
    expect(timers.next).toBe(2)
    timers.run(5)
    expect(ran).toEqual(["at once", "later"])
  })
})
