/**
 * Which messages run when: alone or in batches, so many at a time, and on a FIFO queue those of a group one after another.
 */
import { constTrue } from "effect/Function"
import type { Entry } from "./inFlight.ts"

export interface DispatcherOptions {
  /** The most runs at a time. */
  readonly concurrency: number
  /** The most messages in a run. */
  readonly batchSize: number
  /** Milliseconds that a run waits for more messages. */
  readonly within: number
  readonly after: (millis: number, call: () => void) => void
  readonly run: (entries: ReadonlyArray<Entry>) => void
}

export class Dispatcher {
  readonly #options: DispatcherOptions
  #runs = 0
  #running = 0
  /** In the order in which they came. */
  #waiting: Array<Entry> = []
  /** The groups of those that run. */
  readonly #busy = new Set<string>()
  #isTiming = false
  /** The first of those that wait has waited long enough. */
  #isDue = false

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  /** The most messages that run at a time. */
  get most(): number {
    return this.#options.concurrency * this.#options.batchSize
  }

  /** How many more could run. Those that wait for others of their group take no room: they could not run. */
  get room(): number {
    const blocked = this.#busy.size === 0 ? 0 : this.#waiting.filter((entry) => this.#isBlocked(entry)).length
    return this.most - this.#running - (this.#waiting.length - blocked)
  }

  isRunning(group: string): boolean {
    return this.#busy.has(group)
  }

  add(entries: ReadonlyArray<Entry>): void {
    if (entries.length === 0) return
    this.#waiting.push(...entries)
    this.#start()
  }

  /** A run is over, and its groups are free. */
  ended(entries: ReadonlyArray<Entry>): void {
    this.#runs--
    this.#running -= entries.length
    for (const { group } of entries) if (group !== undefined) this.#busy.delete(group)
    this.#start()
  }

  /** Takes back what of those that wait is so, or everything. */
  takeBack(isTaken: (entry: Entry) => boolean = constTrue): ReadonlyArray<Entry> {
    const taken = this.#waiting.filter(isTaken)
    if (taken.length > 0) this.#waiting = this.#waiting.filter((entry) => !isTaken(entry))
    return taken
  }

  #isBlocked({ group }: Entry): boolean {
    return group !== undefined && this.#busy.has(group)
  }

  #start(): void {
    const { batchSize, concurrency, run } = this.#options
    while (this.#runs < concurrency) {
      const batch = this.#next()
      if (batch.length === 0) return
      if (batch.length < batchSize && !this.#isDue) return this.#wait()
      this.#isDue = false
      this.#remove(batch)
      this.#runs++
      this.#running += batch.length
      for (const { group } of batch) if (group !== undefined) this.#busy.add(group)
      run(batch)
    }
  }

  #next(): ReadonlyArray<Entry> {
    const batch: Array<Entry> = []
    for (const entry of this.#waiting) {
      if (this.#isBlocked(entry)) continue
      // Alone, a message is followed by the next of its group only when it is done.
      batch.push(entry)
      if (batch.length === this.#options.batchSize) break
    }
    return batch
  }

  #remove(batch: ReadonlyArray<Entry>): void {
    if (batch.every((entry, index) => entry === this.#waiting[index])) {
      this.#waiting.splice(0, batch.length)
    } else {
      const gone = new Set(batch)
      this.#waiting = this.#waiting.filter((entry) => !gone.has(entry))
    }
  }

  #wait(): void {
    if (this.#isTiming) return
    this.#isTiming = true
    this.#options.after(this.#options.within, () => {
      this.#isTiming = false
      this.#isDue = this.#waiting.length > 0
      this.#start()
    })
  }
}
