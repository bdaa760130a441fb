/**
 * Any number of messages: one fiber reads the source as far as the window has room, some send batches, and whoever pulls
 * gets the results in order. Nothing runs for a single message; closing the scope ends all of it.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { QueueBackend } from "../backend.ts"
import { BATCH, MAX_SIZE } from "../limits.ts"
import type { EnqueueAllOptions } from "../model.ts"
import type { Sender } from "./deduplication.ts"
import * as Delivery from "./delivery.ts"
import * as Gate from "./gate.ts"
import * as Tracing from "./tracing.ts"
import { type Item, type Result, Window } from "./window.ts"

export interface Queue {
  readonly backend: QueueBackend
  readonly sender: Sender
}

/** Takes one element of the source into the window: at once, or as an effect where that has to wait. */
export type Accept<A, R> = (element: A, window: Window) => Effect.Effect<void, never, R> | undefined

/** Messages that wait to be sent, at most, for the groups among them to be as many as possible. */
const ORDERED = 1000

/** Dies (a defect) with a number that is none of batches. */
export const concurrencyOf = ({ concurrency = 8 }: EnqueueAllOptions = {}): number => {
  if (Number.isSafeInteger(concurrency) && concurrency >= 1) return concurrency
  throw new RangeError("enqueueAll: concurrency must be an integer of at least 1")
}

/** How a source is read: after each batch, `rest` gives way to those who send, and waits for room. */
type Reader<E, R> = (window: Window, rest: Effect.Effect<void>) => Effect.Effect<void, E, R>

export const fromIterable = <A, R>(messages: Iterable<A>, accept: Accept<A, R>): Reader<never, R> => (window, rest) =>
  Effect.suspend(() => {
    const iterator = messages[Symbol.iterator]()
    let ended = false
    const read = (count: number): Effect.Effect<void, never, R> =>
      Effect.suspend(() => {
        while (count < BATCH && window.hasRoom) {
          // One that throws is not asked to return.
          ended = true
          const next = iterator.next()
          if (next.done === true) return Effect.void
          ended = false
          count++
          const pending = accept(next.value, window)
          if (pending !== undefined) return Effect.zipRight(pending, read(count))
        }
        return Effect.zipRight(rest, read(0))
      })
    return Effect.ensuring(read(0), Effect.sync(() => void (ended || iterator.return?.())))
  })

export const fromStream =
  <A, E, R, R2>(messages: Stream.Stream<A, E, R>, accept: Accept<A, R2>): Reader<E, R | R2> => (window, rest) =>
    Effect.scoped(Effect.flatMap(Stream.toPull(messages), (pull) => {
      const take = (
        chunk: Chunk.Chunk<A>,
        from: number,
        end = from + BATCH
      ): Effect.Effect<void, Option.Option<E>, R | R2> =>
        Effect.suspend(() => {
          let index = from
          while (index < chunk.length && index < end && window.hasRoom) {
            const pending = accept(Chunk.unsafeGet(chunk, index++), window)
            if (pending !== undefined) return Effect.zipRight(pending, take(chunk, index, end))
          }
          return Effect.zipRight(rest, index < chunk.length ? take(chunk, index) : next)
        })
      const next: Effect.Effect<void, Option.Option<E>, R | R2> = Effect.flatMap(pull, (chunk) => take(chunk, 0))
      return Effect.catchAll(next, Option.match({ onNone: () => Effect.void, onSome: Effect.fail }))
    }))

/** One result for each message that is read, in that order. What the source fails with comes after all of them. */
export const make = <E, R>(
  { backend, sender }: Queue,
  read: Reader<E, R>,
  concurrency: number
): Stream.Stream<Result, E, R> =>
  Stream.fromPull(Effect.gen(function*() {
    const scope = yield* Effect.scope
    const window = new Window(backend.kind !== "standard", {
      messages: backend.kind === "standard" ? 2 * BATCH * concurrency : Math.max(ORDERED, 2 * BATCH * concurrency),
      bytes: 2 * MAX_SIZE * concurrency
    })
    let end: Exit.Exit<never, Option.Option<E>> | undefined
    let defect: Cause.Cause<never> | undefined
    let senders = 0

    const room = Gate.make(() => window.hasRoom)
    const work = Gate.make(() => window.batches > 0)
    const results = Gate.make(() => defect !== undefined || window.hasResult || (end !== undefined && window.isEmpty))

    const settle = (item: Item, result: Result): void => {
      window.done(item, result)
      if (window.hasResult) results.open(1)
      if (window.hasRoom) room.open(1)
    }

    const send: Effect.Effect<void> = Effect.suspend(() => {
      const items = window.take()
      if (items.length === 0) return Effect.zipRight(work.wait, send)
      return Effect.zipRight(Effect.zipRight(deliver(items), assign), send)
    })

    /** As many senders as there is work for. */
    const assign: Effect.Effect<void> = Effect.suspend(() => {
      const { batches } = window
      const idle = work.waiting()
      work.open(batches)
      const more = Math.min(batches - idle, concurrency - senders)
      if (more <= 0) return Effect.void
      senders++
      const sender = Effect.catchAllCause(send, (cause) =>
        Effect.sync(() => {
          defect ??= cause
          results.open(1)
        }))
      const forked = Effect.forkIn(sender, scope)
      // The next one when this one has its batch.
      return more === 1 ? Effect.asVoid(forked) : Effect.zipRight(Effect.zipRight(forked, Effect.yieldNow()), assign)
    })

    const deliver = Delivery.make({
      sender: {
        ...sender,
        sendBatch: (parcels) =>
          Tracing.batch("Queue.sendBatch", backend.name, parcels.length, sender.sendBatch(parcels))
      },
      deduplicates: ({ message }) => backend.kind === "fifo" || message.messageDeduplicationId !== undefined,
      settle,
      beforePause: assign
    })

    const rest = Effect.zipRight(assign, Effect.suspend(() => window.hasRoom ? Effect.yieldNow() : room.wait))

    yield* read(window, rest).pipe(
      Effect.exit,
      Effect.tap((exit) =>
        Effect.sync(() => {
          end = Exit.isSuccess(exit)
            ? Exit.fail(Option.none())
            : Exit.failCause(Cause.map(exit.cause, Option.some))
          results.open(1)
        })
      ),
      Effect.zipRight(assign),
      Effect.forkIn(scope)
    )

    const pull: Effect.Effect<Chunk.Chunk<Result>, Option.Option<E>> = Effect.suspend(() => {
      if (defect !== undefined) return Effect.failCause(defect)
      if (window.hasResult) {
        const given = Chunk.unsafeFromArray(window.results())
        if (window.hasRoom) room.open(1)
        return Effect.succeed(given)
      }
      return end !== undefined && window.isEmpty ? end : Effect.zipRight(results.wait, pull)
    })
    return pull
  }))
