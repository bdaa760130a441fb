/** One timer, for the earliest of the times that were asked for. */
import type { Fibers } from "./fibers.ts"

export class Alarm {
  readonly #fibers: Fibers<never>
  readonly #call: () => void
  #stopTimer: (() => void) | undefined
  #time = Infinity
  #stopped = false

  constructor(fibers: Fibers<never>, call: () => void) {
    this.#fibers = fibers
    this.#call = call
  }

  /** Rings at that time, by `Fibers.now`, or earlier, and then has to be set again. */
  at(time: number): void {
    if (this.#stopped || (this.#stopTimer !== undefined && this.#time <= time)) return
    this.#stopTimer?.()
    this.#time = time
    const ring = (): void => {
      this.#stopTimer = undefined
      this.#call()
    }
    this.#stopTimer = this.#fibers.after(Math.max(0, time - this.#fibers.now()), ring)
  }

  /** It never rings again. */
  stop(): void {
    this.#stopped = true
    this.#stopTimer?.()
  }
}
