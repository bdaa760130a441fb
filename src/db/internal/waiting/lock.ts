/** A lock for callbacks: first come, first served; a request can be taken back, and waits no longer than its deadline. */
import { WaitQueue } from "../../../internal/waitQueue.ts"
import { schedule } from "./schedule.ts"

export class Lock {
  #held = false
  #granting = false
  #onFree: (() => void) | undefined
  readonly #waiting = new WaitQueue<Waiter>()

  /**
   * `granted` is called when the lock is acquired, perhaps before this returns; `refused` when the lock was closed or not
   * free within `deadline` milliseconds. Exactly one of them is called, unless the request is taken back by the function
   * returned.
   */
  acquire(deadline: number, granted: () => void, refused: (why: "closed" | "timeout") => void): () => void {
    if (this.#onFree !== undefined) {
      refused("closed")
      return ignore
    }
    if (this.acquireNow()) {
      granted()
      return ignore
    }
    const cancelTimer = schedule(deadline, () => {
      if (this.#waiting.leave(place)) refused("timeout")
    })
    const place = this.#waiting.join({ granted, refused, cancelTimer })
    return () => {
      cancelTimer()
      this.#waiting.leave(place)
    }
  }

  /** Whether the lock was free and is now acquired. */
  acquireNow(): boolean {
    if (this.#held || this.#onFree !== undefined) return false
    return this.#held = true
  }

  get isHeld(): boolean {
    return this.#held
  }

  release(): void {
    // What is refused in its turn releases at once: thousands that wait must not be thousands of calls deep.
    if (this.#granting) return queueMicrotask(() => this.release())
    const next = this.#waiting.shift()
    if (next === undefined) {
      this.#held = false
      this.#onFree?.()
      return
    }
    next.cancelTimer()
    this.#granting = true
    try {
      next.granted()
    } finally {
      this.#granting = false
    }
  }

  /** Refuses all requests, waiting and future, and calls back once nobody holds the lock any more. */
  close(onFree: () => void): void {
    this.#onFree = onFree
    for (const place of this.#waiting.places()) {
      if (!this.#waiting.leave(place)) continue
      place.value.cancelTimer()
      place.value.refused("closed")
    }
    if (!this.#held) onFree()
  }
}

interface Waiter {
  readonly granted: () => void
  readonly refused: (why: "closed" | "timeout") => void
  readonly cancelTimer: () => void
}

const ignore = (): void => {}
