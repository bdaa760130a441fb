/**
 * KILL QUERY for a statement, over another connection: an idle one of the pool, which works on a server that has no room
 * for one more, or else one that is dialled. If that fails too, over the next that becomes idle.
 */
import { KILL_AGAIN, KILL_ANSWER, KILL_SESSION } from "../deadlines.ts"
import { schedule } from "../waiting/schedule.ts"

/** A connection that takes a KILL to the server of its victim. */
export interface Side {
  readonly send: (sql: string, done: (error: unknown) => void) => void
  /** Gives it back. Not `healthy`: a KILL on it was not answered. */
  readonly end: (healthy: boolean) => void
}

/** Where sides come from. */
export interface Sides {
  /** An idle connection of the pool; undefined if there is none. */
  readonly lend: () => Side | undefined
  /** Dials one; calls back with undefined if that fails, never before it has returned. The function returned gives up. */
  readonly dial: (done: (side: Side | undefined) => void) => () => void
}

/** ER_NO_SUCH_THREAD: the session has ended by itself. */
const NO_SUCH_THREAD = 1094

/**
 * Sends KILL QUERY until the statement has ended, which the owner reports with `statementEnded`. One that arrives between
 * PREPARE and EXECUTE finds nothing to kill, so it is repeated.
 *
 * `done` is called when the statement has ended: with true if no KILL can hit what runs next on its connection. The
 * sides are kept until `end`, which the owner calls in any case, after a deadline of its own.
 */
export class KillQuery {
  readonly #threadId: number
  readonly #sides: Sides
  readonly #done: (reusable: boolean) => void
  /** The sides in use, and whether a KILL on them waits for its answer. */
  readonly #open = new Map<Side, boolean>()
  readonly #timers = new Set<() => void>()
  #giveUpDial: (() => void) | undefined
  #dialled = false
  #statementEnded = false
  /** A KILL got no answer: it may still be under way. */
  #astray = false
  #over = false

  constructor(threadId: number, sides: Sides, done: (reusable: boolean) => void) {
    this.#threadId = threadId
    this.#sides = sides
    this.#done = done
  }

  /** Sends KILL over the next side that there is. */
  start(): void {
    const side = this.#sides.lend()
    if (side === undefined) return this.#dial()
    // The network may have dropped an idle connection without a word.
    const cancel = this.#schedule(KILL_ANSWER, () => this.#dial())
    this.#sendOver(side, cancel)
  }

  /** `answered`: by the server. Otherwise its connection was lost, and it may still run. */
  statementEnded(answered: boolean): void {
    this.#statementEnded = true
    if (!answered) return this.#done(false)
    this.#checkEnd()
  }

  /** Gives the sides back. Unless the connection is `reusable` the statement may still run: KILL ends its whole session. */
  end(reusable: boolean): void {
    if (this.#over) return
    this.#over = true
    this.#cancelTimers()
    const free = reusable ? undefined : [...this.#open].find(([, waits]) => !waits)?.[0]
    for (const [side, waits] of this.#open) {
      if (side !== free) side.end(!waits)
    }
    if (free !== undefined) this.#killSession(free)
    if (this.#giveUpDial === undefined) return
    // The dial may still come in time.
    if (!reusable && free === undefined) this.#schedule(KILL_SESSION, this.#giveUpDial)
    else this.#giveUpDial()
  }

  #dial(): void {
    if (this.#dialled) return this.#fail()
    this.#dialled = true
    this.#giveUpDial = this.#sides.dial((side) => {
      this.#giveUpDial = undefined
      if (!this.#over) return side === undefined ? this.#fail() : this.#sendOver(side)
      this.#cancelTimers()
      if (side !== undefined) this.#killSession(side)
    })
  }

  #sendOver(side: Side, onAnswer = (): void => {}): void {
    if (this.#statementEnded) {
      this.#open.set(side, false)
      return this.#checkEnd()
    }
    this.#open.set(side, true)
    side.send(`KILL QUERY ${this.#threadId}`, (error) => {
      onAnswer()
      if (this.#over) return
      this.#open.set(side, false)
      const worked = error === null || errnoOf(error) === NO_SUCH_THREAD
      if (!worked) {
        const answered = errnoOf(error) !== undefined
        if (!answered) this.#astray = true
        this.#open.delete(side)
        side.end(answered)
      }
      if (this.#statementEnded) this.#checkEnd()
      else if (worked) this.#schedule(KILL_AGAIN, () => this.#sendOver(side))
      else this.start()
    })
  }

  #checkEnd(): void {
    if (!this.#over && ![...this.#open.values()].includes(true)) this.#done(!this.#astray)
  }

  /** There is no side now. Unless one is in use or being dialled, looks again whether one has become idle. */
  #fail(): void {
    if (!this.#over && this.#open.size === 0 && this.#giveUpDial === undefined) {
      this.#schedule(KILL_AGAIN, () => this.start())
    }
  }

  #killSession(side: Side): void {
    let ended = false
    const end = (healthy: boolean): void => {
      if (ended) return
      ended = true
      cancel()
      side.end(healthy)
    }
    const cancel = schedule(KILL_SESSION, () => end(false))
    side.send(`KILL ${this.#threadId}`, (error) => end(error === null || errnoOf(error) === NO_SUCH_THREAD))
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
  }

  #schedule(delay: number, task: () => void): () => void {
    const cancel = schedule(delay, () => {
      this.#timers.delete(cancel)
      task()
    })
    this.#timers.add(cancel)
    return () => {
      this.#timers.delete(cancel)
      cancel()
    }
  }
}

/** The number of an error that the server sent. Node's own are negative. */
const errnoOf = (error: unknown): number | undefined => {
  const { errno } = error as { readonly errno?: number }
  return errno !== undefined && errno > 0 ? errno : undefined
}
