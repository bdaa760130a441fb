import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Lock } from "../../../../src/db/internal/waiting/lock.ts"

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

const setUp = () => {
  const lock = new Lock()
  const log: Array<string> = []
  const ask = (name: string, deadline = 1_000) =>
    lock.acquire(deadline, () => log.push(`${name} granted`), (why) => log.push(`${name} ${why}`))
  return { lock, log, ask }
}

describe("Lock", () => {
  it("is held by one at a time, in order of arrival", () => {
    const { ask, lock, log } = setUp()
    ask("a")
    ask("b")
    ask("c")
    expect(log).toEqual(["a granted"])
    lock.release()
    expect(log).toEqual(["a granted", "b granted"])
    lock.release()
    lock.release()
    ask("d")
    expect(log).toEqual(["a granted", "b granted", "c granted", "d granted"])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is released by thousands in turn, each at once when it is granted, also by one that throws", async () => {
    const lock = new Lock()
    let granted = 0
    lock.acquire(1_000, () => {}, () => {})
    for (let i = 0; i < 20_000; i++) {
      lock.acquire(1_000, () => {
        granted++
        lock.release()
        if (i === 0) throw new Error("thrown")
      }, () => {})
    }
    expect(() => lock.release()).toThrow("thrown")
    await vi.waitFor(() => expect(granted).toBe(20_000))
    expect(lock.acquireNow()).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("lets a waiter leave, and ignores one that leaves after its answer", () => {
    const { ask, lock, log } = setUp()
    const leave = ask("a")
    const leaveB = ask("b")
    ask("c")
    leaveB()
    leave()
    lock.release()
    expect(log).toEqual(["a granted", "c granted"])
    leaveB()
    expect(vi.getTimerCount()).toBe(0)
  })

  it("refuses who has waited too long", () => {
    const { ask, lock, log } = setUp()
    ask("a")
    ask("b", 100)
    ask("c", 200)
    // A deadline reads the sockets first.
    vi.advanceTimersByTime(105)
    expect(log).toEqual(["a granted", "b timeout"])
    lock.release()
    vi.advanceTimersByTime(1_000)
    expect(log).toEqual(["a granted", "b timeout", "c granted"])
  })

  it("refuses everyone once closed, and tells when it is free", () => {
    const { ask, lock, log } = setUp()
    ask("a")
    ask("b")
    lock.close(() => log.push("free"))
    expect(log).toEqual(["a granted", "b closed"])
    ask("c")
    expect(log).toEqual(["a granted", "b closed", "c closed"])
    lock.release()
    expect(log.at(-1)).toBe("free")
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is free at once where nobody holds it", () => {
    const { lock, log } = setUp()
    lock.close(() => log.push("free"))
    expect(log).toEqual(["free"])
  })

  it("does not answer one who left because another was refused", () => {
    const { ask, lock, log } = setUp()
    ask("a")
    let leave = (): void => {}
    lock.acquire(1_000, () => {}, () => leave())
    leave = ask("b")
    lock.close(() => {})
    expect(log).toEqual(["a granted"])
  })
})
