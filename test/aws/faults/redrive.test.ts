import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { type Answer, type FaultServer, type Seen, sqsError } from "../../support/aws/faultServer.ts"
import { impatientQueue, withQueue } from "../../support/aws/faultStage.ts"

const reply = (body: object): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify(body)
})

const operationOf = (request: Seen): string => String(request.headers["x-amz-target"]).replace("AmazonSQS.", "")

const attributes = reply({
  Attributes: {
    QueueArn: "arn:aws:sqs:eu-west-1:123456789012:jobs",
    ApproximateNumberOfMessages: "0",
    ApproximateNumberOfMessagesNotVisible: "0",
    ApproximateNumberOfMessagesDelayed: "0",
    VisibilityTimeout: "30",
    MessageRetentionPeriod: "345600",
    DelaySeconds: "0",
    MaximumMessageSize: "1048576",
    RedrivePolicy: "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:123456789012:dead\",\"maxReceiveCount\":5}"
  }
})

const task = (Status: string, more: object = {}) => ({
  Status,
  ApproximateNumberOfMessagesMoved: 3,
  ApproximateNumberOfMessagesToMove: 9,
  StartedTimestamp: 2000,
  ...(Status === "RUNNING" ? { TaskHandle: "h" } : {}),
  ...more
})

const old = task("COMPLETED", { StartedTimestamp: 1000 })

/** Answers each operation by itself; `lists` are the answers to ListMessageMoveTasks, one after the other. */
const answer = (
  server: FaultServer,
  lists: ReadonlyArray<Answer>,
  more: Readonly<Record<string, Answer>> = {}
): void => {
  let listed = 0
  server.answer((request) => {
    const operation = operationOf(request)
    if (operation === "ListMessageMoveTasks") return lists[Math.min(listed++, lists.length - 1)] as Answer
    return more[operation] ?? ({
      GetQueueAttributes: attributes,
      StartMessageMoveTask: reply({ TaskHandle: "h" }),
      CancelMessageMoveTask: reply({ ApproximateNumberOfMessagesMoved: 3 })
    })[operation] as Answer
  })
}

const list = (...tasks: ReadonlyArray<object>): Answer => reply({ Results: tasks })

const operations = (server: FaultServer): ReadonlyArray<string> => server.seen.map(operationOf)

const options = { interval: "100 millis", maxPerSecond: 7 } as const

describe("redrive", () => {
  it.live("starts the move of the dead-letter queue, and finds its own among the tasks", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        answer(server, [
          list(old),
          list(old),
          list(task("RUNNING"), old),
          list(task("RUNNING", { StartedTimestamp: 3000, TaskHandle: "other" }), task("COMPLETED"), old)
        ])
        const progress = Array.from(yield* Stream.runCollect(queue.redrive(options)))
        expect(progress).toEqual([
          // Not listed yet.
          { status: "running", moved: 0, toMove: undefined },
          { status: "running", moved: 3, toMove: 9 },
          { status: "completed", moved: 3, toMove: 9 }
        ])
        expect(operations(server)).toEqual([
          "GetQueueAttributes",
          "ListMessageMoveTasks",
          "StartMessageMoveTask",
          "ListMessageMoveTasks",
          "ListMessageMoveTasks",
          "ListMessageMoveTasks"
        ])
        expect(JSON.parse(String(server.seen[2]?.body))).toEqual({
          SourceArn: "arn:aws:sqs:eu-west-1:123456789012:dead",
          DestinationArn: "arn:aws:sqs:eu-west-1:123456789012:jobs",
          MaxNumberOfMessagesPerSecond: 7
        })
      })
    ))

  it.live("looks again when a look fails", () =>
    impatientQueue((queue, server) =>
      Effect.gen(function*() {
        answer(server, [list(), sqsError(400, "ThrottlingException"), "reset", list(task("COMPLETED"))])
        const progress = Array.from(yield* Stream.runCollect(queue.redrive(options)))
        expect(progress).toEqual([{ status: "completed", moved: 3, toMove: 9 }])
        expect(operations(server)).not.toContain("CancelMessageMoveTask")
      })
    ))

  const failures: ReadonlyArray<readonly [string, ReadonlyArray<Answer>, Readonly<Record<string, Answer>>, object]> = [
    ["the reason of a move that failed", [list(), list(task("FAILED", { FailureReason: "AccessDenied" }))], {}, {
      reason: "AccessDenied",
      operation: "redrive",
      retryable: false
    }],
    ["a status that is new", [list(), list(task("PAUSED"))], {}, { reason: "Unknown", operation: "redrive" }],
    ["a start whose reply was lost", [list()], { StartMessageMoveTask: "reset" }, {
      reason: "ConnectionLost",
      operation: "StartMessageMoveTask",
      outcome: "unknown"
    }],
    ["a start without a handle", [list()], { StartMessageMoveTask: reply({}) }, {
      reason: "MalformedReply",
      operation: "StartMessageMoveTask",
      outcome: "unknown"
    }],
    [
      "a dead-letter queue that is gone",
      [list()],
      { StartMessageMoveTask: sqsError(404, "ResourceNotFoundException") },
      { reason: "ResourceNotFound", operation: "StartMessageMoveTask" }
    ],
    ["tasks without a status", [reply({ Results: [{}] })], {}, {
      reason: "MalformedReply",
      operation: "ListMessageMoveTasks"
    }]
  ]
  for (const [name, lists, more, expected] of failures) {
    it.live(`reports ${name}, and cancels nothing`, () =>
      impatientQueue((queue, server) =>
        Effect.gen(function*() {
          answer(server, lists, more)
          expect(yield* Effect.flip(Stream.runDrain(queue.redrive(options)))).toMatchObject(expected)
          expect(operations(server)).not.toContain("CancelMessageMoveTask")
        })
      ))
  }

  it.live("gives up where the task is never listed, and cancels it", () =>
    impatientQueue((queue, server) =>
      Effect.gen(function*() {
        answer(server, [list()])
        expect(yield* Effect.flip(Stream.runDrain(queue.redrive(options)))).toMatchObject({
          reason: "MalformedReply",
          operation: "ListMessageMoveTasks",
          outcome: "unknown"
        })
        expect(operations(server).at(-1)).toBe("CancelMessageMoveTask")
      })
    ))

  it.live("cancels a move whose start was interrupted", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        answer(server, [list()], {
          StartMessageMoveTask: { ...reply({ TaskHandle: "late" }) as object, status: 200, delay: 300 }
        })
        const fiber = yield* Effect.fork(Stream.runDrain(queue.redrive(options)))
        yield* Effect.promise(() => server.arrived(3))
        yield* Fiber.interrupt(fiber)
        expect(operations(server)).toEqual([
          "GetQueueAttributes",
          "ListMessageMoveTasks",
          "StartMessageMoveTask",
          "CancelMessageMoveTask"
        ])
        expect(JSON.parse(String(server.seen[3]?.body))).toEqual({ TaskHandle: "late" })
      })
    ))
})
