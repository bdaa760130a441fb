/** Decides when the pool may dial: after a failure there is a pause. Keeps why dials fail, and since when. */
import { pauseAfter } from "../../../internal/backoff.ts"
import { DIAL_BACKOFF, LOGIN_BACKOFF } from "../deadlines.ts"
import type { DialFailure, Surroundings } from "./model.ts"

/** The most dials at a time, so that a restarted server is not flooded. */
const MAX_DIALS = 4

export class DialBackoff {
  readonly #around: Surroundings
  readonly #retry: () => void
  /** The cause of the last failed dial; undefined after a successful one. */
  lastFailure: unknown
  /** The last dial failed permanently (login, database, TLS): until the pause ends, waiting for a dial is pointless. */
  permanentFailure: { readonly cause: unknown } | undefined
  #failures = 0
  #failedAt = -1
  #failingSince: number | undefined
  #cancelTimer: (() => void) | undefined

  /** `retry` is called at the end of each pause. */
  constructor(around: Surroundings, retry: () => void) {
    this.#around = around
    this.#retry = retry
  }

  /** How many dials there may be at a time: one while they fail, none during the pause after a failure. */
  get limit(): number {
    if (this.#cancelTimer !== undefined) return 0
    return this.#failures > 0 ? 1 : MAX_DIALS
  }

  succeeded(): void {
    this.#failures = 0
    this.#failingSince = undefined
    this.lastFailure = undefined
    this.permanentFailure = undefined
    this.cancel()
  }

  /** Begins a pause. Returns for how long dials have been failing, from the start of the first one, in milliseconds. */
  failed(cause: unknown, kind: DialFailure, startedAt: number): number {
    const now = this.#around.now()
    // Dials that were already under way at the last failure do not count as another one.
    if (startedAt >= this.#failedAt) this.#failures++
    this.#failedAt = now
    this.#failingSince ??= startedAt
    this.lastFailure = cause
    if (kind === "permanent") this.permanentFailure = { cause }
    this.cancel()
    const backoff = kind === "permanent" ? LOGIN_BACKOFF : DIAL_BACKOFF
    this.#cancelTimer = this.#around.schedule(pauseAfter(this.#failures, backoff, this.#around.random()), () => {
      this.#cancelTimer = undefined
      this.permanentFailure = undefined
      this.#retry()
    })
    return now - this.#failingSince
  }

  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}
