/** Messages in an SQS queue. */
import type { GetQueueAttributesCommandOutput, SendMessageCommandOutput, SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import { ServiceError } from "../../../Errors.ts"
import type { SqsSdk } from "../client/sdk.ts"
import * as Transport from "../client/transport.ts"
import type { QueueBackend } from "./backend.ts"
import * as MessageAttributes from "./messageAttributes.ts"

export const make = (client: SQSClient, sdk: SqsSdk, queueUrl: string): QueueBackend => {
  const transport = Transport.of("SQS", client)
  return {
    kind: queueUrl.endsWith(".fifo") ? "fifo" : "standard",

    name: new URL(queueUrl).pathname.split("/").at(-1) ?? "",

    send: ({ attributes, body, delaySeconds, messageDeduplicationId, messageGroupId }) => {
      const command = new sdk.SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: body,
        ...(messageGroupId === undefined ? {} : { MessageGroupId: messageGroupId }),
        ...(messageDeduplicationId === undefined ? {} : { MessageDeduplicationId: messageDeduplicationId }),
        ...(delaySeconds === 0 ? {} : { DelaySeconds: delaySeconds }),
        ...(Record.isEmptyReadonlyRecord(attributes) ? {} : { MessageAttributes: MessageAttributes.toSqs(attributes) })
      })
      return Effect.map(
        transport.send<SendMessageCommandOutput>("SendMessage", command),
        (reply) => ({
          messageId: reply.MessageId ?? "",
          ...(reply.SequenceNumber === undefined ? {} : { sequenceNumber: reply.SequenceNumber })
        })
      )
    },

    sendBatch: () => Effect.dieMessage("later"),
    receive: () => Effect.dieMessage("later"),
    delete: () => Effect.dieMessage("later"),
    setVisibility: () => Effect.dieMessage("later"),
    attributes: Effect.dieMessage("later"),
    purge: Effect.dieMessage("later"),
    startMove: () => Effect.dieMessage("later"),
    moves: () => Effect.dieMessage("later"),
    cancelMove: () => Effect.dieMessage("later"),

    check: Effect.flatMap(
      transport.send<GetQueueAttributesCommandOutput>(
        "GetQueueAttributes",
        new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn"] })
      ),
      ({ Attributes }) => Attributes?.["QueueArn"] === undefined ? Effect.fail(notSqs) : Effect.void
    )
  }
}

const notSqs = new ServiceError({
  service: "SQS",
  operation: "GetQueueAttributes",
  reason: "MalformedReply",
  retryable: false,
  attempts: 1,
  detail: "without the ARN of the queue",
  hint: "check that AWS_ENDPOINT_URL_SQS names a server that speaks SQS"
})
