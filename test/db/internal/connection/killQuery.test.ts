/** KILL over connections that do what the test tells them to. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { KillQuery, type Side } from "../../../../src/db/internal/connection/killQuery.ts"

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

const refused = { errno: 1095 }
const lost = { code: "ECONNRESET" }

class FakeSide implements Side {
  readonly sent: Array<string> = []
  /** How it was given back. */
  ended: boolean | undefined
  #answer: ((error: unknown) => void) | undefined

  readonly send: Side["send"] = (sql, done) => {
    if (this.#answer !== undefined) throw new Error("one statement at a time")
    this.sent.push(sql)
    this.#answer = done
  }

  readonly end = (healthy: boolean): void => {
    if (this.ended !== undefined) throw new Error("given back twice")
    this.ended = healthy
    this.answer(lost)
  }

  answer(error: unknown = null): void {
    const answer = this.#answer
    this.#answer = undefined
    answer?.(error)
  }
}

const setUp = (idle: ReadonlyArray<FakeSide> = []) => {
  const waiting = [...idle]
  const state = { dials: 0, gaveUp: 0, results: [] as Array<boolean>, connect: (_side: Side | undefined) => {} }
  const kill = new KillQuery(7, {
    lend: () => waiting.shift(),
    dial: (done) => {
      state.dials++
      state.connect = done
      return () => {
        state.gaveUp++
      }
    }
  }, (reusable) => {
    state.results.push(reusable)
    kill.end(reusable)
  })
  kill.start()
  return { kill, state, become: (side: FakeSide) => void waiting.push(side) }
}

const pass = (millis: number): void => {
  // What is due is run after the sockets have been read.
  vi.advanceTimersByTime(millis + 5)
}

describe("KILL QUERY", () => {
  it("goes over an idle connection, which is given back when both have answered", () => {
    const side = new FakeSide()
    const { kill, state } = setUp([side])
    expect(side.sent).toEqual(["KILL QUERY 7"])
    kill.statementEnded(true)
    expect(state.results).toEqual([])
    side.answer()
    expect(state).toMatchObject({ results: [true], dials: 0 })
    expect(side.ended).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is repeated until the statement has ended", () => {
    const side = new FakeSide()
    const { kill, state } = setUp([side])
    side.answer()
    pass(50)
    side.answer({ errno: 1094 })
    pass(50)
    expect(side.sent).toHaveLength(3)
    side.answer()
    kill.statementEnded(true)
    expect(state.results).toEqual([true])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is dialled for if nothing is idle", () => {
    const { kill, state } = setUp()
    const side = new FakeSide()
    state.connect(side)
    side.answer()
    kill.statementEnded(true)
    expect(state).toMatchObject({ dials: 1, results: [true], gaveUp: 0 })
    expect(side.ended).toBe(true)
  })

  it("gives a dial up that is not needed any more", () => {
    const { kill, state } = setUp()
    kill.statementEnded(true)
    expect(state).toMatchObject({ results: [true], gaveUp: 1 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it("tries the next connection where one is refused, and dials after the last", () => {
    const [first, second, dialled] = [new FakeSide(), new FakeSide(), new FakeSide()]
    const { kill, state } = setUp([first, second])
    first.answer(refused)
    expect(first.ended).toBe(true)
    expect(second.sent).toEqual(["KILL QUERY 7"])
    second.answer(refused)
    expect(state.dials).toBe(1)
    state.connect(dialled)
    dialled.answer()
    kill.statementEnded(true)
    expect(state.results).toEqual([true])
  })

  it("may have been carried out where its connection was lost: what it was meant for cannot be used again", () => {
    const [first, second] = [new FakeSide(), new FakeSide()]
    const { kill, state } = setUp([first, second])
    first.answer(lost)
    expect(first.ended).toBe(false)
    second.answer()
    kill.statementEnded(true)
    expect(state.results).toEqual([false])
  })

  it("is dialled for when an idle connection does not answer, and both answers are waited for", () => {
    const [silent, dialled] = [new FakeSide(), new FakeSide()]
    const { kill, state } = setUp([silent])
    pass(300)
    expect(state.dials).toBe(1)
    state.connect(dialled)
    dialled.answer()
    kill.statementEnded(true)
    expect(state.results).toEqual([])
    silent.answer()
    expect(state.results).toEqual([true])
    expect([silent.ended, dialled.ended]).toEqual([true, true])
  })

  it("discards an idle connection that never answers, and ends the session over the other", () => {
    const [silent, dialled] = [new FakeSide(), new FakeSide()]
    const { kill, state } = setUp([silent])
    pass(300)
    state.connect(dialled)
    dialled.answer()
    // The owner's deadline.
    kill.end(false)
    expect(silent.ended).toBe(false)
    expect(dialled.sent).toEqual(["KILL QUERY 7", "KILL 7"])
    expect(dialled.ended).toBeUndefined()
    dialled.answer()
    expect(dialled.ended).toBe(true)
    expect(state.gaveUp).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("takes the next connection that becomes idle where the dial fails, and dials once", () => {
    const side = new FakeSide()
    const { become, kill, state } = setUp([side])
    pass(300)
    side.answer(lost)
    state.connect(undefined)
    pass(200)
    const next = new FakeSide()
    become(next)
    pass(50)
    expect(next.sent).toEqual(["KILL QUERY 7"])
    next.answer(refused)
    pass(200)
    expect(state).toMatchObject({ dials: 1, results: [] })
    kill.end(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("waits for the idle connection where the dial fails", () => {
    const side = new FakeSide()
    const { kill, state } = setUp([side])
    pass(300)
    state.connect(undefined)
    expect(state.results).toEqual([])
    side.answer()
    kill.statementEnded(true)
    expect(state.results).toEqual([true])
  })

  it("still ends the session on the server when the dial comes after the owner's deadline", () => {
    const { kill, state } = setUp()
    kill.end(false)
    expect(state.gaveUp).toBe(0)
    pass(500)
    const late = new FakeSide()
    state.connect(late)
    expect(late.sent).toEqual(["KILL 7"])
    late.answer({ errno: 1094 })
    expect(late.ended).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("does not wait for such a dial, or for the answer to such a KILL, for longer than a second", () => {
    const dialling = setUp()
    dialling.kill.end(false)
    pass(1_000)
    expect(dialling.state.gaveUp).toBe(1)
    const side = new FakeSide()
    const silent = setUp([side])
    side.answer()
    silent.kill.end(false)
    expect(side.sent).toEqual(["KILL QUERY 7", "KILL 7"])
    pass(1_000)
    expect(side.ended).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("ends the session where the connection of the statement was lost", () => {
    const side = new FakeSide()
    const { kill, state } = setUp([side])
    side.answer()
    kill.statementEnded(false)
    expect(state.results).toEqual([false])
    expect(side.sent).toEqual(["KILL QUERY 7", "KILL 7"])
    side.answer()
    expect(side.ended).toBe(true)
  })
})
