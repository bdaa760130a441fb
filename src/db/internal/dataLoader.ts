/** Requests of many fibers, gathered for a short while and run as one batch. */
import * as Deferred from "effect/Deferred"
import type { DurationInput } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import type * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"

interface Item<A, E, Req extends Request.Request<A, E>> {
  readonly request: Req
  readonly resume: (effect: Effect.Effect<A, E>) => void
}

interface Batch<A, E, Req extends Request.Request<A, E>> {
  readonly items: Set<Item<A, E, Req>>
  readonly full: Deferred.Deferred<void>
  readonly abandoned: Deferred.Deferred<void>
  fiber: Fiber.RuntimeFiber<void> | undefined
}

/** Batches run in fibers of their own, which inherit nothing from the fibers that wait for them. */
export const make = <A, E, Req extends Request.Request<A, E>>(
  resolver: RequestResolver.RequestResolver<Req>,
  { maxBatchSize = Infinity, window }: {
    readonly window: DurationInput
    readonly maxBatchSize?: number | undefined
  }
): Effect.Effect<(request: Req) => Effect.Effect<A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const batches = new Set<Batch<A, E, Req>>()
    let current: Batch<A, E, Req> | undefined
    let closed = false

    /** The batch takes no more items. */
    const seal = (batch: Batch<A, E, Req>): void => {
      if (current === batch) current = undefined
    }

    const open = (): Batch<A, E, Req> => {
      const batch: Batch<A, E, Req> = {
        items: new Set(),
        full: Deferred.unsafeMake<void>(FiberId.none),
        abandoned: Deferred.unsafeMake<void>(FiberId.none),
        fiber: undefined
      }
      batches.add(batch)
      current = batch
      batch.fiber = runFork(run(batch))
      return batch
    }

    const run = (batch: Batch<A, E, Req>): Effect.Effect<void> => {
      const abandoned = Deferred.await(batch.abandoned)
      // Effect does not interrupt requests that run as a batch, so a batch that nobody waits for is ended from inside.
      const abandonable = RequestResolver.makeWithEntry<Req, never>((requests) =>
        Effect.raceFirst(resolver.runAll(requests), abandoned)
      )
      return Effect.raceFirst(Effect.sleep(window), Effect.raceFirst(Deferred.await(batch.full), abandoned)).pipe(
        Effect.zipRight(Effect.suspend(() => {
          seal(batch)
          const items = [...batch.items]
          return Effect.map(
            Effect.forEach(items, ({ request }) => Effect.exit(Effect.request(request, abandonable)), {
              batching: true
            }),
            (exits) => answer(items, exits as ReadonlyArray<Exit.Exit<A, E>>)
          )
        })),
        Effect.withRequestCaching(false),
        Effect.ensuring(Effect.sync(() => batches.delete(batch)))
      )
    }

    const abandon = (batch: Batch<A, E, Req>): Effect.Effect<void> => {
      seal(batch)
      Deferred.unsafeDone(batch.abandoned, Effect.void)
      return batch.fiber === undefined ? Effect.void : Effect.asVoid(Fiber.await(batch.fiber))
    }

    yield* Effect.addFinalizer(() => {
      closed = true
      return Effect.forEach([...batches], abandon, { discard: true })
    })

    return (request) =>
      Effect.async<A, E>((resume) => {
        if (closed) return resume(Effect.interrupt)
        const batch = current ?? open()
        const item = { request, resume }
        batch.items.add(item)
        if (batch.items.size >= maxBatchSize) {
          seal(batch)
          Deferred.unsafeDone(batch.full, Effect.void)
        }
        return Effect.suspend(() => {
          batch.items.delete(item)
          return batch.items.size === 0 ? abandon(batch) : Effect.void
        })
      })
  })

/** `SqlResolver.findById` answers only one of several equal requests; the others share its answer. */
const answer = <A, E, Req extends Request.Request<A, E>>(
  items: ReadonlyArray<Item<A, E, Req>>,
  exits: ReadonlyArray<Exit.Exit<A, E>>
): void => {
  const answered = MutableHashMap.empty<Req, Exit.Exit<A, E>>()
  exits.forEach((exit, i) => {
    if (!Exit.isInterrupted(exit)) MutableHashMap.set(answered, items[i]!.request, exit)
  })
  exits.forEach((exit, i) => {
    const { request, resume } = items[i]!
    resume(Exit.isInterrupted(exit) ? Option.getOrElse(MutableHashMap.get(answered, request), () => exit) : exit)
  })
}
