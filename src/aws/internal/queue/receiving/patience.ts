/**
 * How long a heartbeat, an acknowledgement or a release waits for its answer. A client's own patience is longer than most
 * visibilities: a single reply that never comes would use up all of one.
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend } from "../backend.ts"
import { Alarm } from "./alarm.ts"
import type { Fibers } from "./fibers.ts"

type Operation = "ChangeMessageVisibilityBatch" | "DeleteMessageBatch"

/** Milliseconds that a slow server has in any case. */
const LEAST = 2_000

const timeout = (operation: Operation): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation,
    reason: "Timeout",
    retryable: true,
    attempts: 1,
    outcome: "unknown",
    detail: "there was no answer while it was of use"
  })

interface Pending {
  /** By `Fibers.now`. */
  readonly endsAt: number
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  isOver: boolean
}

/**
 * A third of the visibility, so that there is time for another attempt. All requests have one timer: `Effect.timeout` takes
 * two fibers and a timer for each.
 */
export class Patience {
  readonly #fibers: Fibers<never>
  readonly #millis: number
  /** In the order in which they end. */
  readonly #pending = new Set<Pending>()
  readonly #alarm: Alarm

  constructor(backend: QueueBackend, fibers: Fibers<never>, visibility: number) {
    this.#fibers = fibers
    this.#millis = backend.inMemory ? Infinity : Math.max(LEAST, visibility / 3)
    this.#alarm = new Alarm(fibers, () => this.#tick())
  }

  /** Sends a request. `onEnd` is called once, later. */
  start<A>(
    operation: Operation,
    request: Effect.Effect<A, ServiceError>,
    onEnd: (exit: Exit.Exit<A, ServiceError>) => void
  ): void {
    const fiber = this.#fibers.start(request, (exit) => {
      this.#pending.delete(one)
      onEnd(one.isOver && Exit.isInterrupted(exit) ? Exit.fail(timeout(operation)) : exit)
    })
    const one: Pending = { endsAt: this.#fibers.now() + this.#millis, fiber, isOver: false }
    this.#pending.add(one)
    if (one.endsAt < Infinity) this.#alarm.at(one.endsAt)
  }

  stop(): void {
    this.#alarm.stop()
  }

  #tick(): void {
    const now = this.#fibers.now()
    for (const one of this.#pending) {
      if (one.endsAt > now) return this.#alarm.at(one.endsAt)
      one.isOver = true
      one.fiber.unsafeInterruptAsFork(one.fiber.id())
    }
  }
}
