/** What a consumer logs. It is written although the consumer ends meanwhile, and says nothing of what messages say. */
import * as Effect from "effect/Effect"
import type { ServiceError } from "../../../../Errors.ts"
import type { QueueBackend } from "../backend.ts"
import type { Fibers } from "./fibers.ts"
import type { Entry } from "./inFlight.ts"
import * as Telemetry from "./telemetry.ts"

/** Milliseconds for which an error that lasts is not logged again. */
const QUIET = 10_000

export class Reports {
  readonly #backend: QueueBackend
  readonly #consumer: string
  readonly #fibers: Fibers<never>
  /** When an error was logged last, by its reason: those that take turns must not be logged each time. */
  readonly #loggedAt = new Map<ServiceError["reason"], number>()

  constructor(backend: QueueBackend, consumer: string, fibers: Fibers<never>) {
    this.#backend = backend
    this.#consumer = consumer
    this.#fibers = fibers
  }

  /** An error of a request. */
  error(error: ServiceError): void {
    const now = this.#fibers.now()
    if (now < (this.#loggedAt.get(error.reason) ?? -Infinity) + QUIET) return
    this.#loggedAt.set(error.reason, now)
    this.warn("A consumer meets errors, and goes on", error)
  }

  /** What became of a message. */
  message(message: string, { raw }: Entry, error?: ServiceError): void {
    this.#write(Effect.annotateLogs(warning(message, error), Telemetry.logged(this.#backend, raw)))
  }

  warn(message: string, error?: ServiceError): void {
    this.#write(warning(message, error))
  }

  #write(line: Effect.Effect<void>): void {
    this.#fibers.log(Effect.annotateLogs(line, { queue: this.#backend.name, consumer: this.#consumer }))
  }
}

const warning = (message: string, error: ServiceError | undefined): Effect.Effect<void> =>
  Effect.logWarning(message, ...(error === undefined ? [] : [error]))
