/**
 * Acknowledgements, or releases, in batches of ten: sent when ten are there, after 100 ms, or at once where the visibility
 * is short. What fails is tried again while the receipt is valid.
 *
 * Of a FIFO group one is under way at a time, in order. So an acknowledgement never overtakes an earlier one that fails,
 * whose message would come again after the later one has taken effect.
 */
import * as Exit from "effect/Exit"
import type { ServiceError } from "../../../../Errors.ts"
import { pauseAfter } from "../../../../internal/backoff.ts"
import { BATCH } from "../limits.ts"
import { Alarm } from "./alarm.ts"
import { type Fibers, reportFailure } from "./fibers.ts"
import type { Entry } from "./inFlight.ts"

export interface SettlingOptions<Item> {
  /** Sends them. `onEnd` gets the error of each that was not settled. */
  readonly send: (
    items: ReadonlyArray<Item>,
    onEnd: (exit: Exit.Exit<ReadonlyArray<ServiceError | undefined>, ServiceError>) => void
  ) => void
  /** Settled, and whether that was in time. */
  readonly onSettled: (item: Item, late: boolean) => void
  /** Not settled: refused, or still failing when others could receive the message. */
  readonly onGivenUp: (item: Item, error: ServiceError | undefined) => void
  readonly onError: (error: ServiceError) => void
  readonly visibility: number
}

/** Milliseconds that the first of a batch waits for others. */
const WITHIN = 100

/** The same on a FIFO queue, which gives nothing more of a group before this message is settled. */
const WITHIN_FIFO = 20

const BACKOFF = { first: 200, max: 5_000 }

interface Waiting<Item> {
  readonly item: Item
  readonly failures: number
  /** When it goes without waiting for others; after a failure, when it goes again. */
  readonly readyAt: number
}

export class Settling<Item extends { readonly entry: Entry }> {
  readonly #fibers: Fibers<never>
  readonly #options: SettlingOptions<Item>
  readonly #alarm: Alarm
  /** In the order in which they came. */
  #waiting: Array<Waiting<Item>> = []
  #sending = 0
  /** The groups of those that are being sent. */
  readonly #busy = new Set<string>()
  #hurries = false
  #stopped = false

  constructor(fibers: Fibers<never>, options: SettlingOptions<Item>) {
    this.#fibers = fibers
    this.#options = options
    this.#alarm = new Alarm(fibers, () => this.#flush())
  }

  /** How many are not settled. */
  get size(): number {
    return this.#waiting.length + this.#sending
  }

  add(item: Item): void {
    if (this.#stopped) return
    const now = this.#fibers.now()
    const isShort = item.entry.visibleAt - now < this.#options.visibility / 3
    const readyAt = isShort ? now : now + (item.entry.group === undefined ? WITHIN : WITHIN_FIFO)
    this.#waiting.push({ item, failures: 0, readyAt })
    if (this.#hurries || isShort || this.#waiting.length >= BATCH) this.#flush()
    else this.#alarm.at(readyAt)
  }

  /** Takes back what waits of that group. */
  takeBack(group: string): ReadonlyArray<Item> {
    const taken = this.#waiting.filter(({ item }) => item.entry.group === group)
    if (taken.length > 0) this.#waiting = this.#waiting.filter(({ item }) => item.entry.group !== group)
    return taken.map(({ item }) => item)
  }

  /** From now on nothing waits for others. */
  hurry(): void {
    this.#hurries = true
    this.#flush()
  }

  /** Beats have ended. */
  wake(): void {
    if (this.#waiting.length > 0) this.#flush()
  }

  /** Sends nothing any more. */
  stop(): void {
    this.#stopped = true
    this.#waiting = []
    this.#alarm.stop()
  }

  /** Sends whole batches, and the rest if one of it has waited long enough. */
  #flush(): void {
    const now = this.#fibers.now()
    const blocked = new Set(this.#busy)
    let going: Array<Waiting<Item>> = []
    let next = Infinity
    for (const one of this.#waiting) {
      const { group, isBeating } = one.item.entry
      if (group !== undefined) {
        if (blocked.has(group)) continue
        blocked.add(group)
      }
      if (isBeating) continue
      if (one.failures === 0 || one.readyAt <= now) going.push(one)
      else next = Math.min(next, one.readyAt)
    }
    const rest = going.slice(going.length - going.length % BATCH)
    if (!this.#hurries && !rest.some(({ readyAt }) => readyAt <= now)) {
      going = going.slice(0, going.length - rest.length)
      for (const { readyAt } of rest) next = Math.min(next, readyAt)
    }
    if (going.length > 0) {
      const gone = new Set(going)
      this.#waiting = this.#waiting.filter((one) => !gone.has(one))
      for (let at = 0; at < going.length; at += BATCH) this.#send(going.slice(at, at + BATCH))
    }
    if (next < Infinity) this.#alarm.at(next)
  }

  #send(batch: ReadonlyArray<Waiting<Item>>): void {
    const { onError, send } = this.#options
    for (const { item: { entry: { group } } } of batch) if (group !== undefined) this.#busy.add(group)
    this.#sending += batch.length
    const sentAt = this.#fibers.now()
    const receipts = batch.map(({ item }) => item.entry.receipt)
    send(batch.map(({ item }) => item), (exit) => {
      this.#sending -= batch.length
      if (this.#stopped) return
      if (Exit.isFailure(exit)) reportFailure(exit, onError)
      const errors = Exit.isSuccess(exit) ? exit.value : undefined
      for (const { item: { entry: { group } } } of batch) if (group !== undefined) this.#busy.delete(group)
      const again: Array<Waiting<Item>> = []
      /** The same for all, so that they go together again. */
      let pausing: Pausing | undefined
      batch.forEach((one, index) => {
        // Another delivery of the message has come meanwhile: what was sent is of no effect on that one.
        if (errors !== undefined && one.item.entry.receipt !== receipts[index]) again.push({ ...one, failures: 0 })
        // Of a request that failed as a whole nothing is known.
        else if (!this.#isOver(one, sentAt, errors === undefined ? "unknown" : errors[index])) {
          again.push(paused(one, pausing ??= { now: this.#fibers.now(), random: this.#fibers.random() }))
        }
      })
      if (again.length > 0) this.#waiting = [...again, ...this.#waiting]
      this.#flush()
    })
  }

  /** Tells what became of it, unless it is to be tried again. */
  #isOver({ item }: Waiting<Item>, sentAt: number, error: ServiceError | "unknown" | undefined): boolean {
    const { onError, onGivenUp, onSettled } = this.#options
    if (error === undefined) {
      onSettled(item, sentAt > item.entry.visibleAt)
      return true
    }
    if (error !== "unknown") onError(error)
    const isFinal = error !== "unknown" && !error.retryable
    if (!isFinal && this.#fibers.now() < item.entry.visibleAt) return false
    onGivenUp(item, error === "unknown" ? undefined : error)
    return true
  }
}

interface Pausing {
  readonly now: number
  readonly random: number
}

const paused = <Item>({ failures, item }: Waiting<Item>, { now, random }: Pausing): Waiting<Item> => ({
  item,
  failures: failures + 1,
  readyAt: now + pauseAfter(failures + 1, BACKOFF, random)
})
