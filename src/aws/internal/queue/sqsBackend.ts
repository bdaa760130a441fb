/** What Queue asks of the place where messages go: SQS, or memory. */
import type { SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type { ServiceError } from "../../../Errors.ts"
import type { Attribute, Message, QueueKind } from "./message.ts"
import { send } from "../client/send.ts"

export interface Sent {
  readonly messageId: string
  /** FIFO queues only. */
  readonly sequenceNumber?: string | undefined
}

export interface QueueDriver {
  readonly kind: QueueKind
  readonly send: (message: Message) => Effect.Effect<Sent, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}

export const make = (client: SQSClient, sdk: typeof import("@aws-sdk/client-sqs"), queueUrl: string): QueueDriver => ({
  kind: queueUrl.endsWith(".fifo") ? "fifo" : "standard",

  send: ({ attributes, body, delaySeconds, messageDeduplicationId, messageGroupId }) => {
    const command = new sdk.SendMessageCommand({
      QueueUrl: queueUrl,
      MessageBody: body,
      ...(messageGroupId === undefined ? {} : { MessageGroupId: messageGroupId }),
      ...(messageDeduplicationId === undefined ? {} : { MessageDeduplicationId: messageDeduplicationId }),
      ...(delaySeconds === 0 ? {} : { DelaySeconds: delaySeconds }),
      ...(Record.isEmptyReadonlyRecord(attributes) ? {} : { MessageAttributes: Record.map(attributes, onWire) })
    })
    return Effect.map(
      send({ service: "SQS", operation: "SendMessage", run: (abortSignal) => client.send(command, { abortSignal }) }),
      (reply) => ({
        messageId: reply.MessageId ?? "",
        ...(reply.SequenceNumber === undefined ? {} : { sequenceNumber: reply.SequenceNumber })
      })
    )
  },

  check: Effect.asVoid(send({
    service: "SQS",
    operation: "GetQueueAttributes",
    run: (abortSignal) =>
      client.send(new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn"] }), {
        abortSignal
      })
  }))
})

const onWire = ({ type, value }: Attribute) =>
  typeof value === "string" ? { DataType: type, StringValue: value } : { DataType: type, BinaryValue: value }
