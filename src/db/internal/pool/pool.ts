/**
 * The pool of one database: a state machine that knows nothing of MySQL, of Effect or of the wall clock.
 *
 * Borrowers always wait on the pool, never on a dial or a ping of their own: whatever connection becomes usable first
 * goes to the one who has waited longest. At every moment `slots = idle + active + dialling`, and a slot that is being
 * pinged or reset counts as active. All calls are synchronous; answers come by callback, exactly once.
 */

import { Line } from "../waiting/waitQueue.ts"
import type {
  AcquireFailure,
  Borrower,
  Counts,
  Dialled,
  DiscardReason,
  Driver,
  Levels,
  Options,
  Return,
  Slot,
  Stats,
  Surroundings
} from "./model.ts"
import { Redial } from "./dialBackoff.ts"

const PING_DEADLINE = 1_000
const RESET_DEADLINE = 1_000
const RECYCLE_JITTER = 0.1

interface Waiter<C> {
  readonly borrower: Borrower<C>
  readonly arrivedAt: number
  readonly deadline: number
}

export class Pool<C> {
  readonly #driver: Driver<C>
  readonly #around: Surroundings
  readonly #options: Options
  readonly #max: number

  // A stack: the connection used last is handed out first, so what a quiet pool does not need grows old.
  readonly #idle: Array<Slot<C>> = []
  readonly #active = new Set<Slot<C>>()
  readonly #dials = new Set<() => void>()
  readonly #waiters = new Line<Waiter<C>>()
  #checking = 0

  #suspectBefore = -1
  #generation = 0

  readonly #redial: Redial

  #cancelDeadlineTimer: (() => void) | undefined
  #cancelLeakTimer: (() => void) | undefined

  #closed = false
  #onDrained: (() => void) | undefined

  readonly #counts = {
    opened: 0,
    dialFailures: 0,
    timeouts: 0,
    recycled: 0,
    discarded: { broken: 0, pingFailed: 0, resetFailed: 0, overflow: 0, invalidated: 0 }
  }

  constructor(driver: Driver<C>, around: Surroundings, options: Options) {
    this.#driver = driver
    this.#around = around
    this.#options = options
    this.#max = options.size + options.overflow
    this.#redial = new Redial(around, () => this.#pump())
  }

  /** What has happened since the start: the pool's own numbers, not a copy. */
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
    const size = this.#slots()
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
   * Asks for a connection. Exactly one of the borrower's callbacks is called, perhaps before this returns. One deadline
   * covers the queue, pings, dials, login and session set-up. The function returned takes the request back; after an
   * answer it does nothing.
   */
  acquire(borrower: Borrower<C>): () => void {
    if (this.#closed) {
      borrower.onFailure(this.#failure("Closed"))
      return ignore
    }
    const now = this.#around.now()
    if (this.#waiters.size === 0) {
      const slot = this.#takeFresh(now)
      if (slot !== undefined) {
        this.#hand(slot, borrower, now)
        return ignore
      }
      if (this.#redial.refusal !== undefined && this.#slots() === 0) {
        borrower.onFailure(this.#failure("DialFailed", this.#redial.refusal.cause))
        return ignore
      }
    }
    const place = this.#waiters.join({ borrower, arrivedAt: now, deadline: now + this.#options.acquireTimeout })
    this.#armDeadline()
    this.#pump()
    return () => {
      if (this.#waiters.leave(place)) this.#armDeadline()
    }
  }

  /** Takes a connection back. To release a slot twice is a defect of the caller, never a shared connection. */
  release(slot: Slot<C>, how: Return): void {
    this.#retire(slot)
    if (slot.state === "gone") return
    const now = this.#around.now()
    if (how === "discard") {
      this.#destroy(slot, "broken")
    } else if (how === "reset" && !this.#closed) {
      this.#reset(slot)
    } else {
      this.#giveBack(slot, now)
    }
    this.#pump()
    this.#checkDrained()
  }

  /** An idle connection died by itself: it leaves the pool now instead of at its next checkout. */
  lost(connection: C): void {
    const index = this.#idle.findIndex((slot) => slot.connection === connection)
    if (index < 0) return
    const [slot] = this.#idle.splice(index, 1)
    this.#destroy(slot!, "broken")
    this.suspect()
    this.#checkDrained()
  }

  /** A connection turned out dead: every one opened before now has to answer a ping before it is used again. */
  suspect(): void {
    if (this.#options.prePing) {
      this.#suspectBefore = this.#around.now()
    } else {
      this.invalidate()
    }
  }

  /** Every connection opened before now is closed: idle ones at once, borrowed ones when they come back. */
  invalidate(): void {
    this.#generation++
    while (this.#idle.length > 0) this.#destroy(this.#idle.pop()!, "invalidated")
    this.#checkDrained()
  }

  /**
   * Closes the pool: waiters fail, dials are given up, idle connections are closed, borrowed ones as they come back and
   * at the latest after `grace` milliseconds, by force. `done` is called when no slot is left.
   */
  shutdown(grace: number, done: () => void): void {
    this.#closed = true
    this.#onDrained = done
    this.#cancelTimers()
    for (const giveUp of [...this.#dials]) {
      this.#dials.delete(giveUp)
      giveUp()
    }
    this.#failWaiters("Closed", this.#redial.lastFailure)
    while (this.#idle.length > 0) this.#close(this.#idle.pop()!)
    if (this.#active.size > 0) {
      this.#cancelDeadlineTimer = this.#around.schedule(grace, () => {
        for (const slot of [...this.#active]) {
          // The borrower still holds it: its statements fail now, and its release finds the slot gone.
          this.#active.delete(slot)
          this.#destroy(slot, "broken")
        }
        this.#checkDrained()
      })
    }
    this.#checkDrained()
  }

  #slots(): number {
    return this.#idle.length + this.#active.size + this.#dials.size
  }

  /** Serves and supplies: called after every change that could let a waiter go on. */
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
        // Nothing is left that could come back, and the login is known to be refused.
        if (this.#redial.refusal !== undefined && this.#slots() === 0) {
          this.#failWaiters("DialFailed", this.#redial.refusal.cause)
        }
        return
      }
    }
  }

  /** The most recently used idle connection, if it can be handed out without a ping; dead wood above it is removed. */
  #takeFresh(now: number): Slot<C> | undefined {
    for (;;) {
      const slot = this.#idle[this.#idle.length - 1]
      if (slot === undefined) return undefined
      if (slot.expiresAt <= now) {
        this.#idle.pop()
        this.#counts.recycled++
        this.#close(slot)
      } else if (this.#needsPing(slot, now)) {
        return undefined
      } else {
        this.#idle.pop()
        return slot
      }
    }
  }

  #needsPing(slot: Slot<C>, now: number): boolean {
    return this.#options.prePing
      && (slot.lastUsed <= this.#suspectBefore || now - slot.lastUsed >= this.#options.pingSkip)
  }

  #check(slot: Slot<C>): void {
    this.#enter(slot, undefined, this.#around.now())
    this.#checking++
    this.#bounded(PING_DEADLINE, (done) => this.#driver.ping(slot.connection, done), (answer) => {
      if (slot.state === "gone") return
      this.#checking--
      this.#retire(slot)
      const now = this.#around.now()
      if (answer === true) {
        this.#giveBack(slot, now)
      } else {
        this.#destroy(slot, "pingFailed")
        // A refusal comes at once and costs the others one fast ping each; silence would cost each of them a deadline.
        if (answer === undefined) this.invalidate()
        else this.suspect()
      }
      this.#pump()
      this.#checkDrained()
    })
  }

  #reset(slot: Slot<C>): void {
    this.#enter(slot, undefined, this.#around.now())
    this.#checking++
    this.#bounded(RESET_DEADLINE, (done) => this.#driver.reset(slot.connection, done), (answer) => {
      if (slot.state === "gone") return
      this.#checking--
      this.#retire(slot)
      if (answer === true) this.#giveBack(slot, this.#around.now())
      else this.#destroy(slot, "resetFailed")
      this.#pump()
      this.#checkDrained()
    })
  }

  /** Runs one step of the driver under a deadline. `undefined` stands for no answer in time. */
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
    return this.#slots() < this.#max && this.#dials.size < this.#redial.limit
  }

  #dial(now: number): void {
    let finished = false
    const giveUp = (): void => {
      if (finished) return
      finished = true
      abandon()
    }
    this.#dials.add(giveUp)
    const abandon = this.#driver.dial((result) => {
      if (finished) {
        if (result._tag === "Connected") this.#driver.destroy(result.connection)
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
    this.#redial.succeeded()
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
    const failingFor = this.#redial.failed(cause, kind, startedAt)
    if (kind === "permanent") return this.#failWaiters("DialFailed", cause)
    // While connections are out, one may come back before the deadline; a full server frees places in its own time.
    const hopeless = kind === "transient" && this.#active.size === 0 && failingFor >= this.#options.connectTimeout
    // Who came only towards the end of this dial may find the server back: the next one tells.
    if (hopeless) this.#failWaiters("DialFailed", cause, Math.max(startedAt, now - this.#options.connectTimeout / 2))
  }

  /** Fails all who wait now; not who comes meanwhile, nor who takes the request back meanwhile. */
  #failWaiters(tag: AcquireFailure["_tag"], cause: unknown, arrivedBy = Infinity): void {
    for (const place of this.#waiters.places()) {
      const { arrivedAt, borrower } = place.value
      if (arrivedAt > arrivedBy) break
      if (this.#waiters.leave(place)) borrower.onFailure(this.#failure(tag, cause))
    }
    this.#armDeadline()
  }

  /** A usable connection: to the one who has waited longest, or to the idle ones, or away if those are enough. */
  #giveBack(slot: Slot<C>, now: number): void {
    if (this.#closed) {
      this.#close(slot)
    } else if (slot.expiresAt <= now) {
      this.#counts.recycled++
      this.#close(slot)
    } else if (slot.generation < this.#generation) {
      this.#destroy(slot, "invalidated")
    } else if (this.#waiters.size > 0) {
      this.#handToFirst(slot, now)
    } else if (this.#idle.length >= this.#options.size) {
      this.#counts.discarded.overflow++
      this.#close(slot)
    } else {
      slot.state = "idle"
      this.#idle.push(slot)
    }
  }

  #handToFirst(slot: Slot<C>, now: number): void {
    const first = this.#waiters.shift()
    this.#armDeadline()
    this.#hand(slot, first!.borrower, now)
  }

  #hand(slot: Slot<C>, borrower: Borrower<C>, now: number): void {
    this.#enter(slot, borrower.label, now)
    borrower.onSlot(slot)
  }

  #enter(slot: Slot<C>, label: unknown, now: number): void {
    slot.state = "active"
    slot.borrowedAt = now
    slot.borrower = label
    slot.reported = false
    this.#active.add(slot)
    if (this.#cancelLeakTimer === undefined && this.#options.leakThreshold !== Infinity) this.#armLeak()
  }

  /** Out of the borrower's hands. */
  #retire(slot: Slot<C>): void {
    if (!this.#active.delete(slot)) {
      if (slot.state === "gone") return
      throw new Error("A pooled connection was released twice")
    }
    slot.lastUsed = this.#around.now()
  }

  #close(slot: Slot<C>): void {
    slot.state = "gone"
    this.#driver.close(slot.connection)
  }

  #destroy(slot: Slot<C>, reason: DiscardReason): void {
    if (slot.state === "gone") return
    slot.state = "gone"
    this.#counts.discarded[reason]++
    this.#driver.destroy(slot.connection)
  }

  #failure(tag: AcquireFailure["_tag"], cause: unknown = this.#redial.lastFailure): AcquireFailure {
    return { _tag: tag, stats: this.stats, cause }
  }

  /** All waiters wait equally long, so the first in the queue is the first to run out of time: one timer is enough. */
  #armDeadline(): void {
    if (this.#closed) return
    if (this.#waiters.size === 0) {
      this.#cancelDeadlineTimer?.()
      this.#cancelDeadlineTimer = undefined
      return
    }
    if (this.#cancelDeadlineTimer !== undefined) return
    const { deadline } = this.#waiters.first!
    this.#cancelDeadlineTimer = this.#around.schedule(deadline - this.#around.now(), () => {
      this.#cancelDeadlineTimer = undefined
      const now = this.#around.now()
      for (const place of this.#waiters.places()) {
        if (place.value.deadline > now) break
        const failure = this.#failure("Timeout")
        if (!this.#waiters.leave(place)) continue
        this.#counts.timeouts++
        place.value.borrower.onFailure(failure)
      }
      this.#armDeadline()
    })
  }

  #armLeak(): void {
    const threshold = this.#options.leakThreshold
    this.#cancelLeakTimer = this.#around.schedule(threshold, () => {
      this.#cancelLeakTimer = undefined
      const now = this.#around.now()
      for (const slot of this.#active) {
        if (!slot.reported && now - slot.borrowedAt >= threshold) {
          slot.reported = true
          this.#options.onLeak(slot, now - slot.borrowedAt)
        }
      }
      if (this.#active.size > 0) this.#armLeak()
    })
  }

  #cancelTimers(): void {
    this.#cancelDeadlineTimer?.()
    this.#redial.cancel()
    this.#cancelLeakTimer?.()
    this.#cancelDeadlineTimer = this.#cancelLeakTimer = undefined
  }

  #checkDrained(): void {
    if (this.#onDrained === undefined || this.#slots() > 0) return
    const done = this.#onDrained
    this.#onDrained = undefined
    this.#cancelTimers()
    done()
  }
}

const ignore = (): void => {}
