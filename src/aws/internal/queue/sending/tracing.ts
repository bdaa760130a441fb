/**
 * Spans of what is sent, by OpenTelemetry's conventions for messaging, and the trace context of W3C that a message carries
 * to its receiver. Without a tracer there is neither.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import { isTraced } from "../../../../internal/tracing.ts"
import type { Enqueued, QueueBackend } from "../backend.ts"
import { MAX_ATTRIBUTES, MAX_SIZE } from "../limits.ts"
import * as Message from "../message.ts"
import * as MessageAttributes from "../messageAttributes.ts"

const options = (queue: string, operation: string) =>
  ({
    kind: "producer",
    captureStackTrace: false,
    attributes: {
      "messaging.system": "aws_sqs",
      "messaging.destination.name": queue,
      "messaging.operation.name": operation,
      "messaging.operation.type": "send"
    }
  }) as const

/** A span around the sending of one message. */
export const single = <E, R>(
  name: string,
  queue: string,
  effect: Effect.Effect<Enqueued, E, R>
): Effect.Effect<Enqueued, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    isTraced(fiber)
      ? Effect.withSpan(
        Effect.tap(effect, ({ messageId }) => Effect.annotateCurrentSpan("messaging.message.id", messageId)),
        name,
        options(queue, "send")
      )
      : effect
  )

/** A span around one request with several messages. */
export const batch = <A, E, R>(
  name: string,
  queue: string,
  count: number,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    if (!isTraced(fiber)) return effect
    const { attributes, ...others } = options(queue, "send_batch")
    return Effect.withSpan(effect, name, {
      ...others,
      kind: "client",
      attributes: { ...attributes, "messaging.batch.message_count": count }
    })
  })

/** A span around the sending of all messages of a stream. */
export const stream = <A, E, R>(
  name: string,
  queue: string,
  stream: Stream.Stream<A, E, R>
): Stream.Stream<A, E, R> =>
  Stream.unwrap(
    Effect.withFiberRuntime((fiber) =>
      Effect.succeed(isTraced(fiber) ? Stream.withSpan(stream, name, options(queue, "send_batch")) : stream)
    )
  )

/** Adds the context of the span that the effect runs in to a message. */
export type Carry = (message: Message.Message) => Message.Message

/**
 * How messages get the context of the current span, as the attributes `traceparent` and `tracestate`. A message that has
 * one of the two keeps what it has; one that has ten attributes, or no room, goes without. None is stored for it.
 */
export const carry = ({ storesAbove = MAX_SIZE }: Pick<QueueBackend, "storesAbove">): Effect.Effect<Carry> =>
  Effect.withFiberRuntime((fiber) => {
    const span = isTraced(fiber) ? fiber.currentSpan : undefined
    const context = span === undefined ? undefined : contextOf(span)
    return Effect.succeed(context === undefined ? asIs : (message) => carrying(message, context, storesAbove))
  })

const asIs: Carry = (message) => message

interface TraceContext {
  readonly traceparent: MessageAttributes.MessageAttribute
  readonly tracestate: MessageAttributes.MessageAttribute | undefined
}

const carrying = (
  message: Message.Message,
  { traceparent, tracestate }: TraceContext,
  storesAbove: number
): Message.Message => {
  const { attributes } = message
  if (attributes["traceparent"] !== undefined || attributes["tracestate"] !== undefined) return message
  const size = Message.sizeOf(message)
  const isStored = size > storesAbove
  const room = isStored ? MAX_ATTRIBUTES - 1 : MAX_ATTRIBUTES
  const fits = (more: MessageAttributes.MessageAttributes): boolean =>
    Object.keys({ ...attributes, ...more }).length <= room
    && (isStored || size + MessageAttributes.sizeOf(more) <= storesAbove)
  const both = tracestate === undefined ? undefined : { traceparent, tracestate }
  const more = both !== undefined && fits(both) ? both : { traceparent }
  return fits(more) ? { ...message, attributes: { ...attributes, ...more } } : message
}

/** Of an id that is none of W3C's, no context. */
const contextOf = (span: Tracer.AnySpan): TraceContext | undefined => {
  if (!/^(?!0{32})[\da-f]{32}$/.test(span.traceId) || !/^(?!0{16})[\da-f]{16}$/.test(span.spanId)) return undefined
  const state = stateOf(span)
  return {
    traceparent: { type: "String", value: `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}` },
    tracestate: state === undefined ? undefined : { type: "String", value: state }
  }
}

/** A span of @effect/opentelemetry has the one of OpenTelemetry in it. */
const stateOf = (span: Tracer.AnySpan): string | undefined => {
  const inner = Predicate.hasProperty(span, "span") ? span.span : undefined
  if (!Predicate.hasProperty(inner, "spanContext") || !Predicate.isFunction(inner.spanContext)) return undefined
  const context: unknown = inner.spanContext()
  const state = Predicate.hasProperty(context, "traceState") ? context.traceState : undefined
  if (!Predicate.hasProperty(state, "serialize") || !Predicate.isFunction(state.serialize)) return undefined
  const text: unknown = state.serialize()
  return typeof text === "string" && /^[\x21-\x7e][\x20-\x7e]{0,511}$/.test(text) ? text : undefined
}
