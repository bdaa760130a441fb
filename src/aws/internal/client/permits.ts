/** A number of permits that are taken and given back: first come, first served, whatever the others ask for. */
import { WaitQueue } from "../../../internal/waitQueue.ts"

interface Waiter {
  readonly count: number
  readonly start: () => void
}

export class Permits {
  readonly most: number
  #free: number
  readonly #line = new WaitQueue<Waiter>()

  constructor(most: number) {
    this.most = most
    this.#free = most
  }

  get taken(): number {
    return this.most - this.#free
  }

  get waiting(): number {
    return this.#line.size
  }

  /** Takes them if they are there and nobody waits. Who asks for more than there are gets all. */
  takeNow(count: number): boolean {
    const wanted = Math.min(count, this.most)
    if (this.#line.size > 0 || wanted > this.#free) return false
    this.#free -= wanted
    return true
  }

  /**
   * Calls `start` with the permits taken: at once, or when they are there. Returns how to leave the line:
   * whether one was still in it.
   */
  take(count: number, start: () => void): () => boolean {
    if (this.takeNow(count)) {
      start()
      return notInLine
    }
    const place = this.#line.join({ count: Math.min(count, this.most), start })
    return () => {
      if (!this.#line.leave(place)) return false
      // Who left may have asked for more than those behind.
      this.#serve()
      return true
    }
  }

  give(count: number): void {
    this.#free += Math.min(count, this.most)
    this.#serve()
  }

  #serve(): void {
    for (let first = this.#line.first; first !== undefined && first.count <= this.#free; first = this.#line.first) {
      this.#line.shift()
      this.#free -= first.count
      first.start()
    }
  }
}

const notInLine = (): boolean => false
