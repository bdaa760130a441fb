/** Messages in an SQS queue. */
import type { SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type { SqsSdk } from "../client/sdk.ts"
import { sendTo } from "../client/send.ts"
import type { QueueBackend } from "./backend.ts"
import * as MessageAttributes from "./messageAttributes.ts"

const send = sendTo("SQS")

export const make = (client: SQSClient, sdk: SqsSdk, queueUrl: string): QueueBackend => ({
  kind: queueUrl.endsWith(".fifo") ? "fifo" : "standard",

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
      send("SendMessage", (abortSignal) => client.send(command, { abortSignal })),
      (reply) => ({
        messageId: reply.MessageId ?? "",
        ...(reply.SequenceNumber === undefined ? {} : { sequenceNumber: reply.SequenceNumber })
      })
    )
  },

  check: Effect.asVoid(
    send(
      "GetQueueAttributes",
      (abortSignal) =>
        client.send(new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn"] }), {
          abortSignal
        })
    )
  )
})
