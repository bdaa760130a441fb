/** What is asked of a queue as a whole, where replies are not what they should be. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Answer, sqsError } from "../../support/aws/faultServer.ts"
import { withQueue } from "../../support/aws/faultStage.ts"

const reply = (body: object | string): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: typeof body === "string" ? body : JSON.stringify(body)
})

describe("attributes and purge", () => {
  const good = {
    QueueArn: "arn:aws:sqs:eu-west-1:123456789012:jobs",
    ApproximateNumberOfMessages: "1",
    ApproximateNumberOfMessagesNotVisible: "2",
    ApproximateNumberOfMessagesDelayed: "3",
    VisibilityTimeout: "30",
    MessageRetentionPeriod: "345600",
    DelaySeconds: "0",
    MaximumMessageSize: "1048576"
  }
  const policy = (value: unknown) => ({ RedrivePolicy: typeof value === "string" ? value : JSON.stringify(value) })
  const deadLetterTargetArn = "arn:aws:sqs:eu-west-1:123456789012:dead"

  it.live("reads a redrive policy whose number is a text, and ignores what is new", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        for (const maxReceiveCount of [5, "5"]) {
          server.answer(() =>
            reply({ Attributes: { ...good, ...policy({ deadLetterTargetArn, maxReceiveCount }), New: "x" } })
          )
          expect(yield* queue.attributes).toMatchObject({
            name: "jobs",
            visible: 1,
            inFlight: 2,
            delayed: 3,
            redrivePolicy: { deadLetterQueueArn: deadLetterTargetArn, maxReceiveCount: 5 }
          })
        }
      })
    ))

  const bad: ReadonlyArray<readonly [string, object]> = [
    ["QueueArn", { QueueArn: "jobs" }],
    ["ApproximateNumberOfMessages", { ApproximateNumberOfMessages: "many" }],
    ["VisibilityTimeout", { VisibilityTimeout: undefined }],
    ["FifoQueue", { FifoQueue: "yes" }],
    ["RedrivePolicy", policy("{")],
    ["RedrivePolicy", policy("null")],
    ["RedrivePolicy", policy({ deadLetterTargetArn })],
    ["RedrivePolicy", policy({ deadLetterTargetArn, maxReceiveCount: "often" })],
    ["RedrivePolicy", policy({ deadLetterTargetArn: 7, maxReceiveCount: 5 })]
  ]
  for (const [name, more] of bad) {
    it.live(`names the attribute that is malformed: ${JSON.stringify(more)}`, () =>
      withQueue((queue, server) =>
        Effect.gen(function*() {
          server.answer(() => reply({ Attributes: { ...good, ...more } }))
          expect(yield* Effect.flip(queue.attributes)).toMatchObject({
            reason: "MalformedReply",
            operation: "GetQueueAttributes",
            detail: expect.stringContaining(name)
          })
        })
      ))
  }

  it.live("does not take a page for a purge, and knows that SQS purges once in a while", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        for (const body of ["<html></html>", ""]) {
          server.answer(() => ({ status: 200, headers: { "content-type": "text/html" }, body }))
          expect(yield* Effect.flip(queue.purge("jobs"))).toMatchObject({
            reason: "MalformedReply",
            operation: "PurgeQueue",
            outcome: "unknown"
          })
        }
        server.answer(() => sqsError(403, "PurgeQueueInProgress"))
        expect(yield* Effect.flip(queue.purge("jobs"))).toMatchObject({ reason: "Conflict", retryable: true })
        server.answer(() => reply(""))
        yield* queue.purge("jobs")
        const seen = server.seen.length
        expect(yield* Effect.flip(queue.purge("Jobs"))).toMatchObject({ reason: "InvalidInput", attempts: 0 })
        expect(server.seen).toHaveLength(seen)
      })
    ))
})
