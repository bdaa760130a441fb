/** The state machine of the pool, on a simulated clock and server. One file because the cases share their scaffolding. */
import { describe, expect, it } from "@effect/vitest"
import type { AcquireFailure, DialFailure, Entry, Options, Return } from "../../../../src/db/internal/pool/model.ts"
import { Pool } from "../../../../src/db/internal/pool/pool.ts"
import { type Connection, Server, Time } from "../../../support/db/poolSimulation.ts"

interface Borrowed {
  readonly label: unknown
  entry: Entry<Connection> | undefined
  failure: AcquireFailure | undefined
  answers: number
  readonly cancel: () => void
}

const setUp = (given: Partial<Options> = {}) => {
  const time = new Time()
  const server = new Server(time)
  const leaks: Array<{ readonly borrower: unknown; readonly heldFor: number }> = []
  const pool = new Pool<Connection>(server, time, {
    size: 2,
    overflow: 1,
    acquireTimeout: 1_000,
    connectTimeout: 500,
    recycle: 100_000,
    prePing: true,
    pingSkip: 500,
    leakThreshold: Infinity,
    onLeak: ({ borrower }, heldFor) => leaks.push({ borrower, heldFor }),
    ...given
  })
  const served: Array<unknown> = []
  const ask = (label?: unknown): Borrowed => {
    let cancel = (): void => {}
    const borrowed: Borrowed = {
      label,
      entry: undefined,
      failure: undefined,
      answers: 0,
      cancel: () => cancel()
    }
    cancel = pool.acquire({
      label,
      onEntry: (entry) => {
        borrowed.entry = entry
        borrowed.answers++
        served.push(label)
      },
      onFailure: (failure) => {
        borrowed.failure = failure
        borrowed.answers++
      }
    })
    return borrowed
  }
  /** A connection that works, in a borrower's hands. */
  const borrow = (label?: unknown): Borrowed => {
    const borrowed = ask(label)
    if (borrowed.entry === undefined) server.dials[0]!.succeed()
    expect(borrowed.entry).toBeDefined()
    return borrowed
  }
  const giveBack = (borrowed: Borrowed, how: Return = "clean"): void => pool.release(borrowed.entry!, how)
  /** As many idle connections as asked for, the first given being the oldest. */
  const idle = (count: number): ReadonlyArray<Entry<Connection>> => {
    const all = Array.from({ length: count }, () => borrow())
    for (const each of all) giveBack(each)
    return all.map(({ entry }) => entry!)
  }
  return { time, server, pool, leaks, served, ask, borrow, giveBack, idle }
}

describe("borrowing", () => {
  it("opens nothing before the first use, and no more than is asked for", () => {
    const { ask, pool, server } = setUp()
    expect(pool.stats).toMatchObject({ size: 0, max: 3, dialling: 0 })
    const first = ask()
    expect(pool.stats).toMatchObject({ size: 1, dialling: 1, waiting: 1, idle: 0, active: 0 })
    server.dials[0]!.succeed()
    expect(first.entry).toBeDefined()
    expect(pool.stats).toMatchObject({ size: 1, dialling: 0, waiting: 0, active: 1, opened: 1, overflow: 0 })
  })

  it("hands a returned connection out again, the one used last first", () => {
    const { ask, idle, server } = setUp()
    const [, second] = idle(2)
    expect(ask().entry).toBe(second)
    expect(server.dialledAt).toHaveLength(2)
  })

  it("serves in order of arrival, whichever connection comes first", () => {
    const { ask, giveBack, served, server } = setUp({ size: 1, overflow: 1 })
    const first = ask(1)
    ask(2)
    ask(3)
    ask(4)
    expect(server.dials).toHaveLength(2)
    server.dials[1]!.succeed()
    expect(served).toEqual([1])
    giveBack(first)
    expect(served).toEqual([1, 2])
    server.dials[0]!.succeed()
    expect(served).toEqual([1, 2, 3])
  })

  it("makes borrowers wait on the pool, not on a dial of their own", () => {
    const { ask, borrow, giveBack, pool, server } = setUp({ size: 2, overflow: 0 })
    const holder = borrow()
    const waiter = ask()
    expect(pool.stats.dialling).toBe(1)
    giveBack(holder)
    expect(waiter.entry).toBe(holder.entry)
    server.dials[0]!.succeed()
    expect(pool.stats).toMatchObject({ idle: 1, active: 1, dialling: 0 })
  })

  it("never exceeds the cap, and closes the overflow when it comes back", () => {
    const { ask, borrow, giveBack, pool, server } = setUp()
    const all = [borrow(), borrow(), borrow()]
    ask()
    expect(server.dials).toHaveLength(0)
    expect(pool.stats).toMatchObject({ size: 3, overflow: 1, waiting: 1 })
    giveBack(all[0]!)
    giveBack(all[1]!)
    giveBack(all[2]!)
    expect(pool.stats).toMatchObject({ idle: 2, active: 1 })
    giveBack({ ...all[0]! })
    expect(pool.stats).toMatchObject({ size: 2, idle: 2, active: 0, discarded: { overflow: 1 } })
    expect(server.open).toBe(2)
  })

  it("refuses a second release, and does not lend the connection twice", () => {
    const { ask, borrow, giveBack, pool } = setUp({ size: 1, overflow: 0 })
    const once = borrow()
    giveBack(once)
    expect(() => giveBack(once)).toThrow("released twice")
    expect(pool.stats).toMatchObject({ idle: 1, active: 0 })
    ask()
    expect(ask().entry).toBeUndefined()
  })
})

describe("waiting", () => {
  it("lets a waiter leave from the middle and keeps the order of the others", () => {
    const { ask, borrow, giveBack, pool, served } = setUp({ size: 1, overflow: 0 })
    const holder = borrow(0)
    const waiters = [ask(1), ask(2), ask(3)]
    waiters[1]!.cancel()
    expect(pool.stats.waiting).toBe(2)
    giveBack(holder)
    giveBack(waiters[0]!)
    giveBack(waiters[2]!)
    expect(served).toEqual([0, 1, 3])
    expect(waiters[1]!.answers).toBe(0)
  })

  it("ignores a request that is taken back after its answer", () => {
    const { borrow, pool } = setUp()
    const holder = borrow()
    holder.cancel()
    expect(pool.stats).toMatchObject({ active: 1, idle: 0 })
  })

  it("fails at the deadline, with the counts", () => {
    const { ask, borrow, pool, time } = setUp({ size: 1, overflow: 0 })
    borrow()
    const early = ask()
    time.advance(400)
    const late = ask()
    time.advance(599)
    expect(early.failure).toBeUndefined()
    time.advance(1)
    expect(early.failure).toMatchObject({ _tag: "Timeout", cause: undefined, stats: { active: 1, waiting: 2, max: 1 } })
    expect(late.failure).toBeUndefined()
    time.advance(400)
    expect(late.failure?._tag).toBe("Timeout")
    expect(pool.stats).toMatchObject({ timeouts: 2, waiting: 0 })
  })

  it("covers the queue, the ping and the dial with one deadline", () => {
    const { ask, borrow, giveBack, pool, server, time } = setUp({ size: 1, overflow: 0, acquireTimeout: 1_500 })
    giveBack(borrow())
    time.advance(600)
    const borrowed = ask()
    expect(server.pings).toHaveLength(1)
    time.advance(1_000)
    // The ping was silent: a dial goes on where it stopped.
    expect(server.dials).toHaveLength(1)
    time.advance(499)
    expect(borrowed.failure).toBeUndefined()
    time.advance(1)
    expect(borrowed.failure?._tag).toBe("Timeout")
    // The dial goes on without a borrower, and the connection joins the pool.
    server.dials[0]!.succeed()
    expect(pool.stats).toMatchObject({ idle: 1, dialling: 0 })
  })

  it("leaves no timer when nobody waits", () => {
    const { ask, borrow, time } = setUp({ size: 1, overflow: 0 })
    borrow()
    const waiter = ask()
    expect(time.pending).toBe(1)
    waiter.cancel()
    expect(time.pending).toBe(0)
  })

  it("does not answer a request that was taken back by the callback of another", () => {
    const { ask, borrow, pool, time } = setUp({ size: 1, overflow: 0 })
    borrow()
    let second: Borrowed | undefined
    pool.acquire({ onEntry: () => {}, onFailure: () => second!.cancel() })
    second = ask()
    time.advance(1_000)
    expect(second.answers).toBe(0)
    let third: Borrowed | undefined
    pool.acquire({ onEntry: () => {}, onFailure: () => third!.cancel() })
    third = ask()
    pool.shutdown(10, () => {})
    expect(third.answers).toBe(0)
  })
})

describe("dialling", () => {
  it("dials four at a time", () => {
    const { ask, server } = setUp({ size: 10, overflow: 10 })
    for (let i = 0; i < 20; i++) ask()
    expect(server.dials).toHaveLength(4)
    for (let i = 0; i < 20; i++) {
      expect(server.dials.length).toBeLessThanOrEqual(4)
      server.dials[0]!.succeed()
    }
    expect(server.connections).toHaveLength(20)
    expect(server.dials).toHaveLength(0)
  })

  it("dials again after a failure, one at a time, with growing pauses", () => {
    const { ask, server, time } = setUp({ size: 10, acquireTimeout: 60_000, connectTimeout: 30_000 })
    for (let i = 0; i < 5; i++) ask()
    for (const dial of [...server.dials]) dial.fail()
    expect(server.dials).toHaveLength(0)
    server.onDial = (dial) => dial.fail()
    time.advance(20_000)
    const pauses = server.dialledAt.slice(4).map((at, i) => at - server.dialledAt[i + 3]!)
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1_000)
    // Ten milliseconds doubled until a second, three quarters of it with this chance.
    expect(pauses.at(-1)).toBe(750)
    expect(server.dialledAt.length).toBeLessThan(40)
    expect(server.dialledAt.length).toBeGreaterThan(20)
    server.onDial = undefined
    time.advance(1_000)
    expect(server.dials).toHaveLength(1)
    time.advance(5_000)
    expect(server.dials).toHaveLength(1)
    server.dials[0]!.succeed()
    expect(server.dials).toHaveLength(4)
  })

  it("serves a waiter by the next dial, at once after a short outage", () => {
    const { ask, server, time } = setUp()
    const waiter = ask()
    server.dials[0]!.fail()
    expect(waiter.answers).toBe(0)
    time.advance(10)
    server.dials[0]!.succeed()
    expect(waiter.entry).toBeDefined()
  })

  it("fails everyone once the server has been unreachable for a connect timeout", () => {
    const { ask, pool, server, time } = setUp({ acquireTimeout: 60_000 })
    const waiters = [ask(), ask(), ask(), ask()]
    server.onDial = (dial) => dial.fail("transient", "refused")
    for (const dial of [...server.dials]) dial.fail("transient", "refused")
    time.advance(499)
    for (const { answers } of waiters) expect(answers).toBe(0)
    time.advance(1_000)
    for (const { failure } of waiters) expect(failure).toMatchObject({ _tag: "DialFailed", cause: "refused" })
    // Who comes later gets one dial's worth of patience, and no more.
    const later = ask()
    time.advance(1_000)
    expect(later.failure).toMatchObject({ _tag: "DialFailed", cause: "refused" })
    expect(pool.stats.waiting).toBe(0)
  })

  it("does not fail a borrower because of a dial that began before it arrived", () => {
    const { ask, server, time } = setUp({ acquireTimeout: 60_000 })
    const early = ask()
    time.advance(499)
    const late = ask()
    time.advance(1)
    server.dials[0]!.fail("transient", "timeout")
    expect(early.failure?._tag).toBe("DialFailed")
    expect(late.failure).toBeUndefined()
    server.dials[0]!.succeed()
    expect(late.entry).toBeDefined()
  })

  it("keeps the waiters of an unreachable server while a borrowed connection may come back", () => {
    const { ask, borrow, giveBack, server, time } = setUp()
    const holder = borrow()
    const waiter = ask()
    server.onDial = (dial) => dial.fail()
    server.dials[0]!.fail()
    time.advance(900)
    expect(waiter.answers).toBe(0)
    giveBack(holder)
    expect(waiter.entry).toBe(holder.entry)
  })

  it("names the last failed dial in the error of the deadline", () => {
    const { ask, borrow, server, time } = setUp()
    borrow()
    const waiter = ask()
    server.onDial = (dial) => dial.fail("transient", "refused")
    server.dials[0]!.fail("transient", "refused")
    time.advance(1_000)
    expect(waiter.failure).toMatchObject({ _tag: "Timeout", cause: "refused" })
    expect(waiter.failure!.stats.dialFailures).toBeGreaterThan(3)
  })

  it("keeps waiting while the server has too many connections, for however long", () => {
    const { ask, server, time } = setUp({ acquireTimeout: 5_000 })
    const waiter = ask()
    server.onDial = (dial) => dial.fail("full", "1040")
    server.dials[0]!.fail("full", "1040")
    time.advance(4_000)
    expect(waiter.answers).toBe(0)
    server.onDial = undefined
    time.advance(999)
    server.dials[0]!.succeed()
    expect(waiter.entry).toBeDefined()
  })

  const hammer = (kind: DialFailure, seconds: number) => {
    const { ask, server, time } = setUp({ size: 10, overflow: 10, acquireTimeout: 30_000 })
    server.onDial = (dial) => dial.fail(kind)
    const asked: Array<Borrowed> = []
    for (let i = 0; i < seconds * 100; i++) {
      asked.push(ask())
      time.advance(10)
    }
    return { dials: server.dialledAt.length, asked }
  }

  it("fails everyone at once when the login is refused, and does not hammer the server", () => {
    const { asked, dials } = hammer("permanent", 60)
    for (const { failure } of asked) expect(failure?._tag).toBe("DialFailed")
    // After 1, 2, 4 … 30 seconds.
    expect(dials).toBeLessThanOrEqual(8)
  })

  it("does not hammer an unreachable server either", () => {
    expect(hammer("transient", 60).dials).toBeLessThanOrEqual(100)
    expect(hammer("full", 60).dials).toBeLessThanOrEqual(100)
  })

  it("counts the same refusal of several dials under way once", () => {
    const { ask, server, time } = setUp({ size: 10 })
    for (let i = 0; i < 4; i++) ask()
    time.advance(5)
    for (const dial of [...server.dials]) {
      dial.fail("permanent")
      time.advance(1)
    }
    // As after a single refusal: a person who has corrected the account waits a second at most.
    time.advance(1_000)
    const borrowed = ask()
    expect(server.dials).toHaveLength(1)
    server.dials[0]!.succeed()
    expect(borrowed.entry).toBeDefined()
  })

  it("keeps the waiters of a refused login while a borrowed connection may come back", () => {
    const { ask, borrow, giveBack, server, time } = setUp({ size: 3, acquireTimeout: 30_000 })
    const holder = borrow()
    const waiter = ask()
    server.dials[0]!.fail("permanent", "1045")
    expect(waiter.answers).toBe(0)
    time.advance(100)
    giveBack(holder)
    expect(waiter.entry).toBe(holder.entry)
  })

  it("names the refused login in the error of the deadline", () => {
    const { ask, borrow, server, time } = setUp({ size: 3, acquireTimeout: 5_000 })
    borrow()
    const waiter = ask()
    server.onDial = (dial) => dial.fail("permanent", "1045")
    server.dials[0]!.fail("permanent", "1045")
    time.advance(5_000)
    expect(waiter.failure).toMatchObject({ _tag: "Timeout", cause: "1045" })
    // After 0.75, 1.5 … seconds.
    expect(server.dialledAt.length).toBeLessThanOrEqual(5)
  })

  it("dials again for those that still wait after the pause that follows a refused login", () => {
    const { ask, borrow, server, time } = setUp({ size: 3, acquireTimeout: 30_000 })
    borrow()
    const early = ask()
    server.dials[0]!.fail("permanent")
    const late = ask()
    expect([early.answers, late.answers]).toEqual([0, 0])
    time.advance(1_000)
    expect(server.dials).toHaveLength(1)
    server.dials[0]!.succeed()
    expect(early.entry).toBeDefined()
  })

  it("tries the login again when no borrowed connection is left that could come back", () => {
    const { ask, borrow, giveBack, server } = setUp({ size: 3, acquireTimeout: 30_000 })
    const holder = borrow()
    ask()
    server.dials[0]!.fail("permanent", "1045")
    const waiter = ask()
    giveBack(holder, "discard")
    expect(waiter.failure).toMatchObject({ _tag: "DialFailed", cause: "1045" })
  })
})

describe("the age of connections", () => {
  it("replaces an old connection at checkout", () => {
    const { ask, idle, pool, server, time } = setUp({ recycle: 10_000 })
    const [, entry] = idle(2)
    time.advance(10_000)
    ask()
    expect(entry!.connection.state).toBe("closed")
    expect(pool.stats).toMatchObject({ recycled: 2, dialling: 1, idle: 0 })
    expect(server.pings).toHaveLength(0)
  })

  it("replaces an old connection at its return, never while it is used", () => {
    const { borrow, giveBack, pool, time } = setUp({ recycle: 10_000 })
    const holder = borrow()
    time.advance(50_000)
    expect(holder.entry!.connection.state).toBe("open")
    giveBack(holder)
    expect(holder.entry!.connection.state).toBe("closed")
    expect(pool.stats).toMatchObject({ recycled: 1, size: 0 })
  })

  it("dials for a waiter when the returned connection was too old", () => {
    const { ask, borrow, giveBack, server, time } = setUp({ size: 1, overflow: 0, recycle: 10_000 })
    const holder = borrow()
    time.advance(50_000)
    const waiter = ask()
    giveBack(holder)
    server.dials[0]!.succeed()
    expect(waiter.entry).toBeDefined()
  })

  it("spreads the ages by up to a tenth, so that connections are not all replaced at once", () => {
    const { borrow, time } = setUp({ recycle: 10_000 })
    time.chance = 0
    const longest = borrow().entry!
    time.chance = 0.999
    const shortest = borrow().entry!
    expect(longest.expiresAt - longest.borrowedAt).toBe(10_000)
    expect(shortest.expiresAt - shortest.borrowedAt).toBeCloseTo(9_000, -1)
  })
})

describe("the ping before use", () => {
  it("is not sent on a connection that was used a moment ago", () => {
    const { ask, idle, server, time } = setUp()
    const [entry] = idle(1)
    time.advance(499)
    expect(ask().entry).toBe(entry)
    expect(server.pingsAsked).toBe(0)
  })

  it("is sent on one that was not, which counts as active meanwhile", () => {
    const { ask, idle, pool, server, time } = setUp()
    const [entry] = idle(1)
    time.advance(500)
    const borrowed = ask()
    expect(pool.stats).toMatchObject({ idle: 0, active: 1, waiting: 1, size: 1 })
    server.pings[0]!.answer(true)
    expect(borrowed.entry).toBe(entry)
    expect(server.dialledAt).toHaveLength(1)
  })

  it("is always sent where the skip is zero, and never where it is off", () => {
    const always = setUp({ pingSkip: 0 })
    always.idle(1)
    always.ask()
    expect(always.server.pingsAsked).toBe(1)
    const never = setUp({ prePing: false })
    never.idle(1)
    never.time.advance(50_000)
    expect(never.ask().entry).toBeDefined()
    expect(never.server.pingsAsked).toBe(0)
  })

  it("serves the borrower with another connection when it fails, and pings every connection opened before", () => {
    const { ask, giveBack, idle, pool, server, time } = setUp({ size: 3 })
    const [first, second, third] = idle(3)
    time.advance(600)
    const borrowed = ask()
    server.pings[0]!.answer(false)
    expect(third!.connection.state).toBe("destroyed")
    expect(server.pings[0]!.connection).toBe(second!.connection)
    server.pings[0]!.answer(true)
    expect(borrowed.entry).toBe(second)
    expect(pool.stats.discarded.pingFailed).toBe(1)
    // Used a moment ago, but older than the failure.
    giveBack(borrowed)
    pool.suspect()
    ask()
    expect(server.pings[0]!.connection).toBe(second!.connection)
    expect(first!.state).toBe("idle")
  })

  it("is sent on a suspect connection once, not at every later checkout", () => {
    const { ask, giveBack, idle, pool, server, time } = setUp()
    idle(1)
    pool.suspect()
    const borrowed = ask()
    server.pings[0]!.answer(true)
    time.advance(1)
    giveBack(borrowed)
    time.advance(1)
    expect(ask().entry).toBe(borrowed.entry)
    expect(server.pingsAsked).toBe(1)
  })

  it("is not waited for on each older connection in turn after one was silent", () => {
    const { ask, borrow, giveBack, idle, pool, server, time } = setUp({ size: 4, acquireTimeout: 5_000 })
    const away = borrow()
    const entries = idle(3)
    time.advance(600)
    const borrowed = ask()
    time.advance(999)
    expect(borrowed.answers).toBe(0)
    time.advance(1)
    for (const { connection } of entries) expect(connection.state).toBe("destroyed")
    time.advance(1)
    server.dials[0]!.succeed()
    expect(borrowed.entry).toBeDefined()
    expect(pool.stats.discarded).toMatchObject({ pingFailed: 1, invalidated: 2 })
    // The one in use goes when it comes back.
    giveBack(away)
    expect(away.entry!.connection.state).toBe("destroyed")
    expect(pool.stats.discarded.invalidated).toBe(3)
  })

  it("leaves the connection idle if its waiter has left meanwhile", () => {
    const { ask, idle, pool, server, time } = setUp()
    idle(1)
    time.advance(600)
    const borrowed = ask()
    borrowed.cancel()
    server.pings[0]!.answer(true)
    expect(pool.stats).toMatchObject({ idle: 1, active: 0 })
    expect(borrowed.answers).toBe(0)
    expect(time.pending).toBe(0)
  })
})

describe("connections that end by themselves", () => {
  it("drops an idle one at once and pings the others before their next use", () => {
    const { ask, idle, pool, server } = setUp()
    const [first, second] = idle(2)
    pool.lost(second!.connection)
    expect(pool.stats).toMatchObject({ idle: 1, size: 1, discarded: { broken: 1 } })
    ask()
    expect(server.pings[0]!.connection).toBe(first!.connection)
  })

  it("drops the others too where nothing is pinged", () => {
    const { idle, pool } = setUp({ prePing: false })
    const [, second] = idle(2)
    pool.lost(second!.connection)
    expect(pool.stats).toMatchObject({ size: 0, discarded: { broken: 1, invalidated: 1 } })
  })

  it("leaves a borrowed one to its borrower", () => {
    const { borrow, giveBack, pool, server } = setUp()
    const holder = borrow()
    pool.lost(holder.entry!.connection)
    expect(pool.stats.active).toBe(1)
    giveBack(holder, "discard")
    expect(server.open).toBe(0)
  })
})

describe("an idle connection for a KILL", () => {
  it("is the one used last of those that fit, without a ping, and counts as active", () => {
    const { idle, pool, server, time } = setUp({ size: 3 })
    const [first, second, third] = idle(3)
    time.advance(5_000)
    const entry = pool.takeIdle((connection) => connection !== third!.connection)
    expect(entry).toBe(second)
    expect(pool.stats).toMatchObject({ idle: 2, active: 1, size: 3 })
    expect(pool.takeIdle(() => false)).toBeUndefined()
    expect(server.pingsAsked).toBe(0)
    pool.release(entry!, "clean")
    expect(pool.stats).toMatchObject({ idle: 3, active: 0 })
    expect([first!.state, second!.state, third!.state]).toEqual(["idle", "idle", "idle"])
  })

  it("is none that is suspect, none of a closed pool, and nothing is dialled for it", () => {
    const { idle, pool, server } = setUp()
    idle(2)
    pool.suspect()
    expect(pool.takeIdle(() => true)).toBeUndefined()
    pool.shutdown(0, () => {})
    expect(pool.takeIdle(() => true)).toBeUndefined()
    expect(server.dials).toHaveLength(0)
  })

  it("goes to a waiter when it comes back, and is waited for by the shutdown", () => {
    const { ask, idle, pool } = setUp({ size: 1, overflow: 0 })
    idle(1)
    const entry = pool.takeIdle(() => true)!
    const waiter = ask()
    expect(waiter.answers).toBe(0)
    pool.release(entry, "clean")
    expect(waiter.entry).toBe(entry)
    pool.release(entry, "clean")
    let done = 0
    const again = pool.takeIdle(() => true)!
    pool.shutdown(5_000, () => done++)
    expect(done).toBe(0)
    pool.release(again, "clean")
    expect(done).toBe(1)
  })

  it("is destroyed if it did not answer", () => {
    const { idle, pool } = setUp()
    const [, entry] = idle(2)
    pool.release(pool.takeIdle(() => true)!, "discard")
    expect(entry!.connection.state).toBe("destroyed")
    expect(pool.stats).toMatchObject({ idle: 1, active: 0, discarded: { broken: 1 } })
  })
})

describe("cleaning", () => {
  it("resets before the next use, and counts as active meanwhile", () => {
    const { ask, borrow, giveBack, pool, server } = setUp({ size: 1, overflow: 0 })
    const holder = borrow()
    giveBack(holder, "reset")
    const waiter = ask()
    expect(pool.stats).toMatchObject({ active: 1, idle: 0, waiting: 1 })
    server.resets[0]!.answer(true)
    expect(waiter.entry).toBe(holder.entry)
  })

  it("does not dial for a waiter that a reset will serve", () => {
    const { ask, borrow, giveBack, server } = setUp()
    const holder = borrow()
    giveBack(holder, "reset")
    const first = ask()
    expect(server.dials).toHaveLength(0)
    ask()
    expect(server.dials).toHaveLength(1)
    server.resets[0]!.answer(true)
    expect(first.entry).toBe(holder.entry)
  })

  it("destroys a connection whose reset fails or gets no answer", () => {
    const { ask, borrow, giveBack, pool, server, time } = setUp({ size: 1, overflow: 0, acquireTimeout: 5_000 })
    const refused = borrow()
    giveBack(refused, "reset")
    server.resets[0]!.answer(false)
    const silent = borrow()
    giveBack(silent, "reset")
    const waiter = ask()
    time.advance(1_000)
    expect(silent.entry!.connection.state).toBe("destroyed")
    server.dials[0]!.succeed()
    expect(waiter.entry).toBeDefined()
    expect(pool.stats.discarded.resetFailed).toBe(2)
  })

  it("dials for the next waiter when a connection was discarded", () => {
    const { ask, borrow, giveBack, server } = setUp({ size: 1, overflow: 0 })
    const holder = borrow()
    const waiter = ask()
    giveBack(holder, "discard")
    expect(holder.entry!.connection.state).toBe("destroyed")
    server.dials[0]!.succeed()
    expect(waiter.entry).toBeDefined()
  })
})

describe("leaks", () => {
  it("are reported once, with the borrower", () => {
    const { borrow, giveBack, leaks, time } = setUp({ leakThreshold: 1_000 })
    const holder = borrow("the handler")
    time.advance(999)
    expect(leaks).toHaveLength(0)
    time.advance(1)
    expect(leaks).toEqual([{ borrower: "the handler", heldFor: 1_000 }])
    time.advance(10_000)
    expect(leaks).toHaveLength(1)
    giveBack(holder)
    borrow("another")
    time.advance(2_000)
    expect(leaks).toHaveLength(2)
  })

  it("are not reported for connections that come back in time, and no timer stays", () => {
    const { borrow, giveBack, leaks, time } = setUp({ leakThreshold: 1_000 })
    for (let i = 0; i < 10; i++) {
      const holder = borrow(i)
      time.advance(400)
      giveBack(holder)
    }
    time.advance(1_000)
    expect(leaks).toEqual([])
    expect(time.pending).toBe(0)
  })
})

describe("shutdown", () => {
  const shutDown = (pool: Pool<Connection>, grace = 5_000) => {
    const end = { done: 0 }
    pool.shutdown(grace, () => {
      end.done++
    })
    return end
  }

  it("closes the idle ones and is done at once", () => {
    const { ask, idle, pool, server, time } = setUp({ leakThreshold: 1_000 })
    idle(2)
    expect(shutDown(pool).done).toBe(1)
    expect(server.connections.map(({ state }) => state)).toEqual(["closed", "closed"])
    expect(time.pending).toBe(0)
    expect(ask().failure?._tag).toBe("Closed")
  })

  it("fails the waiters and gives up the dials, also those that succeed later", () => {
    const { ask, pool, server, time } = setUp()
    const waiters = [ask(), ask(), ask(), ask()]
    const [dial] = server.dials
    const end = shutDown(pool)
    for (const { failure } of waiters) expect(failure?._tag).toBe("Closed")
    expect(server.abandoned).toBe(3)
    expect(end.done).toBe(1)
    expect(dial!.succeed().state).toBe("destroyed")
    expect(pool.stats.size).toBe(0)
    expect(time.pending).toBe(0)
  })

  it("waits for the borrowed ones", () => {
    const { borrow, giveBack, pool, server, time } = setUp({ leakThreshold: 100 })
    const holders = [borrow(), borrow()]
    const end = shutDown(pool)
    giveBack(holders[0]!, "reset")
    expect(end.done).toBe(0)
    expect(server.resets).toHaveLength(0)
    giveBack(holders[1]!)
    expect(end.done).toBe(1)
    expect(server.connections.map(({ state }) => state)).toEqual(["closed", "closed"])
    expect(time.pending).toBe(0)
  })

  it("cuts connections that have not come back in time; their later release does no harm", () => {
    const { borrow, giveBack, pool, time } = setUp()
    const holder = borrow()
    const end = shutDown(pool)
    time.advance(4_999)
    expect(end.done).toBe(0)
    time.advance(1)
    expect(end.done).toBe(1)
    expect(holder.entry!.connection.state).toBe("destroyed")
    giveBack(holder)
    expect(end.done).toBe(1)
    expect(time.pending).toBe(0)
  })

  it("waits for pings and resets under way, and leaves none of their timers", () => {
    const { ask, borrow, giveBack, idle, pool, server, time } = setUp()
    const away = borrow()
    idle(1)
    time.advance(600)
    ask()
    giveBack(away, "reset")
    const end = shutDown(pool, 100)
    server.pings[0]!.answer(true)
    expect(end.done).toBe(0)
    time.advance(100)
    expect(end.done).toBe(1)
    expect(server.open).toBe(0)
    expect(time.pending).toBe(0)
    expect(pool.stats.discarded.pingFailed).toBe(0)
  })

  it("is not held up by the pause before the next dial", () => {
    const { ask, pool, server, time } = setUp()
    ask()
    server.dials[0]!.fail()
    expect(shutDown(pool).done).toBe(1)
    expect(time.pending).toBe(0)
  })
})
