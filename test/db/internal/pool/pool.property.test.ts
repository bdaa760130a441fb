import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { DialFailure, Entry, Return } from "../../../../src/db/internal/pool/model.ts"
import { Pool } from "../../../../src/db/internal/pool/pool.ts"
import { type Connection, Server, Time } from "../../../support/db/poolSimulation.ts"

const SIZE = 2
const OVERFLOW = 2
const ACQUIRE = 1_000

type Step =
  | { readonly _tag: "acquire" }
  | { readonly _tag: "cancel" | "dialOk" | "lose"; readonly which: number }
  | { readonly _tag: "release"; readonly which: number; readonly how: Return }
  | { readonly _tag: "dialFail"; readonly which: number; readonly kind: DialFailure }
  | { readonly _tag: "ping" | "reset"; readonly which: number; readonly ok: boolean }
  | { readonly _tag: "suspect" | "invalidate" | "kill" }
  | { readonly _tag: "pass"; readonly millis: number }

const { boolean, constant, constantFrom, nat, oneof, record } = FastCheck
const which = nat(9)
const step: FastCheck.Arbitrary<Step> = oneof(
  { weight: 6, arbitrary: record({ _tag: constant("acquire" as const) }) },
  { weight: 1, arbitrary: record({ _tag: constant("cancel" as const), which }) },
  { weight: 4, arbitrary: record({ _tag: constant("dialOk" as const), which }) },
  {
    weight: 5,
    arbitrary: record({
      _tag: constant("release" as const),
      which,
      how: constantFrom<Array<Return>>("clean", "clean", "clean", "reset", "discard")
    })
  },
  {
    weight: 2,
    arbitrary: record({
      _tag: constant("dialFail" as const),
      which,
      kind: constantFrom<Array<DialFailure>>("transient", "transient", "full", "permanent")
    })
  },
  { weight: 3, arbitrary: record({ _tag: constantFrom("ping" as const, "reset" as const), which, ok: boolean() }) },
  { weight: 1, arbitrary: record({ _tag: constant("lose" as const), which }) },
  { weight: 1, arbitrary: record({ _tag: constantFrom("suspect" as const, "invalidate" as const) }) },
  { weight: 2, arbitrary: record({ _tag: constant("kill" as const) }) },
  {
    weight: 4,
    arbitrary: record({ _tag: constant("pass" as const), millis: constantFrom(1, 20, 300, 600, 1_100, 9_000) })
  }
)

interface Borrower {
  readonly number: number
  readonly since: number
  readonly cancel: () => void
}

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`does not hold: ${what}`)
}

/** A pool in a simulated world, with what must hold of it looked at after every step. */
class World {
  readonly time = new Time()
  readonly server = new Server(this.time)
  readonly pool = new Pool<Connection>(this.server, this.time, {
    size: SIZE,
    overflow: OVERFLOW,
    acquireTimeout: ACQUIRE,
    connectTimeout: 500,
    recycle: 5_000,
    prePing: true,
    pingSkip: 500,
    leakThreshold: 2_000,
    onLeak: (entry) => must(this.time.now() - entry.borrowedAt >= 2_000, "a leak is what was held too long")
  })
  readonly waiting: Array<Borrower> = []
  readonly held: Array<Entry<Connection>> = []
  #asked = 0

  acquire(): void {
    const number = ++this.#asked
    let early = false
    const leave = (): void => {
      const index = this.waiting.findIndex((borrower) => borrower.number === number)
      if (index < 0) {
        // Answered before `acquire` returned; the second time it happens is a defect.
        must(!early, "a request is answered once")
        early = true
      } else {
        this.waiting.splice(index, 1)
      }
    }
    const cancel = this.pool.acquire({
      label: number,
      onEntry: (entry) => {
        must(this.waiting.every((other) => other.number >= number), "the one who has waited longest comes first")
        must(!this.held.includes(entry), "a connection is lent once")
        must(entry.connection.state === "open", "a connection is open when it is lent")
        must(entry.expiresAt > this.time.now(), "no connection is lent that is too old")
        this.held.push(entry)
        leave()
      },
      onFailure: ({ _tag, stats }) => {
        must(_tag !== "DialFailed" || stats.active === 0, "a failed dial fails nobody while a connection may come back")
        leave()
      }
    })
    if (!early) this.waiting.push({ number, since: this.time.now(), cancel })
  }

  idle(): ReadonlyArray<Connection> {
    const { connections, pings, resets } = this.server
    const busy = new Set([...this.held, ...pings, ...resets].map(({ connection }) => connection))
    return connections.filter((connection) => connection.state === "open" && !busy.has(connection))
  }

  run(given: Step): void {
    switch (given._tag) {
      case "acquire":
        return this.acquire()
      case "cancel": {
        const [gone] = this.waiting.splice(given.which, 1)
        return gone?.cancel()
      }
      case "release": {
        const [entry] = this.held.splice(given.which, 1)
        if (entry !== undefined) this.pool.release(entry, given.how)
        return
      }
      case "dialOk":
        this.server.dials[given.which]?.succeed()
        return
      case "dialFail":
        return this.server.dials[given.which]?.fail(given.kind)
      case "ping":
        return this.server.pings[given.which]?.answer(given.ok)
      case "reset":
        return this.server.resets[given.which]?.answer(given.ok)
      case "lose": {
        const lost = this.idle()[given.which]
        return lost === undefined ? undefined : this.pool.lost(lost)
      }
      case "suspect":
        return this.pool.suspect()
      case "invalidate":
        return this.pool.invalidate()
      case "kill": {
        const entry = this.pool.takeIdle(({ id }) => id % 2 === 0)
        if (entry === undefined) return
        must(entry.connection.id % 2 === 0, "a connection for a KILL fits")
        must(entry.connection.state === "open" && !this.held.includes(entry), "it is open, and lent to nobody else")
        this.held.push(entry)
        return
      }
      case "pass":
        return this.time.advance(given.millis)
    }
  }

  check(): void {
    const { pool, server, time } = this
    const { active, dialling, idle, max, size, waiting } = pool.stats
    const checks = server.pings.length + server.resets.length
    must(size === idle + active + dialling && size <= max, "the entries add up, within the cap")
    must(idle <= SIZE, "no overflow is kept")
    must(waiting === this.waiting.length, "the pool knows who waits")
    must(dialling === server.dials.length && dialling <= 4, "dials are counted and bounded")
    must(active === this.held.length + checks, "active is held, pinged or reset")
    must(server.open === idle + active, "no connection is open beside the entries")
    must(waiting === 0 || idle === 0 || checks + dialling >= waiting, "nobody waits while an idle one is usable")
    must(waiting === 0 || size + time.pending > 0, "nobody waits for nothing")
    must(this.waiting.every(({ since }) => time.now() - since < ACQUIRE), "nobody waits beyond the deadline")
  }

  /** From now on the server is well and borrowers are quick: everyone is served, in order. */
  recover(): void {
    const { server } = this
    server.onDial = (dial) => dial.succeed()
    for (const dial of [...server.dials]) dial.succeed()
    for (let rounds = 0; this.waiting.length > 0; rounds++) {
      must(rounds < 1_000, "a healthy server serves everyone")
      for (const each of [...server.pings, ...server.resets]) each.answer(true)
      for (const entry of this.held.splice(0)) this.pool.release(entry, "clean")
      this.time.advance(1)
      this.check()
    }
  }
}

const run = (steps: ReadonlyArray<Step>): World => {
  const world = new World()
  for (const each of steps) {
    world.run(each)
    world.check()
  }
  return world
}

describe("whatever happens", () => {
  it("the entries add up, nobody is forgotten, and a healthy server serves everyone", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { minLength: 20, maxLength: 120, size: "max" }), (steps) => {
        const world = run(steps)
        const { timeouts } = world.pool.stats
        world.acquire()
        world.recover()
        expect(world.pool.stats.timeouts).toBe(timeouts)
      }),
      { numRuns: 1_000 }
    )
  })

  it("a shutdown answers everyone, ends every connection and leaves no timer", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(step, { minLength: 10, maxLength: 80, size: "max" }),
        FastCheck.array(step, { maxLength: 20 }),
        (before, after) => {
          const world = run(before)
          let done = 0
          world.pool.shutdown(3_000, () => done++)
          expect(world.waiting).toHaveLength(0)
          expect(world.server.dials).toHaveLength(0)
          for (const each of after) world.run(each)
          for (const entry of world.held.splice(1)) world.pool.release(entry, "reset")
          world.time.advance(3_000)
          expect(done).toBe(1)
          expect(world.pool.stats).toMatchObject({ size: 0, waiting: 0 })
          expect(world.server.open).toBe(0)
          expect(world.time.pending).toBe(0)
          for (const entry of world.held.splice(0)) world.pool.release(entry, "clean")
          expect(done).toBe(1)
        }
      ),
      { numRuns: 500 }
    )
  })

  it("an unreachable server is dialled with restraint", () => {
    const kinds = constantFrom<Array<DialFailure>>("transient", "full", "permanent")
    FastCheck.assert(
      FastCheck.property(kinds, FastCheck.array(nat(100), { minLength: 50, maxLength: 200 }), (kind, gaps) => {
        const world = new World()
        world.server.onDial = (dial) => dial.fail(kind)
        for (const gap of gaps) {
          world.acquire()
          world.time.advance(gap)
          world.check()
        }
        // Ten milliseconds doubled until a second, half of it certain: no more than this.
        expect(world.server.dialledAt.length).toBeLessThanOrEqual(10 + world.time.now() / 500)
      }),
      { numRuns: 200 }
    )
  })
})
