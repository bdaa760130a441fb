import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type Answer, sqsError } from "../../support/aws/faultServer.ts"
import { impatientQueues, queueUrl as url, withQueue } from "../../support/aws/faultStage.ts"

const accepted = (md5: string): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify({ MessageId: "m-1", MD5OfMessageBody: md5 })
})
const md5OfOne = "c4ca4238a0b923820dcc509a6f75849b"

describe("enqueue", () => {
  const cases: ReadonlyArray<readonly [string, Answer, object]> = [
    ["a refusal", sqsError(403, "AccessDeniedException"), { reason: "AccessDenied", retryable: false, status: 403 }],
    ["bad keys", sqsError(403, "InvalidClientTokenId"), { reason: "InvalidCredentials", retryable: false }],
    ["expired keys", sqsError(403, "ExpiredTokenException"), { reason: "CredentialsExpired", retryable: true }],
    ["a missing queue", sqsError(400, "QueueDoesNotExist"), { reason: "ResourceNotFound", retryable: false }],
    ["throttling", sqsError(400, "ThrottlingException"), { reason: "Throttled", retryable: true }],
    ["a limit", sqsError(403, "OverLimit"), { reason: "Throttled", retryable: true }],
    ["a rule", sqsError(400, "InvalidParameterValue"), { reason: "InvalidRequest", retryable: false }],
    ["an outage", sqsError(500, "InternalFailure"), { reason: "Unavailable", retryable: true, outcome: "unknown" }],
    ["a reset", "reset", { reason: "ConnectionLost", retryable: true, outcome: "unknown" }],
    ["a stall", "stall", { reason: "ReadTimeout", retryable: true, outcome: "unknown" }],
    ["a reply for other bytes", accepted("0".repeat(32)), {
      reason: "Checksum",
      retryable: false,
      outcome: "unknown"
    }]
  ]
  for (const [client, impatient] of impatientQueues) {
    for (const [name, answer, expected] of cases) {
      it.live(`reports ${name}, ${client}`, () =>
        impatient((queue, server) =>
          Effect.gen(function*() {
            server.answer(() => answer)
            const error = yield* Effect.flip(queue.enqueue(1))
            expect(error).toMatchObject({
              _tag: "ServiceError",
              service: "SQS",
              operation: "SendMessage",
              attempts: 1,
              ...expected
            })
            expect(server.seen).toHaveLength(1)
          })
        ))
    }
  }

  it.live("makes three attempts", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer((_, index) => index < 2 ? sqsError(500, "InternalFailure") : accepted(md5OfOne))
        expect(yield* queue.enqueue(1)).toEqual({ messageId: "m-1" })
        expect(server.seen).toHaveLength(3)
        expect(JSON.parse(String(server.seen[0]?.body))).toEqual({ QueueUrl: url, MessageBody: "1" })
        server.answer(() => sqsError(500, "InternalFailure"))
        expect(yield* Effect.flip(queue.enqueue(1))).toMatchObject({ attempts: 3, outcome: "unknown" })
      })
    ))

  it.live("is aborted at once when it is interrupted", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(queue.enqueue(1))
        yield* Effect.promise(() => server.arrived(1))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(1000)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        expect(server.seen[0]?.aborted()).toBe(true)
        expect(server.seen).toHaveLength(1)
      })
    ))
})
