/**
 * The messages that a consumer has received and not settled. One timer serves all of them: it extends their visibility
 * in batches, at a third of it, and ends what runs longer than it may. Without messages there is no timer.
 */
import * as Exit from "effect/Exit"
import type { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend, RawMessage } from "../backend.ts"
import { BATCH } from "../limits.ts"
import { Alarm } from "./alarm.ts"
import { type Fibers, reportFailure } from "./fibers.ts"
import type { Patience } from "./patience.ts"
import { groupOf } from "./received.ts"

/** A message that was received and is not settled. Times are milliseconds by `Fibers.now`. */
export interface Entry {
  readonly raw: RawMessage
  /** Its group on a FIFO queue, whose order must be kept. */
  readonly group: string | undefined
  /** Of the latest delivery: the earlier ones may be void. */
  receipt: string
  /** When that came. */
  receivedAt: number
  /** When others can receive it. */
  visibleAt: number
  /** When what it runs must end. */
  endsAt: number
  /** Ends what it runs. */
  end: (() => void) | undefined
  /** Its visibility is extended. */
  beats: boolean
  /** What it runs has not ended although it was told to: it is not ours for any longer. */
  isOverdue: boolean
  /** What it ran is over. */
  left: boolean
  /** A beat is on its way. Whatever is set then could be undone by it, if it arrives later. */
  isBeating: boolean
}

export interface InFlightOptions {
  readonly visibility: number
  readonly patience: Patience
  /** The visibility of a message could not be extended. */
  readonly onError: (error: ServiceError) => void
  /** A request has extended all that it was for. */
  readonly onExtended: () => void
  /** The message is not ours any more: SQS says so, or it has not begun and its visibility is over. */
  readonly onLost: (entry: Entry, error: ServiceError | undefined) => void
  /** Beats have ended that entries which have left were waiting for. */
  readonly onBeatsEnded: () => void
}

export class InFlight {
  readonly #backend: QueueBackend
  readonly #fibers: Fibers<never>
  readonly #options: InFlightOptions
  /** By the id of the message. */
  readonly #entries = new Map<string, Entry>()
  readonly #alarm: Alarm
  #stopped = false

  constructor(backend: QueueBackend, fibers: Fibers<never>, options: InFlightOptions) {
    this.#backend = backend
    this.#fibers = fibers
    this.#options = options
    this.#alarm = new Alarm(fibers, () => this.#tick())
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Takes what was received. A message that is here already, or twice in one receive, is not given again: it gets the
   * newest receipt. `behind` are those among the added that follow, in their group, a message that is being settled: it
   * may have to come again, and before them.
   */
  add(messages: ReadonlyArray<RawMessage>): { readonly added: ReadonlyArray<Entry>; readonly behind: Set<Entry> } {
    const now = this.#fibers.now()
    const added: Array<Entry> = []
    const behind = new Set<Entry>()
    const settling = new Set<string>()
    for (const raw of messages) {
      const receivedAt = now - (raw.loadedIn ?? 0)
      const visibleAt = receivedAt + this.#options.visibility
      const known = this.#entries.get(raw.messageId)
      if (known !== undefined) {
        known.receipt = raw.receipt
        known.receivedAt = receivedAt
        known.visibleAt = visibleAt
        // It may have been lost meanwhile.
        if (!known.left && !known.isOverdue) known.beats = true
        if (known.left && known.group !== undefined) settling.add(known.group)
        this.#alarm.at(this.#dueAt(visibleAt))
        continue
      }
      const entry: Entry = {
        raw,
        group: groupOf(raw),
        receipt: raw.receipt,
        receivedAt,
        visibleAt,
        endsAt: Infinity,
        end: undefined,
        beats: true,
        isOverdue: false,
        left: false,
        isBeating: false
      }
      this.#entries.set(raw.messageId, entry)
      this.#alarm.at(this.#dueAt(visibleAt))
      added.push(entry)
      if (entry.group !== undefined && settling.has(entry.group)) behind.add(entry)
    }
    return { added, behind }
  }

  /** From now on `end` is called when the deadline has passed. */
  runs(entry: Entry, deadline: number, end: () => void): void {
    entry.end = end
    entry.endsAt = this.#fibers.now() + deadline
    this.#alarm.at(entry.endsAt)
  }

  /** Stops extending the visibility. Before it is settled, the beat that is on its way must have ended. */
  leave(entry: Entry): void {
    entry.left = true
    entry.beats = false
    entry.end = undefined
    entry.endsAt = Infinity
  }

  /** The message is settled. */
  remove(entry: Entry): void {
    this.#entries.delete(entry.raw.messageId)
  }

  stop(): void {
    this.#stopped = true
    this.#alarm.stop()
  }

  /** When two thirds of the visibility are left. */
  #dueAt(visibleAt: number): number {
    return visibleAt - this.#options.visibility * 2 / 3
  }

  #tick(): void {
    const now = this.#fibers.now()
    const { visibility } = this.#options
    let next = Infinity
    let due: Array<Entry> = []
    for (const entry of this.#entries.values()) {
      if (entry.endsAt <= now) {
        // Beaten for one more visibility: what it runs may need a moment to end, and must not be run twice meanwhile.
        entry.isOverdue = entry.end === undefined
        if (entry.isOverdue) entry.beats = false
        entry.end?.()
        entry.end = undefined
        entry.endsAt = entry.isOverdue ? Infinity : now + visibility
      }
      next = Math.min(next, entry.endsAt)
      if (!entry.beats || entry.isBeating) continue
      const dueAt = this.#dueAt(entry.visibleAt)
      // Those that are due a little later go along.
      if (dueAt > now + visibility / 12) {
        next = Math.min(next, dueAt)
        continue
      }
      due.push(entry)
      if (due.length === BATCH) {
        this.#extend(due, now)
        due = []
      }
    }
    if (due.length > 0) this.#extend(due, now)
    if (next < Infinity) this.#alarm.at(next)
  }

  #extend(entries: ReadonlyArray<Entry>, now: number): void {
    const { onBeatsEnded, onError, onExtended, onLost, visibility } = this.#options
    const seconds = visibility / 1000
    const receipts = entries.map(({ receipt }) => receipt)
    for (const entry of entries) entry.isBeating = true
    const request = this.#backend.setVisibility(receipts.map((receipt) => ({ receipt, seconds })))
    this.#options.patience.start(
      "ChangeMessageVisibilityBatch",
      request,
      (exit) => {
        if (this.#stopped) return
        // It says nothing of the messages if the request as a whole has failed.
        const errors = Exit.isSuccess(exit) ? exit.value : undefined
        if (Exit.isFailure(exit)) reportFailure(exit, onError)
        if (errors?.every((error) => error === undefined) === true) onExtended()
        entries.forEach((entry, index) => {
          const error = errors?.[index]
          const extended = errors !== undefined && error === undefined
          if (extended) entry.visibleAt = Math.max(entry.visibleAt, now + visibility)
          entry.isBeating = false
          if (!entry.beats) return
          // Another delivery of the message may have come meanwhile, whose receipt is good.
          const isRefused = error !== undefined && !error.retryable && entry.receipt === receipts[index]
          // What runs may still be ours: an answer may have been lost.
          const isTooLate = entry.end === undefined && this.#fibers.now() >= entry.visibleAt
          if (isRefused || isTooLate) {
            entry.beats = false
            return onLost(entry, error)
          }
          if (error !== undefined) onError(error)
          // After a failure there are some more attempts until others can receive it.
          this.#alarm.at(extended ? this.#dueAt(entry.visibleAt) : this.#fibers.now() + visibility / 8)
        })
        if (entries.some(({ left }) => left)) onBeatsEnded()
      }
    )
  }
}
