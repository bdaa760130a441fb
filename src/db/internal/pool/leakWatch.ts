/** Reports connections that are held longer than a threshold, each once. It only reports: borrowers keep them. */
import type { Entry, Surroundings } from "./model.ts"

export class LeakWatch<C> {
  readonly #around: Surroundings
  readonly #threshold: number
  readonly #active: ReadonlySet<Entry<C>>
  readonly #onLeak: (entry: Entry<C>, heldFor: number) => void
  #cancelTimer: (() => void) | undefined

  /** `threshold` in milliseconds; Infinity = never. */
  constructor(
    around: Surroundings,
    threshold: number,
    active: ReadonlySet<Entry<C>>,
    onLeak: (entry: Entry<C>, heldFor: number) => void
  ) {
    this.#around = around
    this.#threshold = threshold
    this.#active = active
    this.#onLeak = onLeak
  }

  /** Checks after the threshold, and again as long as connections are held. */
  arm(): void {
    if (this.#cancelTimer !== undefined || this.#threshold === Infinity) return
    this.#cancelTimer = this.#around.schedule(this.#threshold, () => {
      this.#cancelTimer = undefined
      const now = this.#around.now()
      for (const entry of this.#active) {
        if (!entry.reported && now - entry.borrowedAt >= this.#threshold) {
          entry.reported = true
          this.#onLeak(entry, now - entry.borrowedAt)
        }
      }
      if (this.#active.size > 0) this.arm()
    })
  }

  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}
