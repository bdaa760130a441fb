/** SendMessage and SendMessageBatch. What a reply does not say in so many words is not taken for a success. */
import type {
  SendMessageBatchCommandOutput,
  SendMessageBatchRequestEntry,
  SendMessageCommandOutput
} from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Record from "effect/Record"
import type { ServiceError } from "../../../../Errors.ts"
import * as Call from "../../client/call.ts"
import type { SqsSdk } from "../../client/sdk.ts"
import type { Transport } from "../../client/transport.ts"
import type { Enqueued, QueueBackend } from "../backend.ts"
import type { Message } from "../message.ts"
import * as MessageAttributes from "../messageAttributes.ts"
import { answersOf, entryId } from "../sqs/batchReply.ts"
import { malformedReply, metadataOf } from "../sqs/malformedReply.ts"
import { type IsSame, otherText, replyOf, unchecked } from "../sqs/texts.ts"

export const make = (
  transport: Transport,
  sdk: SqsSdk,
  queueUrl: string,
  isSame: IsSame
): Pick<QueueBackend, "send" | "sendBatch"> => ({
  send: (message) =>
    Effect.suspend(() => {
      const command = new sdk.SendMessageCommand({ QueueUrl: queueUrl, ...fieldsOf(message) })
      return Effect.flatMap(
        transport.send<SendMessageCommandOutput>(SINGLE, command),
        (reply) => resultOf(SINGLE, message, reply, reply, isSame)
      )
    }),

  sendBatch: (messages) =>
    Effect.suspend(() => {
      const call = Call.make()
      const command = unchecked(
        new sdk.SendMessageBatchCommand({
          QueueUrl: queueUrl,
          Entries: messages.map((message, index): SendMessageBatchRequestEntry => ({
            Id: entryId(index),
            ...fieldsOf(message)
          }))
        })
      )
      return Effect.map(transport.send<SendMessageBatchCommandOutput>(BATCH, command, { call }), (reply) => {
        const sent = replyOf(reply)
        // An injected client does not know calls.
        const doubtful = call.met ? call.doubtful : metadataOf(sent.$metadata).attempts > 1
        return resultsOf(messages, sent, doubtful, isSame)
      })
    })
})

/** The fields that a single message and an entry of a batch have in common. */
const fieldsOf = (message: Message): Omit<SendMessageBatchRequestEntry, "Id"> => ({
  MessageBody: message.body,
  ...(message.messageGroupId === undefined ? {} : { MessageGroupId: message.messageGroupId }),
  ...(message.messageDeduplicationId === undefined ? {} : { MessageDeduplicationId: message.messageDeduplicationId }),
  ...(message.delaySeconds === undefined ? {} : { DelaySeconds: message.delaySeconds }),
  ...(Record.isEmptyReadonlyRecord(message.attributes)
    ? {}
    : { MessageAttributes: MessageAttributes.toSqs(message.attributes) }),
  ...(message.traceHeader === undefined
    ? {}
    : { MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue: message.traceHeader } } })
})

type Result = Either.Either<Enqueued, ServiceError>

/** One result for each message: what its one answer says. */
const resultsOf = (
  messages: ReadonlyArray<Message>,
  reply: SendMessageBatchCommandOutput,
  doubtful: boolean,
  isSame: IsSame
): ReadonlyArray<Result> => {
  const answers = answersOf(BATCH, messages.length, reply, doubtful)
  return messages.map((message, index) => {
    const answer = answers?.[index]
    if (answer === undefined) return Either.left(notUnderstood(BATCH, reply))
    return answer.done ? resultOf(BATCH, message, answer.entry, reply, isSame) : Either.left(answer.error)
  })
}

const SINGLE = "SendMessage"
const BATCH = "SendMessageBatch"

/** What is said of a message, by a reply or by an entry of it. */
const resultOf = (
  operation: typeof SINGLE | typeof BATCH,
  message: Message,
  said: { readonly MD5OfMessageBody?: unknown; readonly MessageId?: unknown; readonly SequenceNumber?: unknown },
  reply: { readonly $metadata: unknown },
  isSame: IsSame
): Result => {
  const enqueued = enqueuedOf(said)
  if (enqueued === undefined) return Either.left(notUnderstood(operation, reply))
  return isSame(message.body, said.MD5OfMessageBody) ? Either.right(enqueued) : Either.left(otherText(operation, reply))
}

const enqueuedOf = (
  reply: { readonly MessageId?: unknown; readonly SequenceNumber?: unknown }
): Enqueued | undefined => {
  const { MessageId: messageId, SequenceNumber: sequenceNumber } = reply
  if (typeof messageId !== "string" || messageId === "") return undefined
  return typeof sequenceNumber === "string" ? { messageId, sequenceNumber } : { messageId }
}

/** The message may be in the queue. */
const notUnderstood = (operation: string, { $metadata }: { readonly $metadata: unknown }): ServiceError =>
  malformedReply(operation, "the reply does not say what became of the message", {
    outcome: "unknown",
    metadata: $metadata
  })
