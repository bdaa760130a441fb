/** A waiting line: first come, first served, and whoever is tired of waiting leaves from where he stands. */
export interface Place<A> {
  readonly value: A
  previous: Place<A> | undefined
  next: Place<A> | undefined
  waiting: boolean
}

export class Line<A> {
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

  /** Whether he was still there. */
  leave(place: Place<A>): boolean {
    if (!place.waiting) return false
    place.waiting = false
    this.#size--
    if (place.previous === undefined) this.#first = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.#last = place.previous
    else place.next.previous = place.previous
    return true
  }

  /** The first, who has left the line with this. */
  shift(): A | undefined {
    const first = this.#first
    if (first === undefined) return undefined
    this.leave(first)
    return first.value
  }

  /** Those who wait now, in order; they may leave meanwhile. */
  places(): ReadonlyArray<Place<A>> {
    const places: Array<Place<A>> = []
    for (let place = this.#first; place !== undefined; place = place.next) places.push(place)
    return places
  }
}
