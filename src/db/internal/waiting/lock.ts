/** A lock for callbacks: first come, first served; a request can be taken back, and waits no longer than its deadline. */
import { WaitQueue } from "./waitQueue.ts"

export class Lock {
  #held = false
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
    if (!this.#held) {
      this.#held = true
      granted()
      return ignore
    }
    const timer = setTimeout(() => {
      if (this.#waiting.leave(place)) refused("timeout")
    }, deadline)
    const place = this.#waiting.join({ granted, refused, timer })
    return () => {
      clearTimeout(timer)
      this.#waiting.leave(place)
    }
  }

  release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) {
      this.#held = false
      this.#onFree?.()
      return
    }
    clearTimeout(next.timer)
    next.granted()
  }

  /** Refuses all requests, waiting and future, and calls back once nobody holds the lock any more. */
  close(onFree: () => void): void {
    this.#onFree = onFree
    for (const place of this.#waiting.places()) {
      if (!this.#waiting.leave(place)) continue
      clearTimeout(place.value.timer)
      place.value.refused("closed")
    }
    if (!this.#held) onFree()
  }
}

interface Waiter {
  readonly granted: () => void
  readonly refused: (why: "closed" | "timeout") => void
  readonly timer: NodeJS.Timeout
}

const ignore = (): void => {}
