/** The right to send one part of the outbox, for a time. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { Holds } from "./holds.ts"

/** In milliseconds: by a clock that nobody sets, and by the clock of the machine. */
export interface Now {
  readonly monotonic: number
  readonly wall: number
}

export class Lease {
  readonly shard: number
  readonly holds = new Holds()
  readonly #lost = Deferred.unsafeMake<void>(FiberId.none)
  /** Whether it waits for a worker, a worker is at it, and there is something more to do after that. */
  isQueued = false
  isRunning = false
  again = false
  /** It is given back as soon as no worker is at it. */
  isLeaving = false
  #isLost = false
  #monotonicEnd: number
  #wallEnd: number

  constructor(shard: number, asked: Now, millis: number) {
    this.shard = shard
    this.#monotonicEnd = asked.monotonic + millis
    this.#wallEnd = asked.wall + millis
  }

  /** `asked`: the time before the statement was sent, so that the lease ends here before it ends on the server. */
  renew(asked: Now, millis: number): void {
    this.#monotonicEnd = Math.max(this.#monotonicEnd, asked.monotonic + millis)
    this.#wallEnd = asked.wall + millis
  }

  /** Milliseconds. A machine that was suspended may not have counted that time, and a clock can be set: the less counts. */
  remaining(now: Now): number {
    return this.#isLost ? 0 : Math.min(this.#monotonicEnd - now.monotonic, this.#wallEnd - now.wall)
  }

  lose(): void {
    this.#isLost = true
    Deferred.unsafeDone(this.#lost, Effect.void)
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** Ends when the lease is lost. */
  get lost(): Effect.Effect<void> {
    return Deferred.await(this.#lost)
  }
}
