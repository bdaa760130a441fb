/** What is to happen at a time: a heap, the earliest first. It has no clock: it is told the time. */

interface Entry {
  readonly at: number
  /** Of two at the same time, the one that was set first comes first. */
  readonly order: number
  readonly run: (now: number) => void
  cancelled: boolean
}

/** One thing that is to happen, to cancel it. */
export type Timer = Entry

export class Timers {
  #heap: Array<Entry> = []
  #order = 0
  #cancelled = 0

  set(at: number, run: (now: number) => void): Timer {
    const entry: Entry = { at, order: this.#order++, run, cancelled: false }
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
    return entry
  }

  cancel(timer: Timer | undefined): void {
    if (timer === undefined || timer.cancelled) return
    timer.cancelled = true
    this.#cancelled++
    // What was cancelled must not stay until its time, which may be hours away.
    if (this.#cancelled <= this.#heap.length / 2) return
    this.#heap = this.#heap.filter((entry) => !entry.cancelled).sort(compare)
    this.#cancelled = 0
  }

  /** When the next one is due. */
  get next(): number {
    this.#dropCancelled()
    return this.#heap[0]?.at ?? Infinity
  }

  /** Runs all that are due, in order; also those that are set meanwhile. */
  run(now: number): void {
    for (;;) {
      this.#dropCancelled()
      const first = this.#heap[0]
      if (first === undefined || first.at > now) return
      this.#pop()
      // It is no longer in the heap: a cancellation has nothing to count.
      first.cancelled = true
      first.run(now)
    }
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.cancelled === true) {
      this.#pop()
      this.#cancelled--
    }
  }

  #pop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#sink()
  }

  #rise(start: number): void {
    let index = start
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!this.#swap(parent, index)) return
      index = parent
    }
  }

  #sink(): void {
    for (let index = 0;;) {
      const left = 2 * index + 1
      if (left >= this.#heap.length) return
      const right = left + 1
      const child = right < this.#heap.length && compare(this.#at(right), this.#at(left)) < 0 ? right : left
      if (!this.#swap(index, child)) return
      index = child
    }
  }

  /** Puts the two in order. Whether they were not. */
  #swap(parent: number, child: number): boolean {
    const [upper, lower] = [this.#at(parent), this.#at(child)]
    if (compare(upper, lower) <= 0) return false
    this.#heap[parent] = lower
    this.#heap[child] = upper
    return true
  }

  #at(index: number): Entry {
    return this.#heap[index] as Entry
  }
}

const compare = (left: Entry, right: Entry): number => left.at - right.at || left.order - right.order
