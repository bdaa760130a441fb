/** A clock and a database server that do only what a test tells them to, for the pool's state machine. */
import type { ConnectionFactory, DialFailure, Surroundings } from "../../../src/db/internal/pool/model.ts"

/** Time that passes when it is told to. Tasks run in the order of their times, then of their scheduling. */
export class Time implements Surroundings {
  #now = 0
  readonly #tasks = new Set<{ readonly due: number; readonly run: () => void }>()
  chance = 0.5

  readonly now = (): number => this.#now
  readonly random = (): number => this.chance

  readonly schedule = (delay: number, run: () => void): () => void => {
    const task = { due: this.#now + Math.max(0, delay), run }
    this.#tasks.add(task)
    return () => this.#tasks.delete(task)
  }

  /** Timers that have not run and were not cancelled. */
  get pending(): number {
    return this.#tasks.size
  }

  advance(millis: number): void {
    const end = this.#now + millis
    for (;;) {
      const next = [...this.#tasks].reduce<{ due: number; run: () => void } | undefined>(
        (first, task) => task.due <= end && (first === undefined || task.due < first.due) ? task : first,
        undefined
      )
      if (next === undefined) break
      this.#tasks.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.run()
    }
    this.#now = end
  }
}

export interface Connection {
  readonly id: number
  state: "open" | "closed" | "destroyed"
}

export interface PendingDial {
  readonly startedAt: number
  readonly succeed: () => Connection
  readonly fail: (kind?: DialFailure, cause?: unknown) => void
}

/** A ping or a reset that waits for its answer. */
export interface PendingStep {
  readonly connection: Connection
  readonly answer: (ok: boolean) => void
}

/** Keeps every question until the test answers it. A destroyed connection answers what is under way on it with no. */
export class Server implements ConnectionFactory<Connection> {
  readonly dials: Array<PendingDial> = []
  readonly pings: Array<PendingStep> = []
  readonly resets: Array<PendingStep> = []
  readonly connections: Array<Connection> = []
  /** When dials were begun. */
  readonly dialledAt: Array<number> = []
  abandoned = 0
  pingsAsked = 0
  /** Answers a dial the moment it begins, where it is set. */
  onDial: ((dial: PendingDial) => void) | undefined
  readonly #now: () => number

  constructor(time: Time) {
    this.#now = time.now
  }

  get open(): number {
    return this.connections.filter(({ state }) => state === "open").length
  }

  readonly dial: ConnectionFactory<Connection>["dial"] = (done) => {
    this.dialledAt.push(this.#now())
    const remove = (): void => {
      this.dials.splice(this.dials.indexOf(dial), 1)
    }
    const dial: PendingDial = {
      startedAt: this.#now(),
      succeed: () => {
        remove()
        const connection: Connection = { id: this.connections.length + 1, state: "open" }
        this.connections.push(connection)
        done({ _tag: "Connected", connection })
        return connection
      },
      fail: (kind = "transient", cause = new Error(kind)) => {
        remove()
        done({ _tag: "Failed", cause, kind })
      }
    }
    this.dials.push(dial)
    this.onDial?.(dial)
    return () => {
      remove()
      this.abandoned++
    }
  }

  readonly ping: ConnectionFactory<Connection>["ping"] = (connection, done) => {
    this.pingsAsked++
    this.#ask(this.pings, connection, done)
  }

  readonly reset: ConnectionFactory<Connection>["reset"] = (connection, done) =>
    this.#ask(this.resets, connection, done)

  readonly close = (connection: Connection): void => this.#end(connection, "closed")

  readonly destroy = (connection: Connection): void => this.#end(connection, "destroyed")

  #ask(steps: Array<PendingStep>, connection: Connection, done: (ok: boolean) => void): void {
    const step: PendingStep = {
      connection,
      answer: (ok) => {
        steps.splice(steps.indexOf(step), 1)
        done(ok)
      }
    }
    steps.push(step)
  }

  #end(connection: Connection, state: "closed" | "destroyed"): void {
    if (connection.state !== "open") throw new Error(`connection ${connection.id} was ended twice`)
    connection.state = state
    for (const steps of [this.pings, this.resets]) steps.find((step) => step.connection === connection)?.answer(false)
  }
}
