/**
 * Long polls, as many as there is room for: one while the queue is quiet, more while polls come back full. None asks for
 * more messages than can be worked on at once.
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ServiceError } from "../../../../Errors.ts"
import { pauseAfter } from "../../../../internal/backoff.ts"
import type { RawMessage, ReceiveRequest } from "../backend.ts"
import { BATCH } from "../limits.ts"
import { type Fibers, reportFailure } from "./fibers.ts"

export interface PollingOptions {
  readonly receive: (
    request: Pick<ReceiveRequest, "max" | "waitSeconds">
  ) => Effect.Effect<ReadonlyArray<RawMessage>, ServiceError>
  /** A poll that is interrupted has taken nothing. */
  readonly canBeCut: boolean
  /** 0-20. */
  readonly waitSeconds: number
  /** How many messages could be worked on now, those apart that polls are waiting for. */
  readonly room: () => number
  /** How many could be at most. */
  readonly mostRoom: number
  /** Returns how many of them are new. */
  readonly onMessages: (messages: ReadonlyArray<RawMessage>) => number
  readonly onError: (error: ServiceError) => void
  /** A poll has ended. */
  readonly onEnd: () => void
}

/** Milliseconds that a poll for fewer messages than it could ask for waits for more room. */
const GATHER = 25

/** Seconds that further polls wait: the first one is there when it gets quiet. */
const FURTHER_WAIT = 1

export const POLL_BACKOFF = { first: 500, max: 30_000 }

/** After polls that brought nothing new and did not wait, as asked or because of the server. */
export const IDLE_BACKOFF = { first: 200, max: 2_000 }

/** Milliseconds before its end that a poll counts as one that has waited. */
const EARLY = 500

/** Whether a poll that brought nothing new has waited as it was asked to, so that the next one can follow at once. */
export const hasWaited = (waitSeconds: number, millis: number): boolean =>
  waitSeconds > 0 && millis >= waitSeconds * 1000 - EARLY

export class Polling {
  readonly #fibers: Fibers<never>
  readonly #options: PollingOptions
  readonly #running = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  /** Messages that the polls under way may bring. */
  #asked = 0
  /** The last poll brought as many as it asked for. */
  #isBusy = false
  #failures = 0
  /** Polls in a row that brought nothing new at once. */
  #idle = 0
  /** While polls fail, or do not wait: stops the pause. */
  #stopPause: (() => void) | undefined
  #stopGathering: (() => void) | undefined
  #stopped = false

  constructor(fibers: Fibers<never>, options: PollingOptions) {
    this.#fibers = fibers
    this.#options = options
  }

  get polls(): number {
    return this.#running.size
  }

  /** Polls if there is room. To be called whenever room was made. */
  poll(): void {
    if (this.#stopped || this.#stopPause !== undefined) return
    const full = Math.min(BATCH, this.#options.mostRoom)
    while (this.#isBusy && this.#room() >= full) this.#start(full, this.polls === 0)
    if (this.polls > 0 || this.#stopGathering !== undefined) return
    const room = this.#room()
    if (room >= full) this.#start(full, true)
    else if (room > 0) this.#stopGathering = this.#fibers.after(GATHER, () => this.#gathered())
  }

  /** Begins no further poll. Those under way end by themselves: one that is cut may have taken messages. */
  stop(): void {
    this.#stopped = true
    this.#stopPause?.()
    this.#stopGathering?.()
    if (this.#options.canBeCut) { for (const fiber of this.#running) fiber.unsafeInterruptAsFork(fiber.id()) }
  }

  #room(): number {
    return this.#options.room() - this.#asked
  }

  #gathered(): void {
    this.#stopGathering = undefined
    if (this.#stopped || this.#stopPause !== undefined || this.polls > 0) return
    const room = Math.min(BATCH, this.#room())
    if (room > 0) this.#start(room, true)
  }

  #start(max: number, isFirst: boolean): void {
    const { onEnd, onError, onMessages, receive, waitSeconds } = this.#options
    this.#asked += max
    const wait = isFirst ? waitSeconds : Math.min(waitSeconds, FURTHER_WAIT)
    const startedAt = this.#fibers.now()
    const fiber = this.#fibers.start(
      receive({ max, waitSeconds: wait }),
      (exit) => {
        this.#running.delete(fiber)
        this.#asked -= max
        if (Exit.isSuccess(exit)) {
          this.#failures = 0
          this.#isBusy = exit.value.length >= max
          const endedAt = this.#fibers.now()
          const isNew = onMessages(exit.value) > 0
          if (isNew || hasWaited(wait, endedAt - startedAt)) this.#idle = 0
          else this.#pause(pauseAfter(++this.#idle, IDLE_BACKOFF, this.#fibers.random()))
        } else {
          this.#isBusy = false
          this.#pause(pauseAfter(++this.#failures, POLL_BACKOFF, this.#fibers.random()))
          reportFailure(exit, onError)
        }
        this.poll()
        onEnd()
      }
    )
    this.#running.add(fiber)
  }

  #pause(millis: number): void {
    if (this.#stopped || this.#stopPause !== undefined) return
    const end = (): void => {
      this.#stopPause = undefined
      this.poll()
    }
    this.#stopPause = this.#fibers.after(millis, end)
  }
}
