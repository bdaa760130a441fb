/** Messages as they are asked for, to be settled by hand. */
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import { pauseAfter } from "../../../../internal/backoff.ts"
import { async } from "../../../../internal/effectPrimitives.ts"
import { invalidInput } from "../../errors/invalidInput.ts"
import type { QueueBackend, RawMessage } from "../backend.ts"
import type { Codec } from "../codec.ts"
import { BATCH, MAX_VISIBILITY } from "../limits.ts"
import type { Delivery } from "../model.ts"
import { seconds } from "../seconds.ts"
import { Fibers } from "./fibers.ts"
import { type Entry, InFlight } from "./inFlight.ts"
import type { Receiving } from "./options.ts"
import { Patience } from "./patience.ts"
import { hasWaited, IDLE_BACKOFF, POLL_BACKOFF } from "./polling.ts"
import * as Decoding from "./received.ts"
import * as Telemetry from "./telemetry.ts"

export const make = <A, R>(
  backend: QueueBackend,
  codec: Codec<A, R>,
  settings: Receiving
): Stream.Stream<Delivery<A>, ServiceError, R> =>
  Stream.unwrapScoped(Effect.map(source(backend, settings), (source) => {
    /** None if it does not decode. */
    const delivery = (entry: Entry): Effect.Effect<Option.Option<Delivery<A>>, never, R> =>
      Effect.matchEffect(Decoding.decode(codec, entry.raw), {
        onSuccess: (message) => Effect.succeed(Option.some({ ...message, ...settling(backend, entry.receipt) })),
        onFailure: (detail) =>
          Effect.as(
            Effect.annotateLogs(
              Effect.logError(`A message cannot be handled, and is left to the redrive policy: the body ${detail}`),
              Telemetry.logged(backend, entry.raw)
            ),
            Option.none()
          )
      })
    const next: Effect.Effect<Chunk.Chunk<Delivery<A>>, ServiceError, R> = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(source.available), () => {
        const entry = source.take()
        return restore(delivery(entry)).pipe(
          Effect.onInterrupt(() => Effect.sync(() => source.putBack(entry))),
          Effect.tap(() => source.give(entry)),
          Effect.map(Option.match({ onNone: () => Chunk.empty<Delivery<A>>(), onSome: Chunk.of }))
        )
      })
    )
    return Stream.repeatEffectChunk(next)
  }))

/** What was received and not given yet. Its visibility is extended meanwhile; after that it is the caller's. */
interface Source {
  /** Polls until there is a message. */
  readonly available: Effect.Effect<void, ServiceError>
  readonly take: () => Entry
  readonly putBack: (entry: Entry) => void
  readonly give: (entry: Entry) => Effect.Effect<void>
}

/** Seconds that the last poll may take beyond its wait. */
const LAST_POLL = 10

const source = (backend: QueueBackend, settings: Receiving): Effect.Effect<Source, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fibers = yield* Fibers.make()
    const waiting: Array<Entry> = []
    let failures = 0
    /** Polls in a row that brought nothing at once. */
    let idle = 0
    let polling: Deferred.Deferred<void, ServiceError> | undefined
    const beatsEnded = new Set<() => void>()
    const patience = new Patience(backend, fibers, settings.visibility)
    const inFlight = new InFlight(backend, fibers, {
      visibility: settings.visibility,
      patience,
      onError: (error) =>
        void fibers.start(Effect.logWarning("A message could not be kept invisible", error), constVoid),
      onExtended: constVoid,
      onLost: (entry) => drop(entry),
      onBeatsEnded: () => {
        for (const listener of [...beatsEnded]) listener()
      }
    })

    const drop = (entry: Entry): void => {
      inFlight.remove(entry)
      const index = waiting.indexOf(entry)
      if (index >= 0) waiting.splice(index, 1)
    }

    const received = (messages: ReadonlyArray<RawMessage>): void => {
      failures = 0
      waiting.push(...inFlight.add(messages).added)
    }

    /** A poll ends by itself, also if nobody waits for it any more. */
    const poll: Effect.Effect<void, ServiceError> = Effect.suspend(() => {
      if (polling === undefined) {
        const started = Deferred.unsafeMake<void, ServiceError>(FiberId.none)
        polling = started
        const request = {
          max: BATCH,
          waitSeconds: settings.waitSeconds,
          visibilitySeconds: settings.visibility / 1000
        }
        fibers.start(backend.receive(request), (exit) => {
          polling = undefined
          if (Exit.isSuccess(exit)) received(exit.value)
          Deferred.unsafeDone(started, Exit.asVoid(exit))
        })
      }
      return Deferred.await(polling)
    })

    const patientPoll = Effect.suspend(() => {
      const startedAt = fibers.now()
      return Effect.matchEffect(poll, {
        onFailure: (error) =>
          error.retryable
            ? Effect.zipRight(
              Effect.annotateLogs(Effect.logWarning("A stream meets errors, and goes on", error), {
                queue: backend.name
              }),
              Effect.suspend(() => Effect.sleep(pauseAfter(++failures, POLL_BACKOFF, fibers.random())))
            )
            : Effect.fail(error),
        onSuccess: () => {
          if (waiting.length > 0 || hasWaited(settings.waitSeconds, fibers.now() - startedAt)) {
            idle = 0
            return Effect.void
          }
          return Effect.sleep(pauseAfter(++idle, IDLE_BACKOFF, fibers.random()))
        }
      })
    })

    const available: Effect.Effect<void, ServiceError> = Effect.suspend(() =>
      waiting.length > 0 ? Effect.void : Effect.zipRight(patientPoll, available)
    )

    const noBeat = (entry: Entry): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (!entry.isBeating) return Effect.void
        return Effect.flatMap(
          Effect.async<void>((resume) => {
            const listener = (): void => {
              beatsEnded.delete(listener)
              resume(Effect.void)
            }
            beatsEnded.add(listener)
          }),
          () => noBeat(entry)
        )
      })

    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        if (polling !== undefined && !backend.inMemory) {
          const wait = Duration.seconds(settings.waitSeconds + LAST_POLL)
          yield* Effect.ignore(Effect.timeout(Effect.interruptible(Deferred.await(polling)), wait))
        }
        for (const entry of waiting) inFlight.leave(entry)
        for (const entry of waiting) yield* noBeat(entry)
        yield* giveBack(backend, patience, waiting)
        inFlight.stop()
        patience.stop()
        fibers.interruptAll()
      })
    )

    return {
      available,
      take: () => waiting.shift()!,
      putBack: (entry) => void waiting.unshift(entry),
      give: (entry) =>
        Effect.suspend(() => {
          inFlight.leave(entry)
          return Effect.map(noBeat(entry), () => inFlight.remove(entry))
        })
    }
  })

/** What is not given back comes again when its visibility ends. */
const giveBack = (
  backend: QueueBackend,
  patience: Patience,
  entries: ReadonlyArray<Entry>
): Effect.Effect<void> => {
  const failed = (error: ServiceError): Effect.Effect<void> =>
    Effect.annotateLogs(
      Effect.logWarning("Messages could not be given back: they come again when their visibility ends", error),
      { queue: backend.name }
    )
  const release = (batch: ReadonlyArray<Entry>): Effect.Effect<void> => {
    const request = backend.setVisibility(batch.map(({ receipt }) => ({ receipt, seconds: 0 })))
    return Effect.matchEffect(
      async<ReadonlyArray<ServiceError | undefined>, ServiceError>((resume) =>
        patience.start("ChangeMessageVisibilityBatch", request, resume)
      ),
      {
        onFailure: failed,
        onSuccess: (errors) => {
          const error = errors.find((one) => one !== undefined)
          return error === undefined ? Effect.void : failed(error)
        }
      }
    )
  }
  return Effect.forEach(Arr.chunksOf(entries, BATCH), release, { discard: true })
}

/** The ways to settle a message by hand. */
const settling = (
  backend: QueueBackend,
  receipt: string
): Pick<Delivery<never>, "ack" | "release" | "extend"> => {
  const only = (
    errors: Effect.Effect<ReadonlyArray<ServiceError | undefined>, ServiceError>
  ): Effect.Effect<void, ServiceError> =>
    Effect.flatMap(errors, ([error]) => error === undefined ? Effect.void : Effect.fail(error))
  const visible = (operation: string, field: string, least: number) => (after: Duration.DurationInput) =>
    Either.match(seconds(field, after, least, MAX_VISIBILITY), {
      onLeft: (refusal) => Effect.fail(invalidInput("SQS", operation, refusal)),
      onRight: (given) => only(backend.setVisibility([{ receipt, seconds: Math.ceil(given) }]))
    })
  const release = visible("release", "delay", 0)
  return {
    ack: only(backend.delete([receipt])),
    release: (delay = Duration.zero) => release(delay),
    extend: visible("extend", "visibility", 1)
  }
}
