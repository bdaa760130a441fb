/** What a consumer does with its messages: decode, run the handler, and say how each is settled. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { constFalse } from "effect/Function"
import * as Option from "effect/Option"
import type { QueueBackend, RawMessage } from "../backend.ts"
import type { Codec } from "../codec.ts"
import { OUTBOX_ID } from "../messageAttributes.ts"
import type {
  Batch,
  BatchResult,
  ConsumeBatchOptions,
  ConsumeOptions,
  ConsumerOptions,
  Dedupe,
  Poison,
  Received
} from "../model.ts"
import type { Settings } from "./options.ts"
import * as Decoding from "./received.ts"
import { retryDelay } from "./retryDelay.ts"
import * as Telemetry from "./telemetry.ts"

/** How a message is settled. Released, it becomes visible after so many seconds; left, when its visibility ends. */
export type Outcome = { readonly _tag: "Ack" } | { readonly _tag: "Release"; readonly seconds: number } | {
  readonly _tag: "Leave"
}

const ACK: Outcome = { _tag: "Ack" }
const LEAVE: Outcome = { _tag: "Leave" }
const isAck = ({ _tag }: Outcome): boolean => _tag === "Ack"
export const release = (seconds: number): Outcome => ({ _tag: "Release", seconds })

export interface Handling<R> {
  /** The outcome of each message, in order. */
  readonly run: (messages: ReadonlyArray<RawMessage>) => Effect.Effect<ReadonlyArray<Outcome>, never, R>
  /** The outcome of a message whose run was interrupted at its deadline. */
  readonly overdue: (message: RawMessage) => Effect.Effect<Outcome>
}

export const one = <A, R, E, R2, R3>(
  backend: QueueBackend,
  codec: Codec<A, R>,
  settings: Settings,
  handler: (message: Received<A>) => Effect.Effect<unknown, E, R2>,
  options: ConsumeOptions<E, R3>
): Handling<R | R2 | R3> => {
  const failing = failures(backend, settings, options)
  const { dedupe } = options
  const handle = (raw: RawMessage, message: Received<A>): Effect.Effect<Outcome, E, R2 | R3> => {
    const handling = Effect.suspend(() => handler(message))
    if (dedupe === undefined) return Effect.as(handling, ACK)
    // `isPoison` knows the errors of the handler, and not those of the inbox.
    let own: Cause.Cause<E> = Cause.empty
    const noted = Effect.tapErrorCause(handling, (cause) => Effect.sync(() => void (own = cause)))
    return Effect.as(once(dedupe, message, noted), ACK).pipe(
      Effect.catchAllCause((cause) => isOf(own, cause) ? Effect.failCause(own) : failing.comesAgain(raw, cause))
    )
  }
  const work = (raw: RawMessage): Effect.Effect<Outcome, never, R | R2 | R3> =>
    Effect.matchEffect(Decoding.decode(codec, raw), {
      onFailure: (detail) => failing.poison(raw, "Undecodable", `the body ${detail}`, Option.none()),
      onSuccess: (message) => handle(raw, message)
    }).pipe(Effect.catchAllCause((cause) => failing.failed(raw, cause)))
  return {
    run: (messages) =>
      Telemetry.processing(backend, messages, Effect.map(work(messages[0]!), (outcome) => [outcome]), isAck),
    overdue: failing.overdue
  }
}

/** Whether a work ended with what its part failed with. */
const isOf = (part: Cause.Cause<unknown>, cause: Cause.Cause<unknown>): boolean => {
  const failure = Cause.failureOption(part)
  return Option.isSome(failure) && Option.contains(Cause.failureOption(cause), failure.value)
}

const once = <A, E, R, R3>(
  dedupe: Dedupe<unknown, R3>,
  message: Received<unknown>,
  work: Effect.Effect<A, E, R>
): Effect.Effect<void, unknown, R | R3> =>
  Effect.flatMap(
    dedupe.once(dedupe.id?.(message) ?? String(message.attributes[OUTBOX_ID] ?? message.messageId), work),
    Option.match({
      onNone: () =>
        Effect.annotateLogs(Effect.logDebug("A message has taken effect before"), { message_id: message.messageId }),
      onSome: () => Effect.void
    })
  )

export const batch = <A, R, E, R2, R3>(
  backend: QueueBackend,
  codec: Codec<A, R>,
  settings: Settings,
  handler: (messages: Batch<A>) => Effect.Effect<BatchResult, E, R2>,
  options: ConsumeBatchOptions<E, R3>
): Handling<R | R2 | R3> => {
  const failing = failures(backend, settings, options)
  const run: Handling<R | R2 | R3>["run"] = (messages) =>
    Telemetry.processing(
      backend,
      messages,
      Effect.gen(function*() {
        const outcomes = new Map<RawMessage, Outcome>()
        const good: Array<readonly [RawMessage, Received<A>]> = []
        // What is later in its group must not take effect before what comes again.
        const stopped = new Set<string>()
        for (const raw of messages) {
          const group = Decoding.groupOf(raw)
          if (group !== undefined && stopped.has(group)) {
            outcomes.set(raw, release(0))
            continue
          }
          const outcome = yield* Effect.matchEffect(Decoding.decode(codec, raw), {
            onFailure: (detail) => failing.poison(raw, "Undecodable", `the body ${detail}`, Option.none()),
            onSuccess: (message) => Effect.sync(() => void good.push([raw, message]))
          }).pipe(Effect.catchAllCause((cause) => failing.failed(raw, cause)))
          if (outcome === undefined) continue
          outcomes.set(raw, outcome)
          if (group !== undefined && outcome._tag !== "Ack") stopped.add(group)
        }
        const [first, ...others] = good.map(([, message]) => message)
        if (first !== undefined) {
          const results = yield* Effect.suspend(() => handler([first, ...others])).pipe(
            Effect.map((result) => ({ failed: failedOf(result, good.map(([raw]) => raw)), cause: undefined })),
            Effect.catchAllCause((cause) => Effect.succeed({ failed: good.map(([raw]) => raw), cause }))
          )
          const failed = new Set(results.failed)
          for (const [raw] of good) {
            outcomes.set(
              raw,
              !failed.has(raw)
                ? ACK
                : yield* results.cause === undefined ? failing.again(raw) : failing.failed(raw, results.cause)
            )
          }
        }
        return messages.map((raw) => outcomes.get(raw) ?? LEAVE)
      }),
      isAck
    )
  return { run, overdue: failing.overdue }
}

/** A result that names a message which is not of the batch is not understood: then all have failed. */
const failedOf = (result: BatchResult, batch: ReadonlyArray<RawMessage>): ReadonlyArray<RawMessage> => {
  if (result === undefined || result === null) return []
  const known = new Map(batch.map((raw) => [raw.messageId, raw]))
  const failed = result.failed.map((id) => known.get(id))
  return failed.every((raw) => raw !== undefined) ? failed : batch
}

/** What becomes of messages that failed. */
const failures = <E, R3>(backend: QueueBackend, settings: Settings, options: ConsumerOptions<E, R3>) => {
  const { isPoison = constFalse } = options
  const known = new Recent(1_000)
  const logged = (raw: RawMessage): Record<string, unknown> => Telemetry.logged(backend, raw, settings.name)

  /** Where the schedule cannot tell, the message is left: at once it would come again and again. */
  const again = (raw: RawMessage): Effect.Effect<Outcome> =>
    Effect.map(
      retryDelay(settings.retry, raw.receiveCount),
      (delay) => delay === undefined ? LEAVE : release(delay)
    ).pipe(Effect.catchAllCause((cause) => Effect.as(logFailure(raw, "retry failed", cause), LEAVE)))

  const logFailure = (raw: RawMessage, what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.annotateLogs(
      Effect.logError(`${what}, and the message is left to the redrive policy`, cause),
      logged(raw)
    )

  const poison = (
    raw: RawMessage,
    reason: Poison<E>["reason"],
    detail: string,
    error: Option.Option<E>
  ): Effect.Effect<Outcome, never, R3> =>
    Effect.gen(function*() {
      yield* Telemetry.failed(Option.match(error, { onNone: () => reason, onSome: Telemetry.typeOf }))
      if (known.add(raw.messageId)) {
        yield* Effect.logError(`A message cannot be handled: ${detail}`).pipe(
          Effect.annotateLogs(logged(raw))
        )
      }
      if (options.onPoison === undefined) return yield* again(raw)
      const verdict = yield* options.onPoison({
        reason,
        detail,
        error,
        body: raw.body,
        messageId: raw.messageId,
        receiveCount: raw.receiveCount,
        sentAt: new Date(raw.sentAt),
        messageGroupId: raw.messageGroupId,
        attributes: Decoding.attributesOf(raw)
      })
      return verdict === "delete" ? ACK : yield* again(raw)
    }).pipe(Effect.catchAllCause((cause) => Effect.zipRight(logFailure(raw, "onPoison failed", cause), again(raw))))

  const failed = (raw: RawMessage, cause: Cause.Cause<unknown>): Effect.Effect<Outcome, never, R3> => {
    const error = Cause.failureOption(cause) as Option.Option<E>
    return Effect.sync(() => Option.exists(error, isPoison)).pipe(
      // One that throws has not said so.
      Effect.catchAllDefect((defect) => Effect.as(logFailure(raw, "isPoison failed", Cause.die(defect)), false)),
      Effect.flatMap((isForGood) =>
        isForGood
          ? poison(raw, "Failed", "its handler failed for good", error)
          : comesAgain(raw, cause)
      )
    )
  }

  const comesAgain = (raw: RawMessage, cause: Cause.Cause<unknown>): Effect.Effect<Outcome> =>
    Effect.zipRight(
      Telemetry.failed(Telemetry.typeOf(Cause.squash(cause))),
      said(raw, "A message failed, and comes again", [cause])
    )

  const overdue = (raw: RawMessage): Effect.Effect<Outcome> =>
    said(raw, `A message was not handled within ${settings.deadline} ms, and comes again`)

  const said = (
    raw: RawMessage,
    text: string,
    causes: ReadonlyArray<Cause.Cause<unknown>> = []
  ): Effect.Effect<Outcome> =>
    Effect.tap(again(raw), (outcome) =>
      Effect.annotateLogs(Effect.logWarning(text, ...causes), {
        ...logged(raw),
        ...(outcome._tag === "Release" ? { again_in: `${outcome.seconds}s` } : {})
      }))

  return { again, comesAgain, poison, failed, overdue }
}

/** The latest of a number of ids. */
class Recent {
  readonly #most: number
  readonly #ids = new Set<string>()

  constructor(most: number) {
    this.#most = most
  }

  /** Whether it was not there. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    const [oldest] = this.#ids
    if (this.#ids.size > this.#most && oldest !== undefined) this.#ids.delete(oldest)
    return true
  }
}
