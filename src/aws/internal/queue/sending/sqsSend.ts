/** SendMessage and SendMessageBatch. What a reply does not say in so many words is not taken for a success. */
import type {
  SendMessageBatchCommandOutput,
  SendMessageBatchRequestEntry,
  SendMessageCommandOutput
} from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Record from "effect/Record"
import { createHash } from "node:crypto"
import { ServiceError } from "../../../../Errors.ts"
import * as Call from "../../client/call.ts"
import type { SqsSdk } from "../../client/sdk.ts"
import type { Transport } from "../../client/transport.ts"
import type { Enqueued, QueueBackend } from "../backend.ts"
import type { Message } from "../message.ts"
import * as MessageAttributes from "../messageAttributes.ts"
import { answersOf, entryId } from "../sqs/batchReply.ts"
import { malformedReply, metadataOf } from "../sqs/malformedReply.ts"

export const make = (
  transport: Transport,
  sdk: SqsSdk,
  queueUrl: string
): Pick<QueueBackend, "send" | "sendBatch"> => ({
  send: (message) =>
    Effect.suspend(() => {
      const command = new sdk.SendMessageCommand({ QueueUrl: queueUrl, ...fieldsOf(message) })
      return Effect.flatMap(transport.send<SendMessageCommandOutput>("SendMessage", command), (reply) => {
        const enqueued = enqueuedOf(reply)
        return enqueued === undefined ? Effect.fail(notUnderstood("SendMessage", reply)) : Effect.succeed(enqueued)
      })
    }),

  sendBatch: (messages) =>
    Effect.suspend(() => {
      const call = Call.make()
      const command = new sdk.SendMessageBatchCommand({
        QueueUrl: queueUrl,
        Entries: messages.map((message, index): SendMessageBatchRequestEntry => ({
          Id: entryId(index),
          ...fieldsOf(message)
        }))
      })
      command.middlewareStack.add(unchecked.run as never, unchecked.options)
      return Effect.map(transport.send<SendMessageBatchCommandOutput>(BATCH, command, { call }), (reply) => {
        const sent = replyOf(reply)
        // An injected client does not know calls.
        const doubtful = call.met ? call.doubtful : metadataOf(sent.$metadata).attempts > 1
        return resultsOf(messages, sent, doubtful)
      })
    })
})

/** The fields that a single message and an entry of a batch have in common. */
const fieldsOf = (message: Message): Omit<SendMessageBatchRequestEntry, "Id"> => ({
  MessageBody: message.body,
  ...(message.messageGroupId === undefined ? {} : { MessageGroupId: message.messageGroupId }),
  ...(message.messageDeduplicationId === undefined ? {} : { MessageDeduplicationId: message.messageDeduplicationId }),
  ...(message.delaySeconds === 0 ? {} : { DelaySeconds: message.delaySeconds }),
  ...(Record.isEmptyReadonlyRecord(message.attributes)
    ? {}
    : { MessageAttributes: MessageAttributes.toSqs(message.attributes) }),
  ...(message.traceHeader === undefined
    ? {}
    : { MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue: message.traceHeader } } })
})

/**
 * The SDK checks the texts of a batch after it was sent, and throws if one of them is another: nothing is known then of
 * the others either. So its check gets a reply that says nothing; each entry is checked in {@link resultsOf}.
 */
const unchecked = {
  // After the SDK's check on the way to the server, and so before it on the way back.
  options: { step: "initialize", priority: "low", name: "betteraiBatchReply" },
  run: (next: (args: object) => Promise<{ readonly output: { readonly $metadata?: unknown } }>) =>
  async (
    args: object
  ) => {
    const result = await next(args)
    return { ...result, output: { $metadata: result.output.$metadata, [hidden]: result.output } }
  }
} as const

const hidden: unique symbol = Symbol("@betterai/infrastructure/BatchReply")

/** A client that is replaced in a test may run no middleware. */
const replyOf = (reply: SendMessageBatchCommandOutput): SendMessageBatchCommandOutput =>
  (reply as { readonly [hidden]?: SendMessageBatchCommandOutput })[hidden] ?? reply

type Result = Either.Either<Enqueued, ServiceError>

/** One result for each message: what its one answer says. */
const resultsOf = (
  messages: ReadonlyArray<Message>,
  reply: SendMessageBatchCommandOutput,
  doubtful: boolean
): ReadonlyArray<Result> => {
  const answers = answersOf(BATCH, messages.length, reply, doubtful)
  return messages.map((message, index) => {
    const answer = answers?.[index]
    if (answer === undefined) return Either.left(notUnderstood(BATCH, reply))
    return answer.done ? successOf(message, answer.entry, reply) : Either.left(answer.error)
  })
}

const BATCH = "SendMessageBatch"

const successOf = (
  message: Message,
  entry: Readonly<Record<string, unknown>>,
  reply: SendMessageBatchCommandOutput
): Result => {
  const enqueued = enqueuedOf(entry)
  if (enqueued === undefined) return Either.left(notUnderstood(BATCH, reply))
  return entry["MD5OfMessageBody"] === createHash("md5").update(message.body).digest("hex")
    ? Either.right(enqueued)
    : Either.left(otherText(reply))
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

const otherText = ({ $metadata }: { readonly $metadata: unknown }): ServiceError => {
  const { attempts, requestId } = metadataOf($metadata)
  return new ServiceError({
    service: "SQS",
    operation: BATCH,
    reason: "Checksum",
    retryable: false,
    attempts,
    detail: "SQS accepted another text than was sent",
    hint: "check AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_SQS, and what stands between",
    outcome: "unknown",
    ...(requestId === undefined ? {} : { requestId })
  })
}
