/** A message as its handler sees it. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { RawMessage } from "../backend.ts"
import type { Codec } from "../codec.ts"
import type { AttributeValue, MessageAttribute } from "../messageAttributes.ts"
import type { Received } from "../model.ts"

/** Fails with what is wrong with the body, of which it quotes nothing. */
export const decode = <A, R>(codec: Codec<A, R>, raw: RawMessage): Effect.Effect<Received<A>, string, R> =>
  Effect.map(
    Effect.flatMap(raw.unreadable === undefined ? jsonOf(raw.body) : Effect.fail(raw.unreadable), codec.decode),
    (payload) => ({ ...envelope(raw), payload })
  )

const envelope = (raw: RawMessage): Omit<Received<never>, "payload"> => ({
  messageId: raw.messageId,
  receiveCount: raw.receiveCount,
  sentAt: new Date(raw.sentAt),
  messageGroupId: raw.messageGroupId,
  messageDeduplicationId: raw.messageDeduplicationId,
  sequenceNumber: raw.sequenceNumber,
  attributes: attributesOf(raw),
  traceHeader: raw.traceHeader
})

/** Its group on a FIFO queue, whose order must be kept. Only messages of a FIFO queue have a number. */
export const groupOf = ({ messageGroupId, sequenceNumber }: RawMessage): string | undefined =>
  sequenceNumber === undefined ? undefined : messageGroupId

export const attributesOf = ({ attributes }: RawMessage): Received<never>["attributes"] =>
  Object.fromEntries(Object.entries(attributes).map(([name, attribute]) => [name, valueOf(attribute)]))

const valueOf = ({ type, value }: MessageAttribute): AttributeValue => {
  if (type !== "Number" || typeof value !== "string") return value
  const number = Number(value)
  // SQS keeps 38 digits.
  return value.trim() !== "" && Number.isFinite(number) && isExact(value, number) ? number : value
}

const isExact = (text: string, number: number): boolean =>
  !Number.isInteger(number) || Number.isSafeInteger(number) ? text.replace(/\D/g, "").length <= 17 : false

const jsonOf = (body: string): Either.Either<unknown, string> =>
  Either.try({ try: () => JSON.parse(body) as unknown, catch: () => "is not JSON" })
