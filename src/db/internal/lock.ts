/** A lock for callbacks: first come, first served; who waits can leave, and waits no longer than a deadline. */
export class Lock {
  #held = false
  #onFree: (() => void) | undefined
  readonly #waiting = new Set<Waiter>()

  /**
   * `granted` is called when the lock is ours, perhaps at once; `refused` when it was closed or not free in time.
   * Exactly one of them is called, unless the request is taken back by the function returned.
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
    const waiter: Waiter = {
      granted,
      refused,
      timer: setTimeout(() => {
        if (this.#waiting.delete(waiter)) refused("timeout")
      }, deadline)
    }
    this.#waiting.add(waiter)
    return () => {
      clearTimeout(waiter.timer)
      this.#waiting.delete(waiter)
    }
  }

  release(): void {
    const { value: next } = this.#waiting.values().next()
    if (next === undefined) {
      this.#held = false
      this.#onFree?.()
      return
    }
    this.#waiting.delete(next)
    clearTimeout(next.timer)
    next.granted()
  }

  /** Refuses everyone who waits or comes later, and calls back when nobody holds the lock any more. */
  close(onFree: () => void): void {
    this.#onFree = onFree
    for (const waiter of [...this.#waiting]) {
      if (!this.#waiting.delete(waiter)) continue
      clearTimeout(waiter.timer)
      waiter.refused("closed")
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
