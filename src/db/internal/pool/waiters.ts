/** The borrowers that wait for a connection, in the order of their arrival, each with the same time to wait. */
import { WaitQueue } from "../../../internal/waitQueue.ts"
import type { AcquireFailure, Borrower, Surroundings } from "./model.ts"

interface Waiter<C> {
  readonly borrower: Borrower<C>
  readonly arrivedAt: number
}

export class Waiters<C> {
  readonly #around: Surroundings
  readonly #timeout: number
  readonly #timedOut: () => AcquireFailure
  readonly #queue = new WaitQueue<Waiter<C>>()
  #cancelTimer: (() => void) | undefined
  #closed = false

  /** `timedOut` gives the failure of one borrower whose time is up, while it is still in the queue. */
  constructor(around: Surroundings, timeout: number, timedOut: () => AcquireFailure) {
    this.#around = around
    this.#timeout = timeout
    this.#timedOut = timedOut
  }

  get size(): number {
    return this.#queue.size
  }

  /** The returned function leaves the queue. After the borrower was taken or has failed, it does nothing. */
  join(borrower: Borrower<C>, now: number): () => void {
    const place = this.#queue.join({ borrower, arrivedAt: now })
    this.#arm()
    return () => {
      if (this.#queue.leave(place)) this.#arm()
    }
  }

  /** Takes the borrower that has waited longest. */
  take(): Borrower<C> | undefined {
    const first = this.#queue.shift()
    this.#arm()
    return first?.borrower
  }

  /**
   * Fails all borrowers that wait now and arrived by `arrivedBy`. Those that join or leave while the others are told are
   * not touched.
   */
  failAll(failure: () => AcquireFailure, arrivedBy = Infinity): void {
    for (const place of this.#queue.places()) {
      const { arrivedAt, borrower } = place.value
      if (arrivedAt > arrivedBy) break
      if (this.#queue.leave(place)) borrower.onFailure(failure())
    }
    this.#arm()
  }

  /** Stops the deadlines. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** All wait equally long, so the first in the queue is the first to run out of time: one timer is enough. */
  #arm(): void {
    if (this.#closed) return
    if (this.#queue.size === 0) {
      this.#cancelTimer?.()
      this.#cancelTimer = undefined
      return
    }
    if (this.#cancelTimer !== undefined) return
    const due = this.#queue.first!.arrivedAt + this.#timeout
    this.#cancelTimer = this.#around.schedule(due - this.#around.now(), () => {
      this.#cancelTimer = undefined
      const now = this.#around.now()
      for (const place of this.#queue.places()) {
        if (place.value.arrivedAt + this.#timeout > now) break
        // A borrower that failed before this one may have taken this one back.
        if (!place.waiting) continue
        const failure = this.#timedOut()
        this.#queue.leave(place)
        place.value.borrower.onFailure(failure)
      }
      this.#arm()
    })
  }
}
