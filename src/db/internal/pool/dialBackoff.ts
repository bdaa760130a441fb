/** What is known of reaching the server: since when it fails, and why; and when the next attempt is due. */
import type { DialFailure, Surroundings } from "./model.ts"

const MAX_DIALS = 4
const REDIAL_FIRST = 10
const REDIAL_MOST = 1_000
const LOGIN_RETRY_FIRST = 1_000
const LOGIN_RETRY_MOST = 30_000

export class Redial {
  readonly #around: Surroundings
  readonly #retry: () => void
  /** Of the last failed dial; undefined since the last one that worked. */
  lastFailure: unknown
  /** The server has refused the login a moment ago: until the next attempt there is no use in waiting for a dial. */
  refusal: { readonly cause: unknown } | undefined
  #failures = 0
  #failedAt = -1
  #since: number | undefined
  #cancelTimer: (() => void) | undefined

  /** `retry` is called when dialling may be tried again. */
  constructor(around: Surroundings, retry: () => void) {
    this.#around = around
    this.#retry = retry
  }

  /** How many dials there may be at a time: one while the server fails, none in the pause after a failure. */
  get limit(): number {
    if (this.#cancelTimer !== undefined) return 0
    return this.#failures > 0 ? 1 : MAX_DIALS
  }

  succeeded(): void {
    this.#failures = 0
    this.#since = undefined
    this.lastFailure = undefined
    this.refusal = undefined
    this.cancel()
  }

  /** Begins a pause. Gives the milliseconds since the first of the dials that have failed one after another began. */
  failed(cause: unknown, kind: DialFailure, startedAt: number): number {
    const now = this.#around.now()
    // What several dials under way find out at once is one failure.
    if (startedAt >= this.#failedAt) this.#failures++
    this.#failedAt = now
    this.#since ??= startedAt
    this.lastFailure = cause
    if (kind === "permanent") this.refusal = { cause }
    this.cancel()
    const pause = kind === "permanent"
      ? this.#backoff(LOGIN_RETRY_FIRST, LOGIN_RETRY_MOST)
      : this.#backoff(REDIAL_FIRST, REDIAL_MOST)
    this.#cancelTimer = this.#around.schedule(pause, () => {
      this.#cancelTimer = undefined
      this.refusal = undefined
      this.#retry()
    })
    return now - this.#since
  }

  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** Exponential with jitter: half of it certain, half of it chance. */
  #backoff(first: number, most: number): number {
    const full = Math.min(most, first * 2 ** (this.#failures - 1))
    return full / 2 + this.#around.random() * full / 2
  }
}
