/** Messages in an SQS queue. */
import type {
  GetQueueAttributesCommandOutput,
  ListMessageMoveTasksCommandOutput,
  QueueAttributeName,
  ReceiveMessageCommandOutput,
  SQSClient,
  StartMessageMoveTaskCommandOutput
} from "@aws-sdk/client-sqs"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ServiceError } from "../../../Errors.ts"
import * as Call from "../client/call.ts"
import type { Command } from "../client/command.ts"
import type { SqsSdk } from "../client/sdk.ts"
import * as Transport from "../client/transport.ts"
import { isDelivery } from "../errors/errorTable.ts"
import type { MoveTask, QueueBackend, RawMessage, ReceiveRequest } from "./backend.ts"
import * as SqsSend from "./sending/sqsSend.ts"
import { answersOf, type BatchReply, entryId } from "./sqs/batchReply.ts"
import { malformedReply } from "./sqs/malformedReply.ts"
import * as QueueAttributes from "./sqs/queueAttributes.ts"
import { type Fault, messageOf, OTHER_TEXT, systemAttributes } from "./sqs/received.ts"
import * as Texts from "./sqs/texts.ts"

export const make = (client: SQSClient, sdk: SqsSdk, queueUrl: string): QueueBackend => {
  const transport = Transport.of("SQS", client)
  const isSame = Texts.isSame(client)
  const fifo = queueUrl.endsWith(".fifo")
  const name = new URL(queueUrl).pathname.split("/").at(-1) ?? ""

  /**
   * A reply by whatever may be at the address: its fields are looked at one by one. The effect may be run again, and sends
   * another request then.
   */
  const request = <Reply>(
    operation: string,
    command: () => Command,
    lane: Call.Lane = "prompt"
  ): Effect.Effect<Reply, ServiceError> =>
    Effect.suspend(() => {
      const call = Call.make({ lane })
      return Effect.filterOrFail(
        transport.send<Reply>(operation, command(), { call }),
        () => !isPage(call),
        // It may stand in place of one.
        () =>
          malformedReply(operation, "the reply is not one of SQS", isDelivery(operation) ? { outcome: "unknown" } : {})
      )
    })

  const receive = ({ max, visibilitySeconds, waitSeconds }: ReceiveRequest) =>
    Effect.flatMap(
      request<ReceiveMessageCommandOutput>(
        "ReceiveMessage",
        () =>
          Texts.unchecked(
            new sdk.ReceiveMessageCommand({
              QueueUrl: queueUrl,
              MaxNumberOfMessages: max,
              WaitTimeSeconds: waitSeconds,
              VisibilityTimeout: visibilitySeconds,
              MessageSystemAttributeNames: [...systemAttributes],
              // The name that it had before, which some servers know alone.
              AttributeNames: [...systemAttributes] as Array<QueueAttributeName>,
              MessageAttributeNames: ["All"],
              // The SDK's attempts after a lost reply get the messages that it had.
              ...(fifo ? { ReceiveRequestAttemptId: globalThis.crypto.randomUUID() } : {})
            })
          ),
        "lasting"
      ),
      (reply) => received(name, Texts.replyOf(reply), isSame)
    )

  /** A batch without data of its own in the answers. */
  const settle = (operation: string, count: number, command: () => Command) =>
    Effect.flatMap(request<BatchReply>(operation, command), (reply) => {
      const answers = answersOf(operation, count, reply)
      return answers === undefined
        ? Effect.fail(malformedReply(operation, "without the answers to its entries", { outcome: "unknown" }))
        : Effect.succeed(answers.map((answer) => answer.done ? undefined : answer.error))
    })

  return {
    kind: fifo ? "fifo" : "standard",
    name,
    inMemory: false,

    ...SqsSend.make(transport, sdk, queueUrl, isSame),

    receive,

    delete: (receipts) =>
      settle(
        "DeleteMessageBatch",
        receipts.length,
        () =>
          new sdk.DeleteMessageBatchCommand({
            QueueUrl: queueUrl,
            Entries: receipts.map((receipt, index) => ({ Id: entryId(index), ReceiptHandle: receipt }))
          })
      ),

    setVisibility: (changes) =>
      settle(
        "ChangeMessageVisibilityBatch",
        changes.length,
        () =>
          new sdk.ChangeMessageVisibilityBatchCommand({
            QueueUrl: queueUrl,
            Entries: changes.map(({ receipt, seconds }, index) => ({
              Id: entryId(index),
              ReceiptHandle: receipt,
              VisibilityTimeout: seconds
            }))
          })
      ),

    attributes: Effect.flatMap(
      request<GetQueueAttributesCommandOutput>(
        "GetQueueAttributes",
        () => new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["All"] })
      ),
      ({ Attributes }) =>
        Either.mapLeft(QueueAttributes.decode(Attributes), (detail) => malformedReply("GetQueueAttributes", detail))
    ),

    purge: Effect.asVoid(
      request("PurgeQueue", () => new sdk.PurgeQueueCommand({ QueueUrl: queueUrl }))
    ),

    startMove: ({ from, maxPerSecond, to }) =>
      Effect.flatMap(
        request<StartMessageMoveTaskCommandOutput>(
          "StartMessageMoveTask",
          () =>
            new sdk.StartMessageMoveTaskCommand({
              SourceArn: from,
              DestinationArn: to,
              ...(maxPerSecond === undefined ? {} : { MaxNumberOfMessagesPerSecond: maxPerSecond })
            })
        ),
        ({ TaskHandle }) =>
          TaskHandle === undefined || TaskHandle === ""
            ? Effect.fail(
              malformedReply("StartMessageMoveTask", "without the handle of the task", { outcome: "unknown" })
            )
            : Effect.succeed(TaskHandle)
      ),

    moves: (from) =>
      Effect.flatMap(
        request<ListMessageMoveTasksCommandOutput>(
          "ListMessageMoveTasks",
          () => new sdk.ListMessageMoveTasksCommand({ SourceArn: from, MaxResults: 10 })
        ),
        ({ Results = [] }) =>
          Array.isArray(Results) && Results.every((task) => typeof task?.Status === "string")
            ? Effect.succeed(Results.map(moveTask))
            : Effect.fail(malformedReply("ListMessageMoveTasks", "with tasks that have no status"))
      ),

    cancelMove: (handle) =>
      Effect.asVoid(
        request("CancelMessageMoveTask", () => new sdk.CancelMessageMoveTaskCommand({ TaskHandle: handle }))
      ),

    check: Effect.flatMap(
      request<GetQueueAttributesCommandOutput>(
        "GetQueueAttributes",
        () => new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn"] })
      ),
      ({ Attributes }) =>
        Attributes?.["QueueArn"] === undefined
          ? Effect.fail(malformedReply("GetQueueAttributes", "without the ARN of the queue"))
          : Effect.void
    )
  }
}

/**
 * Whether a reply says that it is no JSON, and has no id of a request: a page. The SDK does not look at what it needs
 * nothing of. moto calls its JSON HTML, and gives ids.
 */
const isPage = ({ headers }: Call.Call): boolean => {
  const type = headers["content-type"]
  return type !== undefined && !/json/i.test(type) && headers["x-amzn-requestid"] === undefined
}

/** Those that can be handled. The others come again after their visibility; the redrive policy may know what to do. */
const received = (queue: string, reply: ReceiveMessageCommandOutput, isSame: Texts.IsSame) =>
  Effect.gen(function*() {
    const messages: unknown = reply.Messages
    if (messages === undefined || messages === null) return []
    const now = yield* Clock.currentTimeMillis
    const all: ReadonlyArray<unknown> = Array.isArray(messages) ? messages : [messages]
    const good: Array<RawMessage> = []
    const lost = new Map<Fault, number>()
    for (const message of all) {
      const read = messageOf(message, now, isSame)
      if (typeof read === "string") lost.set(read, (lost.get(read) ?? 0) + 1)
      else good.push(read)
    }
    if (lost.size > 0 && good.length === 0) {
      return yield* lost.has(OTHER_TEXT)
        ? Texts.otherText("ReceiveMessage", reply)
        : malformedReply("ReceiveMessage", "with messages that have no id or no receipt")
    }
    for (const [fault, count] of lost) {
      yield* Effect.logWarning(`SQS gave ${count} of ${all.length} messages of ${queue} ${fault}; they are left`)
    }
    return good
  })

const moveTask = (
  task: NonNullable<ListMessageMoveTasksCommandOutput["Results"]>[number]
): MoveTask => ({
  handle: task.TaskHandle,
  status: task.Status ?? "",
  moved: task.ApproximateNumberOfMessagesMoved ?? 0,
  toMove: task.ApproximateNumberOfMessagesToMove,
  failureReason: task.FailureReason,
  startedAt: task.StartedTimestamp ?? 0
})
