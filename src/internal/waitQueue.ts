/** A waiting queue: first come, first served. Joining, leaving from any place and taking the first are all O(1). */

export interface Place<A> {
  readonly value: A
  previous: Place<A> | undefined
  next: Place<A> | undefined
  waiting: boolean
}

export class WaitQueue<A> {
  #first: Place<A> | undefined
  #last: Place<A> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): A | undefined {
    return this.#first?.value
  }

  join(value: A): Place<A> {
    const place: Place<A> = { value, previous: this.#last, next: undefined, waiting: true }
    if (this.#last === undefined) this.#first = place
    else this.#last.next = place
    this.#last = place
    this.#size++
    return place
  }

  /** Whether the place was still in the queue. */
  leave(place: Place<A>): boolean {
    if (!place.waiting) return false
    place.waiting = false
    this.#size--
    if (place.previous === undefined) this.#first = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.#last = place.previous
    else place.next.previous = place.previous
    // A place that has grown old would keep the young ones behind it, dead or not, until the next collection of the old.
    place.previous = undefined
    place.next = undefined
    return true
  }

  /** Removes the first. */
  shift(): A | undefined {
    const first = this.#first
    if (first === undefined) return undefined
    this.leave(first)
    return first.value
  }

  /** A copy of the queue as it is now; a place in it may leave later. */
  places(): ReadonlyArray<Place<A>> {
    const places: Array<Place<A>> = []
    for (let place = this.#first; place !== undefined; place = place.next) places.push(place)
    return places
  }
}
