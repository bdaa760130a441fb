/** When connecting may be tried again: since when it fails, why, and the pause that follows a failure. */
import { pauseAfter } from "../../../internal/backoff.ts"
import { DIAL_BACKOFF, LOGIN_BACKOFF } from "../deadlines.ts"
import type { DialFailure, Surroundings } from "./model.ts"

/** Connections that are opened at the same time, so that a restarted server is not stormed. */
const MAX_DIALS = 4

export class DialBackoff {
  readonly #around: Surroundings
  readonly #retry: () => void
  /** The cause of the last failed dial; undefined after a successful one. */
  lastFailure: unknown
  /** The server has just refused the login: until the next attempt there is no point in waiting for a dial. */
  refusal: { readonly cause: unknown } | undefined
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
    this.refusal = undefined
    this.cancel()
  }

  /** Begins a pause. Returns for how long dials have been failing, from the start of the first one, in milliseconds. */
  failed(cause: unknown, kind: DialFailure, startedAt: number): number {
    const now = this.#around.now()
    // Several dials under way that find out at the same time are one failure.
    if (startedAt >= this.#failedAt) this.#failures++
    this.#failedAt = now
    this.#failingSince ??= startedAt
    this.lastFailure = cause
    if (kind === "permanent") this.refusal = { cause }
    this.cancel()
    const backoff = kind === "permanent" ? LOGIN_BACKOFF : DIAL_BACKOFF
    this.#cancelTimer = this.#around.schedule(pauseAfter(this.#failures, backoff, this.#around.random()), () => {
      this.#cancelTimer = undefined
      this.refusal = undefined
      this.#retry()
    })
    return now - this.#failingSince
  }

  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}
