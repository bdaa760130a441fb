/**
 * How calls reach a client: each waits for its turn, is sent, and can be ended at any time. One for each client, so that
 * everything that uses a client shares its turns.
 */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Predicate from "effect/Predicate"
import { Readable } from "node:stream"
import type { ReadableStream as WebStream } from "node:stream/web"
import { ServiceError } from "../../../Errors.ts"
import { cancellable } from "../../../internal/cancellable.ts"
import { uninterruptibleMask } from "../../../internal/effectPrimitives.ts"
import { CLEAN_UP, CREDENTIALS, PAUSED } from "../deadlines.ts"
import { toServiceError } from "../errors/classify.ts"
import { type AwsService, isDelivery } from "../errors/errorTable.ts"
import { noCredentials } from "../errors/noCredentials.ts"
import { watching } from "../watch.ts"
import * as Call from "./call.ts"
import type { Client, Command } from "./command.ts"
import * as Handlers from "./handlers.ts"
import * as Metrics from "./metrics.ts"
import { Permits } from "./permits.ts"

export interface SendOptions {
  /** The body came from a stream that cannot be read again, so the failure is not retryable. */
  readonly consumed?: boolean | undefined
  /** To look at the call while it is under way and afterwards, or to choose its lane; one for each run. */
  readonly call?: Call.Call | undefined
  /**
   * An interruption does not end the call once it is delivered, which would not undo it: `call` tells when it is over,
   * and can end it.
   */
  readonly outlives?: boolean | undefined
  /** Part of a clean-up: it may be sent while the client closes. */
  readonly cleanUp?: boolean | undefined
}

/** A reply, of a download without its body. */
export interface Sent<Reply> {
  readonly reply: Reply
  /** As the server sent them; none from an injected client. */
  readonly headers: Readonly<Record<string, string>>
}

export interface Transport {
  /** `operation` is the name of the SDK's command. Interruption aborts the request. */
  readonly send: <Reply>(
    operation: string,
    command: Command,
    options?: SendOptions
  ) => Effect.Effect<Reply, ServiceError>
  /**
   * A reply whose body is read as it arrives. Its turn lasts until the body is closed; so `onBody` is given the body as
   * soon as there is one, also where an interruption keeps the reply from its fiber.
   */
  readonly download: <Reply extends { readonly Body?: unknown }>(
    operation: string,
    command: Command,
    onBody: (body: Readable) => void
  ) => Effect.Effect<Sent<Reply>, ServiceError>
  /**
   * Work that may end with a clean-up: closing the client waits until it is over. `cleanUp`: it may begin while the
   * client closes.
   */
  readonly job: <A, E, R>(
    operation: string,
    work: Effect.Effect<A, E, R>,
    cleanUp?: boolean
  ) => Effect.Effect<A, ServiceError | E, R>
  /** Tells work that waits for something else than its own calls that the client closes. Returns how to stop that. */
  readonly onClose: (operation: string, listener: (error: ServiceError) => void) => () => void
  /** Ends everything that is under way, waits for its clean-up, and sends nothing afterwards. */
  readonly close: Effect.Effect<void>
}

/** The turns of one lane. */
interface Turns {
  readonly permits: Permits
  readonly metrics: Metrics.RequestMetrics
}

type SendCommand = (command: Command, options?: { readonly abortSignal: AbortSignal }) => Promise<unknown>

const transports = new WeakMap<object, Transport>()

/** The transport of a client: that of our own, or one that is made for an injected client. */
export const of = (service: AwsService, client: Client): Transport => {
  const known = transports.get(client)
  if (known !== undefined) return known
  const made = make(service, client, injected[service])
  transports.set(client, made)
  return made
}

/**
 * As many requests at a time as the SDK's own handler has sockets by default, and it has them for both lanes: polls, which
 * wait up to 20 s, leave half of them to others.
 */
const injected: Readonly<Record<AwsService, TransportOptions>> = {
  S3: { own: false, prompt: 50, lasting: 50 },
  SQS: { own: false, prompt: 50, lasting: 25 }
}

/** What the requests of a lane are called in metrics. */
const kinds: Readonly<Record<AwsService, Readonly<Record<Call.Lane, string>>>> = {
  S3: { prompt: "request", lasting: "download" },
  SQS: { prompt: "request", lasting: "poll" }
}

/** The most requests at a time, in each lane. */
export interface TransportOptions extends Readonly<Record<Call.Lane, number>> {
  /** Whether the client has our request handler, which knows calls. */
  readonly own: boolean
}

/** Makes the transport of a client of ours. */
export const own = (service: AwsService, client: Client, options: Omit<TransportOptions, "own">): Transport => {
  const made = make(service, client, { ...options, own: true })
  transports.set(client, made)
  return made
}

const make = (service: AwsService, client: Client, options: TransportOptions): Transport => {
  const turns = (lane: Call.Lane): Turns => ({
    permits: new Permits(options[lane]),
    metrics: Metrics.make(service, kinds[service][lane])
  })
  const lanes: Readonly<Record<Call.Lane, Turns>> = { prompt: turns("prompt"), lasting: turns("lasting") }
  // The client's own method, whose overloads say nothing of commands in general.
  const sendCommand = client.send as SendCommand
  const handlers = Handlers.make(client)
  let state: "open" | "closing" | "closed" = "open"
  /** How to end whatever waits or is under way; clean-ups apart. */
  const endings = new Set<() => void>()
  const cleanUps = new Set<() => void>()
  let jobs = 0
  let onIdle: (() => void) | undefined

  const admits = (cleanUp: boolean): boolean => state === "open" || (state === "closing" && cleanUp)

  const closed = (operation: string, outcome?: "unknown"): ServiceError =>
    new ServiceError({
      service,
      operation,
      reason: "Closed",
      retryable: false,
      attempts: 0,
      detail: "the layer of the client is closed",
      ...(outcome === undefined ? {} : { outcome })
    })

  /** An injected client does not know calls: it gets a signal, and may have delivered whatever was sent. */
  const transmit = (operation: string, command: Command, call: Call.Call): Promise<unknown> => {
    // Until our request handler knows better.
    call.delivered = true
    try {
      if (options.own) {
        Call.attach(command, call)
        return handlers(operation, command)(command).then(({ output }) => output)
      }
      const controller = new AbortController()
      call.abort = () => controller.abort()
      return sendCommand.call(client, command, { abortSignal: controller.signal })
    } catch (cause) {
      return Promise.reject(cause)
    }
  }

  /** `onBody` is given the body that has to be closed before the turn is over. */
  const run = <Reply>(
    operation: string,
    command: Command,
    { call: given, cleanUp = false, consumed, outlives = false }: SendOptions,
    onBody?: (body: Readable) => void
  ): Effect.Effect<Sent<Reply>, ServiceError> =>
    uninterruptibleMask((restore) => {
      // Of this run: the effect may be run again.
      const call = given ?? Call.make(onBody && { streams: true, lane: "lasting" })
      const { metrics, permits } = lanes[call.lane]
      // Before our request handler has met it nothing was sent.
      const isDelivered = (): boolean => call.delivered && (call.met || !options.own)
      const start = (resume: (reply: Effect.Effect<Sent<Reply>, ServiceError>) => void): void => {
        if (!admits(cleanUp)) {
          call.end()
          return resume(Effect.fail(closed(operation)))
        }
        const set = cleanUp ? cleanUps : endings
        let leave = (): boolean => false
        const giveBack = (): void => {
          permits.give(1)
          metrics.levels(permits.taken, permits.waiting)
        }
        const finish = (): void => {
          call.over = true
          set.delete(ending)
          unsent.delete(call)
          for (const listener of call.onOver) listener()
        }
        const end = (): void => {
          if (call.over) return
          finish()
          if (leave()) return metrics.levels(permits.taken, permits.waiting)
          call.abort?.()
          giveBack()
        }
        call.end = end
        const ending = (): void => {
          end()
          resume(Effect.fail(closed(operation, isDelivered() && isDelivery(operation) ? "unknown" : undefined)))
        }
        const fail = (error: ServiceError): void => {
          if (call.over) return
          finish()
          // Of a reply that cannot be read, the body is still open.
          call.abort?.()
          giveBack()
          resume(Effect.fail(error))
        }
        set.add(ending)
        const asked = performance.now()
        leave = permits.take(1, () => {
          metrics.levels(permits.taken, permits.waiting)
          metrics.waited(performance.now() - asked)
          if (options.own) {
            const giveUp = (): void => {
              fail(noCredentials(service, operation, consumed !== true, isDelivered() && isDelivery(operation)))
            }
            call.waits = () => {
              unsent.set(call, { looks: 0, giveUp })
              watchUnsent()
            }
            call.waits()
          }
          transmit(operation, command, call).then(
            (value) => {
              const reply = value as Reply
              const body = onBody === undefined ? undefined : readableOf(reply)
              if (body === null) return fail(notReadable(service, operation))
              if (call.over) return void body?.destroy()
              finish()
              if (body === undefined) {
                giveBack()
              } else {
                untilClosed(operation, body, isResumable(reply), giveBack)
                onBody?.(body)
              }
              resume(Effect.succeed({ reply, headers: call.headers }))
            },
            (cause: unknown) => {
              const { doubtful, instead } = call
              // The SDK has failed before it knew what came of the attempt that was made for it.
              const isDoubtful = doubtful || instead !== undefined
              const circumstances = {
                consumed,
                delivered: isDelivered(),
                doubtful: options.own ? isDoubtful : undefined
              }
              fail(toServiceError(service, operation, cause, circumstances))
            }
          )
        })
        if (permits.waiting > 0) {
          metrics.levels(permits.taken, permits.waiting)
          if (onBody !== undefined) watchPaused()
        }
      }
      const cancel = (): Effect.Effect<void> => {
        if (!(outlives && call.met && call.delivered)) call.end()
        return Effect.void
      }
      return cancellable(restore, { start, cancel })
    })

  /** A download that is open when the client closes fails. */
  const untilClosed = (operation: string, body: Readable, resumable: boolean, giveBack: () => void): void => {
    const ending = (): void => void body.destroy(closed(operation))
    endings.add(ending)
    // What it fails with reaches its reader, if it has one.
    body.on("error", constVoid)
    if (resumable) {
      body.on("pause", () => pausedSince.set(body, performance.now()))
      body.on("resume", () => pausedSince.delete(body))
    }
    body.once("close", () => {
      endings.delete(ending)
      pausedSince.delete(body)
      giveBack()
    })
  }

  /** Downloads whose reader does not read on. */
  const pausedSince = new Map<Readable, number>()

  /** While others wait for their turn, they lose their connection. The reader opens another one when it reads on. */
  const watchPaused = watching(PAUSED / 5, () => {
    const latest = performance.now() - PAUSED
    for (const [body, since] of [...pausedSince].slice(0, lanes.lasting.permits.waiting)) {
      if (since <= latest) body.destroy(gaveWay())
    }
    return lanes.lasting.permits.waiting > 0
  })

  /** Calls without an attempt that is under way, how often that was seen, and how to give them up. */
  const unsent = new Map<Call.Call, { looks: number; readonly giveUp: () => void }>()

  /**
   * The SDK asks for the credentials before each attempt, and to be told of one that was made for it, and what provides
   * them may never answer. Looks are counted and not time: the process itself may have been late.
   */
  const watchUnsent = watching(CREDENTIALS / 10, () => {
    for (const [call, one] of unsent) {
      if (call.abort !== undefined) unsent.delete(call)
      else if (++one.looks > 10) one.giveUp()
    }
    return unsent.size > 0
  })

  const endAll = (set: ReadonlySet<() => void>): void => {
    for (const ending of [...set]) ending()
  }

  return {
    send: (operation, command, sendOptions = {}) =>
      Effect.map(run<never>(operation, command, sendOptions), ({ reply }) => reply),

    download: (operation, command, onBody) => run(operation, command, {}, onBody),

    job: <A, E, R>(operation: string, work: Effect.Effect<A, E, R>, cleanUp = false) =>
      uninterruptibleMask((restore): Effect.Effect<A, ServiceError | E, R> => {
        if (!admits(cleanUp)) return Effect.fail(closed(operation))
        jobs++
        return Effect.onExit(restore(work), () =>
          Effect.sync(() => {
            jobs--
            if (jobs === 0) onIdle?.()
          }))
      }),

    onClose: (operation, listener) => {
      const ending = (): void => listener(closed(operation))
      if (!admits(false)) ending()
      endings.add(ending)
      return () => void endings.delete(ending)
    },

    close: Effect.async<void>((resume) => {
      const finish = (): void => {
        clearTimeout(timer)
        state = "closed"
        endAll(cleanUps)
        resume(Effect.void)
      }
      const timer = setTimeout(finish, CLEAN_UP)
      state = "closing"
      onIdle = finish
      endAll(endings)
      if (jobs === 0) finish()
    })
  }
}

/** Whether the rest of a download can be asked for: its end is known, and what it is a part of. */
const isResumable = (reply: unknown): boolean => {
  const { ContentLength, ETag } = reply as { readonly ContentLength?: number; readonly ETag?: string }
  return ContentLength !== undefined && ETag !== undefined && !ETag.startsWith("W/")
}

/** The body of a reply as a stream of Node; null if it is nothing of the kind. Injected clients may have other handlers. */
const readableOf = (reply: unknown): Readable | null => {
  const body = Predicate.hasProperty(reply, "Body") ? reply.Body : undefined
  if (body instanceof Readable) return body
  if (body instanceof Uint8Array) return Readable.from([body])
  return body instanceof ReadableStream ? Readable.fromWeb(body as WebStream) : null
}

const notReadable = (service: AwsService, operation: string): ServiceError =>
  new ServiceError({
    service,
    operation,
    reason: "MalformedReply",
    retryable: false,
    attempts: 1,
    detail: "the client gave a reply without a body that can be read"
  })

const gaveWay = (): Error =>
  Object.assign(new Error("the connection of a reader that paused was given to another"), { code: "ECONNRESET" })
