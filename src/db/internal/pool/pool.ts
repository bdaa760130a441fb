/**
 * The pool of one database: a state machine that knows nothing of MySQL, of Effect or of the time of day.
 *
 * Borrowers wait on the pool, never on a dial or a ping of their own: whatever connection becomes usable first goes to
 * the borrower that has waited longest. At all times `size = idle + active + dialling`; an entry that is being pinged
 * or reset counts as active. All calls are synchronous. Answers come by callback, exactly once.
 *
 * One file because these invariants hold over all of its transitions, and are checked by reading them together.
 */
import { PING, RESET } from "../deadlines.ts"
import { DialBackoff } from "./dialBackoff.ts"
import { LeakWatch } from "./leakWatch.ts"
import type {
  AcquireFailure,
  Borrower,
  ConnectionFactory,
  Counts,
  Dialled,
  DiscardReason,
  Entry,
  Levels,
  Options,
  Return,
  Stats,
  Surroundings
} from "./model.ts"
import { Waiters } from "./waiters.ts"

/** Connections live up to this fraction less than `recycle`, so that those opened together are not replaced together. */
const RECYCLE_JITTER = 0.1

export class Pool<C> {
  readonly #factory: ConnectionFactory<C>
  readonly #around: Surroundings
  readonly #options: Options
  readonly #max: number

  // A stack: the connection used last is handed out first, so those that a quiet pool does not need grow old.
  readonly #idle: Array<Entry<C>> = []
  readonly #active = new Set<Entry<C>>()
  readonly #dials = new Set<() => void>()
  readonly #waiters: Waiters<C>
  /** Entries that are being pinged or reset. */
  #checking = 0

  #suspectBefore = -1
  #generation = 0

  readonly #dialBackoff: DialBackoff
  readonly #leakWatch: LeakWatch<C>

  #closed = false
  #cancelGrace: (() => void) | undefined
  #onDrained: (() => void) | undefined

  readonly #counts = {
    opened: 0,
    dialFailures: 0,
    timeouts: 0,
    recycled: 0,
    discarded: { broken: 0, pingFailed: 0, resetFailed: 0, overflow: 0, invalidated: 0 }
  }

  constructor(factory: ConnectionFactory<C>, around: Surroundings, options: Options) {
    this.#factory = factory
    this.#around = around
    this.#options = options
    this.#max = options.size + options.overflow
    this.#waiters = new Waiters(around, options.acquireTimeout, () => {
      const failure = this.#failure("Timeout")
      this.#counts.timeouts++
      return failure
    })
    this.#dialBackoff = new DialBackoff(around, () => this.#pump())
    this.#leakWatch = new LeakWatch(around, options.leakThreshold, this.#active, options.onLeak)
  }

  /** Why no connection can be opened: the cause of the last attempt. Undefined after one that succeeded. */
  get lastFailure(): unknown {
    return this.#dialBackoff.lastFailure
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The numbers since the start; live, not a copy. */
  get counts(): Counts {
    return this.#counts
  }

  get levels(): Levels {
    return {
      idle: this.#idle.length,
      active: this.#active.size,
      dialling: this.#dials.size,
      waiting: this.#waiters.size
    }
  }

  get stats(): Stats {
    const size = this.#size()
    return {
      ...this.levels,
      size,
      overflow: Math.max(0, size - this.#options.size),
      max: this.#max,
      ...this.#counts,
      discarded: { ...this.#counts.discarded }
    }
  }

  /**
   * Asks for a connection. Exactly one of the borrower's callbacks is called, perhaps before this returns, unless the
   * returned function takes the request back first; after the answer it does nothing. One deadline covers the queue,
   * pings, dials, login and session set-up.
   */
  acquire(borrower: Borrower<C>): () => void {
    if (this.#closed) {
      borrower.onFailure(this.#failure("Closed"))
      return ignore
    }
    const now = this.#around.now()
    if (this.#waiters.size === 0) {
      const entry = this.#takeFresh(now)
      if (entry !== undefined) {
        this.#hand(entry, borrower, now)
        return ignore
      }
      if (this.#dialBackoff.permanentFailure !== undefined && this.#size() === 0) {
        borrower.onFailure(this.#failure("DialFailed", this.#dialBackoff.permanentFailure.cause))
        return ignore
      }
    }
    const leave = this.#waiters.join(borrower, now)
    this.#pump()
    return leave
  }

  /**
   * Lends an idle connection that `fits`, the one used last first, without a ping: for work that does no harm on a dead
   * one. It is given back by `release`.
   */
  takeIdle(fits: (connection: C) => boolean): Entry<C> | undefined {
    const index = this.#idle.findLastIndex(
      ({ connection, lastUsed }) => lastUsed > this.#suspectBefore && fits(connection)
    )
    if (index < 0) return undefined
    const [entry] = this.#idle.splice(index, 1)
    this.#enter(entry!, undefined, this.#around.now())
    return entry
  }

  /** Takes a connection back. Releasing an entry twice is a defect of the caller, and throws unless it is gone. */
  release(entry: Entry<C>, how: Return): void {
    this.#retire(entry)
    if (entry.state === "gone") return
    const now = this.#around.now()
    if (how === "discard") {
      this.#destroy(entry, "broken")
    } else if (how === "reset" && !this.#closed) {
      this.#reset(entry)
    } else {
      this.#giveBack(entry, now)
    }
    this.#pump()
    this.#checkDrained()
  }

  /** An idle connection died by itself: it leaves the pool now instead of at its next checkout. */
  lost(connection: C): void {
    const index = this.#idle.findIndex((entry) => entry.connection === connection)
    if (index < 0) return
    const [entry] = this.#idle.splice(index, 1)
    this.#destroy(entry!, "broken")
    this.suspect()
    this.#checkDrained()
  }

  /** A connection turned out dead: those idle now must be pinged before use. Without `prePing` all are closed. */
  suspect(): void {
    if (this.#options.prePing) {
      this.#suspectBefore = this.#around.now()
    } else {
      this.invalidate()
    }
  }

  /** Closes all connections opened before now: idle ones at once, borrowed ones when they come back. */
  invalidate(): void {
    this.#generation++
    while (this.#idle.length > 0) this.#destroy(this.#idle.pop()!, "invalidated")
    this.#checkDrained()
  }

  /**
   * Closes the pool: waiters fail, dials are given up, idle connections are closed. Borrowed ones are closed as they come
   * back, and cut after `grace` milliseconds. `done` is called when no entry is left.
   */
  shutdown(grace: number, done: () => void): void {
    this.#closed = true
    this.#onDrained = done
    this.#waiters.close()
    this.#dialBackoff.cancel()
    this.#leakWatch.cancel()
    this.#cancelGrace?.()
    for (const giveUp of [...this.#dials]) {
      this.#dials.delete(giveUp)
      giveUp()
    }
    this.#waiters.failAll(() => this.#failure("Closed"))
    while (this.#idle.length > 0) this.#close(this.#idle.pop()!)
    if (this.#active.size > 0) {
      this.#cancelGrace = this.#around.schedule(grace, () => {
        for (const entry of [...this.#active]) {
          // The borrower still holds it: its statements fail now, and its release finds the entry gone.
          this.#active.delete(entry)
          this.#destroy(entry, "broken")
        }
        this.#checkDrained()
      })
    }
    this.#checkDrained()
  }

  #size(): number {
    return this.#idle.length + this.#active.size + this.#dials.size
  }

  /** Serves waiters and supplies connections. Called after every change that could let a waiter go on. */
  #pump(): void {
    while (this.#waiters.size > 0 && !this.#closed) {
      const now = this.#around.now()
      const fresh = this.#takeFresh(now)
      if (fresh !== undefined) {
        this.#handToFirst(fresh, now)
        continue
      }
      // Every ping, reset and dial under way will serve one waiter.
      if (this.#checking + this.#dials.size >= this.#waiters.size) return
      const stale = this.#idle.pop()
      if (stale !== undefined) {
        this.#check(stale)
      } else if (this.#mayDial()) {
        this.#dial(now)
      } else {
        // No connection is left that could come back, and the next dial is known to fail.
        if (this.#dialBackoff.permanentFailure !== undefined && this.#size() === 0) {
          this.#failWaiters(this.#dialBackoff.permanentFailure.cause)
        }
        return
      }
    }
  }

  /** The most recently used idle connection, if it can be handed out without a ping. Expired ones above it are closed. */
  #takeFresh(now: number): Entry<C> | undefined {
    for (;;) {
      const entry = this.#idle[this.#idle.length - 1]
      if (entry === undefined) return undefined
      if (entry.expiresAt <= now) {
        this.#idle.pop()
        this.#counts.recycled++
        this.#close(entry)
      } else if (this.#needsPing(entry, now)) {
        return undefined
      } else {
        this.#idle.pop()
        return entry
      }
    }
  }

  #needsPing(entry: Entry<C>, now: number): boolean {
    return this.#options.prePing
      && (entry.lastUsed <= this.#suspectBefore || now - entry.lastUsed >= this.#options.pingSkip)
  }

  #check(entry: Entry<C>): void {
    this.#enter(entry, undefined, this.#around.now())
    this.#checking++
    this.#bounded(PING, (done) => this.#factory.ping(entry.connection, done), (answer) => {
      if (entry.state === "gone") return
      this.#checking--
      this.#retire(entry)
      const now = this.#around.now()
      if (answer === true) {
        this.#giveBack(entry, now)
      } else {
        this.#destroy(entry, "pingFailed")
        // After a failed ping the others are pinged too. After silence they are closed: each ping may cost a deadline.
        if (answer === undefined) this.invalidate()
        else this.suspect()
      }
      this.#pump()
      this.#checkDrained()
    })
  }

  #reset(entry: Entry<C>): void {
    this.#enter(entry, undefined, this.#around.now())
    this.#checking++
    this.#bounded(RESET, (done) => this.#factory.reset(entry.connection, done), (answer) => {
      if (entry.state === "gone") return
      this.#checking--
      this.#retire(entry)
      if (answer === true) this.#giveBack(entry, this.#around.now())
      else this.#destroy(entry, "resetFailed")
      this.#pump()
      this.#checkDrained()
    })
  }

  /** Runs one step on a connection under a deadline. `undefined` means no answer in time. */
  #bounded(
    deadline: number,
    step: (done: (ok: boolean) => void) => void,
    then: (answer: boolean | undefined) => void
  ): void {
    let answered = false
    const finish = (answer: boolean | undefined): void => {
      if (answered) return
      answered = true
      cancel()
      then(answer)
    }
    const cancel = this.#around.schedule(deadline, () => finish(undefined))
    step(finish)
  }

  #mayDial(): boolean {
    return this.#size() < this.#max && this.#dials.size < this.#dialBackoff.limit
  }

  #dial(now: number): void {
    let finished = false
    const giveUp = (): void => {
      if (finished) return
      finished = true
      abandon()
    }
    this.#dials.add(giveUp)
    const abandon = this.#factory.dial((result) => {
      if (finished) {
        if (result._tag === "Connected") this.#factory.destroy(result.connection)
        return
      }
      finished = true
      this.#dials.delete(giveUp)
      if (result._tag === "Connected") this.#dialled(result.connection)
      else this.#dialFailed(now, result)
      this.#pump()
    })
  }

  #dialled(connection: C): void {
    const now = this.#around.now()
    this.#counts.opened++
    this.#dialBackoff.succeeded()
    const life = this.#options.recycle * (1 - RECYCLE_JITTER * this.#around.random())
    this.#giveBack({
      connection,
      generation: this.#generation,
      expiresAt: now + life,
      lastUsed: now,
      borrowedAt: now,
      borrower: undefined,
      reported: false,
      state: "idle"
    }, now)
  }

  #dialFailed(startedAt: number, { cause, kind }: Dialled<C> & { readonly _tag: "Failed" }): void {
    const now = this.#around.now()
    this.#counts.dialFailures++
    const failingFor = this.#dialBackoff.failed(cause, kind, startedAt)
    // A borrowed connection may come back before the deadline, and a full server may free a place.
    if (this.#active.size > 0 || kind === "full") return
    if (kind === "permanent") return this.#failWaiters(cause)
    if (failingFor < this.#options.connectTimeout) return
    // A borrower that arrived late during this dial goes on waiting: the next dial may succeed.
    this.#failWaiters(cause, Math.max(startedAt, now - this.#options.connectTimeout / 2))
  }

  #failWaiters(cause: unknown, arrivedBy?: number): void {
    this.#waiters.failAll(() => this.#failure("DialFailed", cause), arrivedBy)
  }

  /** A connection goes to the longest-waiting borrower or to the idle ones, or is closed if it is old or surplus. */
  #giveBack(entry: Entry<C>, now: number): void {
    if (this.#closed) {
      this.#close(entry)
    } else if (entry.expiresAt <= now) {
      this.#counts.recycled++
      this.#close(entry)
    } else if (entry.generation < this.#generation) {
      this.#destroy(entry, "invalidated")
    } else if (this.#waiters.size > 0) {
      this.#handToFirst(entry, now)
    } else if (this.#idle.length >= this.#options.size) {
      this.#counts.discarded.overflow++
      this.#close(entry)
    } else {
      entry.state = "idle"
      this.#idle.push(entry)
    }
  }

  #handToFirst(entry: Entry<C>, now: number): void {
    this.#hand(entry, this.#waiters.take()!, now)
  }

  #hand(entry: Entry<C>, borrower: Borrower<C>, now: number): void {
    this.#enter(entry, borrower.label, now)
    borrower.onEntry(entry)
  }

  #enter(entry: Entry<C>, label: unknown, now: number): void {
    entry.state = "active"
    entry.borrowedAt = now
    entry.borrower = label
    entry.reported = false
    this.#active.add(entry)
    this.#leakWatch.arm()
  }

  /** The borrower, or the pool's own ping or reset, is done with the entry. */
  #retire(entry: Entry<C>): void {
    if (!this.#active.delete(entry)) {
      if (entry.state === "gone") return
      throw new Error("A pooled connection was released twice")
    }
    entry.lastUsed = this.#around.now()
  }

  #close(entry: Entry<C>): void {
    entry.state = "gone"
    this.#factory.close(entry.connection)
  }

  #destroy(entry: Entry<C>, reason: DiscardReason): void {
    if (entry.state === "gone") return
    entry.state = "gone"
    this.#counts.discarded[reason]++
    this.#factory.destroy(entry.connection)
  }

  #failure(tag: AcquireFailure["_tag"], cause: unknown = this.#dialBackoff.lastFailure): AcquireFailure {
    return { _tag: tag, stats: this.stats, cause }
  }

  #checkDrained(): void {
    if (this.#onDrained === undefined || this.#size() > 0) return
    const done = this.#onDrained
    this.#onDrained = undefined
    this.#cancelGrace?.()
    this.#leakWatch.cancel()
    done()
  }
}

const ignore = (): void => {}
