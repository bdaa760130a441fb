/**
 * A consumer: polls, runs, settles, and drains when it is interrupted. Its parts call each other back, each at once and as
 * a whole, so that no interruption falls between two of them; Effects are what they start in fibers of their own.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import type { ServiceError } from "../../../../Errors.ts"
import { async } from "../../../../internal/effectPrimitives.ts"
import type { QueueBackend, RawMessage } from "../backend.ts"
import { BATCH, MAX_VISIBILITY } from "../limits.ts"
import type { ConsumerStatus } from "../model.ts"
import { advise } from "./advice.ts"
import { Dispatcher } from "./dispatcher.ts"
import { Fibers } from "./fibers.ts"
import { type Handling, type Outcome, release } from "./handling.ts"
import { type Entry, InFlight } from "./inFlight.ts"
import type { Settings } from "./options.ts"
import { Patience } from "./patience.ts"
import { Polling } from "./polling.ts"
import { Reports } from "./reports.ts"
import { Settling } from "./settling.ts"
import * as Telemetry from "./telemetry.ts"

/** Runs until it is interrupted, or until the queue cannot be polled at all. */
export const run = <R>(
  backend: QueueBackend,
  settings: Settings,
  handling: Handling<R>,
  known: Set<() => ConsumerStatus>
): Effect.Effect<never, ServiceError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const fibers = yield* Fibers.make<R>()
      const end = yield* Deferred.make<never, ServiceError>()
      const consumer = new Consumer(
        backend,
        settings,
        handling,
        fibers,
        (error) => Deferred.unsafeDone(end, Effect.fail(error))
      )
      const status = (): ConsumerStatus => consumer.status
      known.add(status)
      consumer.start()
      return yield* Effect.onExit(
        restore(Deferred.await(end)),
        () => Effect.zipRight(consumer.drain, Effect.sync(() => known.delete(status)))
      )
    })
  )

/** A message to be released, in so many seconds. */
interface Release {
  readonly entry: Entry
  readonly seconds: number
}

interface Ack {
  readonly entry: Entry
}

/** What handlers that were interrupted, and then requests, have of the drain's time, at most. */
const RESERVE = 5_000

/** Seconds that a receive may have been ago before its reply came. */
const MARGIN = 60

class Consumer<R> {
  readonly #backend: QueueBackend
  readonly #settings: Settings
  readonly #handling: Handling<R>
  readonly #fibers: Fibers<R>
  readonly #onFatal: (error: ServiceError) => void
  readonly #metrics: Telemetry.ConsumerMetrics
  readonly #reports: Reports
  readonly #patience: Patience
  readonly #inFlight: InFlight
  readonly #dispatcher: Dispatcher
  readonly #polling: Polling
  readonly #acks: Settling<Ack>
  readonly #releases: Settling<Release>
  readonly #runs = new Map<ReadonlyArray<Entry>, Fiber.RuntimeFiber<unknown, unknown>>()
  /** Groups whose order can only be kept if what runs of them now comes again. */
  readonly #broken = new Set<string>()
  /** Messages that were given back although they still run. */
  readonly #abandoned = new Set<Entry>()
  #state: ConsumerStatus["state"] = "starting"
  #onDrained: (() => void) | undefined
  #lastPollAt: Date | undefined
  #pollError: ServiceError | undefined
  #ackError: ServiceError | undefined
  /** Of a heartbeat or of a release. */
  #visibilityError: ServiceError | undefined
  #succeeded = 0
  #failed = 0

  constructor(
    backend: QueueBackend,
    settings: Settings,
    handling: Handling<R>,
    fibers: Fibers<R>,
    onFatal: (error: ServiceError) => void
  ) {
    const { visibility } = settings
    this.#backend = backend
    this.#settings = settings
    this.#handling = handling
    this.#fibers = fibers
    this.#onFatal = onFatal
    this.#metrics = Telemetry.metrics(backend, settings.name)
    this.#reports = new Reports(backend, settings.name, fibers)
    const onVisibilityError = (error: ServiceError): void => {
      this.#visibilityError = error
      this.#reports.error(error)
    }
    this.#patience = new Patience(backend, fibers, visibility)
    this.#inFlight = new InFlight(backend, fibers, {
      visibility,
      patience: this.#patience,
      onError: onVisibilityError,
      onExtended: () => void (this.#visibilityError = undefined),
      onLost: (entry, error) => this.#lost(entry, error),
      onBeatsEnded: () => {
        this.#acks.wake()
        this.#releases.wake()
      }
    })
    this.#dispatcher = new Dispatcher({
      ...settings,
      within: settings.batchWithin,
      after: (millis, call) => fibers.after(millis, call),
      run: (entries) => this.#run(entries)
    })
    this.#polling = new Polling(fibers, {
      canBeCut: backend.inMemory,
      waitSeconds: settings.waitSeconds,
      receive: (request) => backend.receive({ ...request, visibilitySeconds: visibility / 1000 }),
      mostRoom: this.#dispatcher.most,
      room: () => this.#room(),
      onMessages: (messages) => this.#received(messages),
      onError: (error) => this.#pollFailed(error),
      onEnd: () => this.#whenDrained()
    })
    this.#acks = new Settling<Ack>(fibers, {
      visibility,
      send: (items, onEnd) =>
        this.#patience.start("DeleteMessageBatch", backend.delete(items.map(({ entry }) => entry.receipt)), onEnd),
      onSettled: ({ entry }, isLate) => {
        this.#ackError = undefined
        if (isLate) this.#reports.message("A message was acknowledged late: it may come again", entry)
        this.#settled(entry)
      },
      onGivenUp: ({ entry }, error) => {
        this.#reports.message("A message could not be acknowledged: it comes again", entry, error)
        this.#break(entry.group)
        this.#settled(entry)
      },
      onError: (error) => {
        this.#ackError = error
        this.#reports.error(error)
      }
    })
    this.#releases = new Settling<Release>(fibers, {
      visibility,
      send: (items, onEnd) => {
        const changes = items.map(({ entry, seconds }) => ({
          receipt: entry.receipt,
          seconds: Math.min(seconds, this.#mostSeconds(entry))
        }))
        this.#patience.start("ChangeMessageVisibilityBatch", backend.setVisibility(changes), onEnd)
      },
      // What is not released becomes visible when its visibility ends.
      onSettled: ({ entry }) => {
        this.#visibilityError = undefined
        this.#settled(entry)
      },
      onGivenUp: ({ entry }) => this.#settled(entry),
      onError: onVisibilityError
    })
  }

  get status(): ConsumerStatus {
    return {
      name: this.#settings.name,
      queue: this.#backend.name,
      state: this.#state,
      inFlight: this.#inFlight.size,
      polls: this.#polling.polls,
      lastPollAt: this.#lastPollAt,
      lastError: this.#pollError ?? this.#ackError ?? this.#visibilityError,
      succeeded: this.#succeeded,
      failed: this.#failed
    }
  }

  start(): void {
    this.#fibers.start(advise(this.#backend, this.#settings), constVoid)
    this.#polling.poll()
  }

  /** What runs takes room, and so does what waits to be acknowledged, if that gets stuck. */
  #room(): number {
    const stuck = this.#acks.size + this.#releases.size - Math.max(10 * BATCH, this.#dispatcher.most)
    return this.#dispatcher.room - Math.max(0, stuck)
  }

  /** How long it can stay invisible, by SQS's rules: 12 hours from its receive on, which was a little before it came. */
  #mostSeconds({ receivedAt }: Entry): number {
    return Math.max(0, Math.floor(MAX_VISIBILITY - MARGIN - (this.#fibers.now() - receivedAt) / 1000))
  }

  /** How many are new. */
  #received(messages: ReadonlyArray<RawMessage>): number {
    this.#lastPollAt = this.#fibers.date()
    this.#pollError = undefined
    if (this.#state === "starting") this.#state = "running"
    if (messages.length === 0) return 0
    this.#metrics.received(messages.length)
    const { added, behind } = this.#inFlight.add(messages)
    this.#metrics.inFlight(this.#inFlight.size)
    if (this.#state === "draining") this.#giveBack(added)
    else {
      this.#giveBack([...behind])
      this.#dispatcher.add(behind.size === 0 ? added : added.filter((entry) => !behind.has(entry)))
    }
    return added.length
  }

  /** Others may have it. What has not begun must not begin, and nothing that follows it in its group. */
  #lost(entry: Entry, error: ServiceError | undefined): void {
    this.#reports.message("The visibility of a message has ended while it was handled", entry, error)
    const { group } = entry
    const isAfter = (one: Entry): boolean => one === entry || (group !== undefined && one.group === group)
    this.#giveBack(this.#dispatcher.takeBack(isAfter))
  }

  #pollFailed(error: ServiceError): void {
    this.#pollError = error
    // Until a poll has ended well it is the set-up that is wrong. A client that is closed serves nobody any more.
    if ((this.#state === "starting" && !error.retryable) || error.reason === "Closed") {
      this.#reports.warn("A consumer cannot receive, and ends", error)
      this.#onFatal(error)
    } else {
      this.#reports.error(error)
    }
  }

  #run(entries: ReadonlyArray<Entry>): void {
    const { deadline } = this.#settings
    const startedAt = this.#fibers.now()
    const fiber = this.#fibers.start(this.#handling.run(entries.map(({ raw }) => raw)), (exit) => {
      this.#runs.delete(entries)
      this.#ended(entries, exit, this.#fibers.now() - startedAt)
    })
    this.#runs.set(entries, fiber)
    const end = (): void => fiber.unsafeInterruptAsFork(fiber.id())
    for (const entry of entries) this.#inFlight.runs(entry, deadline, end)
  }

  #ended(entries: ReadonlyArray<Entry>, exit: Exit.Exit<ReadonlyArray<Outcome>>, millis: number): void {
    const outcomes = Exit.isSuccess(exit) ? exit.value : undefined
    const failed = new Set<string>()
    const ended: Array<readonly [Entry, Outcome | undefined]> = []
    let isSuccess = true
    entries.forEach((entry, index) => {
      const { group } = entry
      const own = outcomes?.[index]
      // What is later in its group must not take effect before what has failed.
      const isOut = group !== undefined && (failed.has(group) || this.#broken.has(group))
      const outcome = isOut && own?._tag === "Ack" ? release(0) : own
      if (outcome?._tag === "Ack") this.#succeeded++
      else {
        this.#failed++
        isSuccess = false
        if (group !== undefined) failed.add(group)
      }
      if (!this.#abandoned.delete(entry)) ended.push([entry, outcome])
    })
    this.#metrics.processed(millis, isSuccess)
    for (const { group } of entries) if (group !== undefined) this.#broken.delete(group)
    for (const group of failed) this.#giveBack(this.#dispatcher.takeBack((entry) => entry.group === group))
    this.#dispatcher.ended(entries)
    // The next poll goes out before what settles these: nothing waits for that.
    this.#polling.poll()
    for (const [entry, outcome] of ended) {
      if (outcome !== undefined) this.#settle(entry, outcome)
      else if (this.#state === "draining") this.#settle(entry, release(0))
      else this.#overdue(entry)
    }
  }

  #overdue(entry: Entry): void {
    this.#fibers.start(this.#handling.overdue(entry.raw), (exit) => {
      this.#settle(entry, Exit.isSuccess(exit) ? exit.value : release(0))
    })
  }

  #giveBack(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) this.#settle(entry, release(0))
  }

  #settle(entry: Entry, outcome: Outcome): void {
    this.#inFlight.leave(entry)
    if (outcome._tag === "Ack") this.#acks.add({ entry })
    else if (outcome._tag === "Release") this.#releases.add({ entry, seconds: outcome.seconds })
    else this.#settled(entry)
  }

  /** A message of the group comes again, although a later one may have been handled: that one must come again, too. */
  #break(group: string | undefined): void {
    if (group === undefined) return
    for (const { entry } of this.#acks.takeBack(group)) this.#releases.add({ entry, seconds: 0 })
    this.#giveBack(this.#dispatcher.takeBack((entry) => entry.group === group))
    if (this.#dispatcher.isRunning(group)) this.#broken.add(group)
  }

  #settled(entry: Entry): void {
    this.#inFlight.remove(entry)
    this.#metrics.inFlight(this.#inFlight.size)
    this.#polling.poll()
    this.#whenDrained()
  }

  /** Ends within the timeout, whatever happens. */
  get drain(): Effect.Effect<void> {
    return async<void>((resume) => this.#drain(() => resume(Effect.void)))
  }

  #drain(then: () => void): void {
    const { drainTimeout } = this.#settings
    const reserve = Math.min(RESERVE, drainTimeout / 3)
    this.#state = "draining"
    let stopTimer = (): void => {}
    const end = (): void => {
      this.#onDrained = undefined
      stopTimer()
      this.#stop()
      then()
    }
    this.#onDrained = end
    // One after another, so that each takes effect before the next also where there is no time.
    const after = (millis: number, call: () => void): void => {
      if (this.#onDrained !== undefined) stopTimer = this.#fibers.after(millis, call)
    }
    after(drainTimeout - reserve, () => {
      this.#interrupt()
      after(reserve / 2, () => {
        this.#abandon()
        after(reserve / 2, end)
      })
    })
    this.#polling.stop()
    this.#acks.hurry()
    this.#releases.hurry()
    this.#giveBack(this.#dispatcher.takeBack())
    this.#whenDrained()
  }

  #whenDrained(): void {
    if (this.#polling.polls === 0 && this.#inFlight.size === 0) this.#onDrained?.()
  }

  #interrupt(): void {
    for (const fiber of this.#runs.values()) fiber.unsafeInterruptAsFork(fiber.id())
  }

  /** What does not end is given back all the same. */
  #abandon(): void {
    for (const entry of [...this.#runs.keys()].flat()) {
      this.#abandoned.add(entry)
      this.#reports.message("A handler has not ended, and its message is given back", entry)
      this.#settle(entry, release(0))
    }
  }

  #stop(): void {
    const { size } = this.#inFlight
    if (size > 0) {
      this.#reports.warn(`${size} messages were not given back in time: they come again when their visibility ends`)
    }
    this.#metrics.inFlight(0)
    this.#inFlight.stop()
    this.#acks.stop()
    this.#releases.stop()
    this.#patience.stop()
    this.#fibers.interruptAll()
  }
}
