/** A relay: keeps its share of the outbox leased, and sends what is in it. */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as EffectQueue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { DatabaseError } from "../../Errors.ts"
import { bounded, type Database } from "./database.ts"
import { Faults } from "./faults.ts"
import { Lease, type Now } from "./lease.ts"
import * as LeaseTable from "./leaseTable.ts"
import * as Metrics from "./metrics.ts"
import type { RelayStatus } from "./model.ts"
import { pass } from "./pass.ts"
import { Removal } from "./removal.ts"
import type { Work } from "./send.ts"
import type { Settings } from "./settings.ts"
import { shareOf } from "./sharing.ts"

export interface Relay {
  readonly status: () => RelayStatus
  /** There are new messages in that shard. */
  readonly wake: (shard: number) => void
}

/**
 * How long a relay that ends waits for what it has interrupted; and again, how long it tries to delete what it has sent,
 * and to give its leases back. In milliseconds.
 */
const LEAVE_DEADLINE = 5_000

/** Runs a relay until the scope is closed. Then it ends what is under way, and gives its leases back. */
export const start = (
  database: Database,
  queues: Work["queues"],
  settings: Settings
): Effect.Effect<Relay, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(Effect.clock, (clock) => new Running(database, queues, settings, clock).start),
    (relay) => relay.stop
  )

class Running implements Relay {
  readonly #settings: Settings
  readonly #clock: Clock.Clock
  readonly #database: Database
  readonly #metrics: Metrics.RelayMetrics
  readonly #table: LeaseTable.LeaseTable
  readonly #id = globalThis.crypto.randomUUID()
  readonly #work: Work
  readonly #leases = new Map<number, Lease>()
  /** Shards that a worker is still at, although their lease may be lost. */
  readonly #busy = new Set<number>()
  #ready: EffectQueue.Queue<Lease> | undefined
  #fibers: ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>> = []
  #workers: ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>> = []
  #isStopping = false
  /** How many shards this relay should have. */
  #share = 0
  #databaseError: DatabaseError | undefined

  constructor(database: Database, queues: Work["queues"], settings: Settings, clock: Clock.Clock) {
    this.#database = bounded(database, settings.lease)
    this.#settings = settings
    this.#clock = clock
    this.#metrics = Metrics.make(database.name)
    this.#table = LeaseTable.make(this.#database, this.#id, settings.lease)
    this.#work = {
      database: this.#database,
      queues,
      faults: new Faults(),
      removal: new Removal(this.#database),
      metrics: this.#metrics,
      onPoison: settings.onPoison,
      now: () => this.#now(),
      unknown: new Set()
    }
  }

  readonly start: Effect.Effect<Running> = Effect.gen(this, function*() {
    const ready = yield* EffectQueue.unbounded<Lease>()
    this.#ready = ready
    // A layer may be built where a transaction is open: the relay must not be in it. A resource is acquired where nothing
    // is interrupted, and a fiber that is forked there would be like that, too.
    const fork = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.forkDaemon(Effect.interruptible(this.#database.outside(effect)))
    this.#workers = yield* Effect.replicateEffect(fork(this.#workerOn(ready)), this.#settings.concurrency)
    this.#fibers = yield* Effect.all([fork(this.#keepLeases), fork(this.#watchLeases), fork(this.#poll)])
    return this
  })

  readonly stop: Effect.Effect<void> = Effect.gen(this, function*() {
    this.#isStopping = true
    for (const lease of this.#leases.values()) lease.isLeaving = true
    // Workers that wait end at once, the others after what they are sending. The leases are kept meanwhile.
    if (this.#ready !== undefined) yield* EffectQueue.shutdown(this.#ready)
    yield* Effect.timeoutOption(Effect.interruptible(Fiber.awaitAll(this.#workers)), this.#settings.stopTimeout)
    const ended = yield* Effect.timeoutOption(
      Effect.interruptible(Fiber.interruptAll([...this.#workers, ...this.#fibers])),
      LEAVE_DEADLINE
    )
    // A worker that does not end may still be sending: its leases are not for others before their time is up.
    const leave = Option.isSome(ended) ? this.#table.leave : Effect.void
    yield* Effect.interruptible(Effect.zipRight(this.#work.removal.flushAll, leave)).pipe(
      Effect.timeout(LEAVE_DEADLINE),
      Effect.catchAll((error) =>
        Effect.logDebug("Outbox: a relay could not give its leases back; they will end", error)
      ),
      (leaving) => this.#database.outside(leaving),
      Effect.ignore
    )
    for (const lease of this.#leases.values()) lease.lose()
    this.#leases.clear()
    this.#gauges()
  })

  status(): RelayStatus {
    return {
      state: this.#isStopping ? "stopping" : "running",
      shards: [...this.#leases.keys()].sort((one, other) => one - other),
      blocked: [...this.#leases.values()].flatMap(({ holds }) => holds.blocked),
      lastError: this.#databaseError ?? this.#work.faults.error
    }
  }

  wake(shard: number): void {
    const lease = this.#leases.get(shard)
    if (lease === undefined || lease.isLeaving || lease.isLost || this.#isStopping) return
    if (lease.isRunning) lease.again = true
    else if (!lease.isQueued) {
      lease.isQueued = true
      this.#ready?.unsafeOffer(lease)
    }
  }

  #now(): Now {
    return {
      monotonic: Number(this.#clock.unsafeCurrentTimeNanos()) / 1e6,
      wall: this.#clock.unsafeCurrentTimeMillis()
    }
  }

  #workerOn(ready: EffectQueue.Dequeue<Lease>): Effect.Effect<never> {
    return Effect.forever(Effect.flatMap(EffectQueue.take(ready), (lease) => this.#workOn(lease)))
  }

  /** A pass over one shard, which ends with the lease at the latest. */
  #workOn(lease: Lease): Effect.Effect<void> {
    return Effect.suspend(() => {
      lease.isQueued = false
      if (lease.isLost) return Effect.void
      lease.isRunning = true
      lease.again = false
      this.#busy.add(lease.shard)
      return Effect.raceFirst(pass(this.#work, lease, this.#settings.margin), Effect.as(lease.lost, false)).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          // A pass that ended with its lease says nothing of the database.
          if (Exit.isSuccess(exit)) return lease.isLost ? Effect.succeed(false) : Effect.as(this.#recovered, exit.value)
          return Effect.as(this.#failed(exit.cause), false)
        }),
        Effect.tap((more) => Effect.sync(() => void (lease.again ||= more))),
        Effect.ensuring(Effect.sync(() => {
          lease.isRunning = false
          this.#busy.delete(lease.shard)
          this.#gauges()
        })),
        Effect.flatMap(() => {
          if (lease.isLeaving && !this.#isStopping) return this.#giveBack(lease)
          // Its time is up, whether the watch has noticed or not: a worker that tried again would only be in its way.
          if (lease.remaining(this.#now()) <= this.#settings.margin) this.#lose(lease)
          else if (lease.again) this.wake(lease.shard)
          return Effect.void
        })
      )
    })
  }

  /** Renews the leases, takes what this relay should have, and gives back what it has too much. */
  readonly #keepLeases: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(
      this.#tick.pipe(
        Effect.timeoutFail({ duration: this.#settings.lease / 2, onTimeout: () => this.#tooSlow() }),
        Effect.zipRight(this.#recovered),
        Effect.as(true),
        Effect.catchAllCause((cause) => Effect.as(this.#failed(cause), false)),
        Effect.flatMap((isWell) => {
          // Sooner where something is missing: others may be giving it back just now.
          const isComplete = isWell && this.#leases.size >= this.#share
          return Effect.sleep(isComplete ? this.#settings.renewal : Math.min(1_000, this.#settings.renewal))
        })
      )
    )
  )

  readonly #tick: Effect.Effect<void, DatabaseError> = Effect.gen(this, function*() {
    const held = [...this.#leases.values()].filter(({ isLost }) => !isLost)
    // Before the statement is sent, so that a lease never ends later here than on the server.
    const asked = this.#now()
    yield* this.#table.renew(held.map(({ shard }) => shard))
    const shards = yield* this.#table.shards
    for (const lease of held) {
      // What is still ours was renewed. What is not was taken by another: nothing more may be sent of it.
      if (shards.some(({ owner, shard }) => shard === lease.shard && owner === this.#id)) {
        lease.renew(asked, this.#settings.lease)
      } else this.#lose(lease)
    }
    // What was sent before is deleted before it can be sent by another.
    yield* this.#work.removal.flushAll
    if (this.#isStopping) return
    const share = shareOf(this.#id, yield* this.#table.living, shards.map(({ isFree, owner }) => isFree ? null : owner))
    this.#share = share
    const kept = [...this.#leases.values()].filter(({ isLeaving }) => !isLeaving)
    const surplus = kept.sort((one, other) => Number(one.isRunning) - Number(other.isRunning))
      .slice(0, Math.max(0, kept.length - share))
    for (const lease of surplus) {
      lease.isLeaving = true
      if (!lease.isRunning) yield* this.#giveBack(lease)
    }
    const wanted = share - kept.length
    if (wanted > 0) yield* this.#take(shards, wanted)
    this.#gauges()
  })

  #take(shards: ReadonlyArray<LeaseTable.Shard>, wanted: number): Effect.Effect<void, DatabaseError> {
    return Effect.gen(this, function*() {
      const free = shards.filter(({ isFree, owner, shard }) =>
        (isFree || owner === this.#id) && !this.#leases.has(shard) && !this.#busy.has(shard)
      )
      // Not all relays reach for the same.
      const chosen = [...yield* Random.shuffle(free.map(({ shard }) => shard))].slice(0, wanted)
      if (chosen.length === 0) return
      const asked = this.#now()
      yield* this.#table.take(chosen)
      for (const { owner, shard } of yield* this.#table.shards) {
        if (owner !== this.#id || !chosen.includes(shard)) continue
        this.#leases.set(shard, new Lease(shard, asked, this.#settings.lease))
        this.wake(shard)
      }
    })
  }

  /** What was sent is deleted first. If that fails the lease ends by itself, so that there is more time for it. */
  #giveBack(lease: Lease): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#lose(lease)
      return Effect.ignore(
        Effect.zipRight(this.#work.removal.flush(lease.shard), this.#table.giveBack(lease.shard))
      )
    })
  }

  #lose(lease: Lease): void {
    if (this.#leases.get(lease.shard) === lease) this.#leases.delete(lease.shard)
    lease.lose()
  }

  /** Ends the work on leases that were not renewed in time. */
  readonly #watchLeases: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    const now = this.#now()
    const { lease: whole, margin } = this.#settings
    // A lease that is taken meanwhile has that much left, too.
    let next = whole - margin
    for (const lease of [...this.#leases.values()]) {
      const left = lease.remaining(now) - margin
      if (left <= 0) this.#lose(lease)
      else next = Math.min(next, left)
    }
    return Effect.sleep(Math.max(1, next))
  }))

  readonly #poll: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(
      Effect.flatMap(Random.next, (random) => Effect.sleep(this.#settings.pollInterval * (0.5 + random / 2))).pipe(
        Effect.zipRight(Effect.suspend(() => this.#leases.size === 0 ? Effect.succeed([]) : this.#table.busy)),
        Effect.map((shards) => {
          for (const shard of shards) this.wake(shard)
        }),
        Effect.catchAllCause((cause) => this.#failed(cause))
      )
    )
  )

  #gauges(): void {
    this.#metrics.shards(this.#leases.size)
    this.#metrics.blocked(
      [...this.#leases.values()].reduce((count, { holds }) => count + holds.blocked.length, 0)
    )
  }

  /** A failure of the database, and whatever was not foreseen: the next look tries again. Said once. */
  #failed(cause: Cause.Cause<DatabaseError>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const failure = Cause.failureOption(cause)
      if (failure._tag === "None") {
        return Effect.logError("Outbox: a relay has met a failure that was not foreseen", cause)
      }
      const isNew = this.#databaseError === undefined
      this.#databaseError = failure.value
      return isNew
        ? Effect.logWarning("Outbox: a relay cannot work with the database; messages wait", failure.value)
        : Effect.void
    })
  }

  readonly #recovered: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#databaseError === undefined) return Effect.void
    this.#databaseError = undefined
    return Effect.logInfo("Outbox: a relay can work with the database again")
  })

  #tooSlow(): DatabaseError {
    return new DatabaseError({
      database: this.#database.name,
      reason: "StatementTimeout",
      retryable: true,
      detail: `the leases of a relay could not be renewed within ${
        Duration.format(Duration.millis(this.#settings.lease / 2))
      }`,
      hint: "look for a pool that is exhausted, or for a slow server"
    })
  }
}
