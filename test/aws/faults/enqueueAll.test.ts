/** Batches at the wire: replies that say less than they should, and replies that do not come. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { Enqueued } from "../../../src/aws/internal/queue/backend.ts"
import type { Queue } from "../../../src/aws/Queue.ts"
import type { ServiceError } from "../../../src/Errors.ts"
import { type Answer, type Seen, sqsError } from "../../support/aws/faultServer.ts"
import {
  impatientQueue,
  impatientQueues,
  queueUrl,
  queueWithoutMd5,
  withFifoQueue,
  withQueue
} from "../../support/aws/faultStage.ts"

interface Entry {
  readonly Id: string
  readonly MessageBody: string
}

const entriesOf = ({ body }: Seen): ReadonlyArray<Entry> => JSON.parse(String(body)).Entries
const success = ({ Id, MessageBody }: Entry) => ({
  Id,
  MessageId: `m${MessageBody}`,
  MD5OfMessageBody: createHash("md5").update(MessageBody).digest("hex")
})
const failure = (id: string, code: string, senderFault: boolean) => ({
  Id: id,
  Code: code,
  Message: `${code} happened`,
  SenderFault: senderFault
})
const json = (reply: object): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify(reply)
})
const all = (seen: Seen): Answer => json({ Successful: entriesOf(seen).map(success) })

/** With every field, there or not. */
const told = (result: Either.Either<Enqueued, ServiceError>): object =>
  Either.match(result, {
    onLeft: ({ attempts, operation, outcome, reason, requestId, retryable, status }) => ({
      left: { attempts, operation, outcome, reason, requestId, retryable, status }
    }),
    onRight: (right) => ({ right })
  })

const send = (queue: Queue.Service, count: number): Effect.Effect<ReadonlyArray<object>> =>
  Effect.map(
    Stream.runCollect(queue.enqueueAll(Array.from({ length: count }, (_, n) => ({ payload: n })))),
    (results) => Array.from(results, told)
  )

const unknown = {
  reason: "MalformedReply",
  outcome: "unknown",
  retryable: false,
  operation: "SendMessageBatch",
  attempts: 1
}

describe("a reply to a batch", () => {
  const cases: ReadonlyArray<readonly [string, (entries: ReadonlyArray<Entry>) => object, ReadonlyArray<object>]> = [
    [
      "leaves out an entry",
      ([a, , c]) => ({ Successful: [success(c!), success(a!)] }),
      [{ right: { messageId: "m0" } }, { left: unknown }, { right: { messageId: "m2" } }]
    ],
    ["is empty", () => ({}), [{ left: unknown }, { left: unknown }, { left: unknown }]],
    [
      "names an entry twice",
      ([a, b, c]) => ({ Successful: [success(a!), success(b!), success(b!), success(c!)] }),
      [{ right: { messageId: "m0" } }, { left: unknown }, { right: { messageId: "m2" } }]
    ],
    [
      "says both of an entry",
      ([a, b, c]) => ({
        Successful: [success(a!), success(b!), success(c!)],
        Failed: [failure("1", "InternalError", false)]
      }),
      [{ right: { messageId: "m0" } }, { left: unknown }, { right: { messageId: "m2" } }]
    ],
    [
      "names entries that were not sent",
      ([a, b, c]) => ({
        Successful: [success(a!), { ...success(b!), Id: "7" }, { ...success(c!), Id: "-1" }, { Id: null }, null]
      }),
      [{ right: { messageId: "m0" } }, { left: unknown }, { left: unknown }]
    ],
    [
      "has an entry without a message id",
      ([a, b, c]) => ({
        Successful: [success(a!), { ...success(b!), MessageId: undefined }, { ...success(c!), MessageId: "" }]
      }),
      [{ right: { messageId: "m0" } }, { left: unknown }, { left: unknown }]
    ],
    [
      "is of another text for one of them",
      ([a, b, c]) => ({ Successful: [success(a!), { ...success(b!), MD5OfMessageBody: "0".repeat(32) }, success(c!)] }),
      [
        { right: { messageId: "m0" } },
        { left: { ...unknown, reason: "Checksum" } },
        { right: { messageId: "m2" } }
      ]
    ],
    [
      "has failures of the sender",
      ([a]) => ({
        Successful: [success(a!)],
        Failed: [failure("1", "InvalidMessageContents", true), failure("2", "AccessDenied", true)]
      }),
      [
        { right: { messageId: "m0" } },
        {
          left: {
            reason: "InvalidRequest",
            retryable: false,
            attempts: 1,
            status: undefined,
            outcome: undefined,
            requestId: "REQ-1"
          }
        },
        { left: { reason: "AccessDenied", retryable: false } }
      ]
    ],
    ["has no lists", () => ({ Successful: "yes", Failed: 7 }), [{ left: unknown }, { left: unknown }, {
      left: unknown
    }]]
  ]
  for (const [name, reply, expected] of cases) {
    it.live(`that ${name}: the others are as it says`, () =>
      withQueue((queue, server) =>
        Effect.gen(function*() {
          server.answer((seen) => json(reply(entriesOf(seen))))
          expect(yield* send(queue, 3)).toMatchObject(expected)
          expect(server.seen).toHaveLength(1)
        })
      ))
    it.live(`that ${name}, with an injected client`, () =>
      impatientQueue((queue, server) =>
        Effect.gen(function*() {
          server.answer((seen) => json(reply(entriesOf(seen))))
          expect(yield* send(queue, 3)).toMatchObject(expected)
        })
      ))
  }

  it.live("is not checked where the client shall check none", () =>
    queueWithoutMd5((queue, server) =>
      Effect.gen(function*() {
        server.answer((seen) => json({ Successful: entriesOf(seen).map(({ Id }) => ({ Id, MessageId: `m${Id}` })) }))
        expect(yield* send(queue, 2)).toEqual([{ right: { messageId: "m0" } }, { right: { messageId: "m1" } }])
      })
    ))

  it.live("that has other failures: those are sent again, and no others", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer((seen, index) => {
          const [a, ...others] = entriesOf(seen)
          return index > 0 ? all(seen) : json({
            Successful: [success(a!)],
            Failed: others.map(({ Id }, n) => failure(Id, n === 0 ? "InternalError" : "RequestThrottled", n > 0))
          })
        })
        expect(yield* send(queue, 3)).toMatchObject([0, 1, 2].map((n) => ({ right: { messageId: `m${n}` } })))
        expect(entriesOf(server.seen[1]!)).toMatchObject([{ Id: "0", MessageBody: "1" }, { Id: "1", MessageBody: "2" }])
        expect(server.seen).toHaveLength(2)
      })
    ))

  it.live("that has a failure after the service had refused to begin: it is not in the queue, and is sent again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer((seen, index) =>
          index === 0
            ? sqsError(400, "ThrottlingException")
            : index === 1
            ? json({ Failed: [failure("0", "InternalError", false)] })
            : all(seen)
        )
        expect(yield* send(queue, 1)).toMatchObject([{ right: { messageId: "m0" } }])
        expect(server.seen).toHaveLength(3)
      })
    ))

  for (const [status, code] of [[500, "InternalFailure"], [503, "ServiceUnavailable"]] as const) {
    it.live(`that has a failure after ${code}: it may be in the queue`, () =>
      withQueue((queue, server) =>
        Effect.gen(function*() {
          server.answer((_, index) =>
            index === 0 ? sqsError(status, code) : json({ Failed: [failure("0", "InternalError", false)] })
          )
          expect(yield* send(queue, 1)).toMatchObject([{
            left: { reason: "Unavailable", outcome: "unknown", attempts: 2 }
          }])
          expect(server.seen).toHaveLength(2)
        })
      ))
  }
})

describe("a batch", () => {
  it.live("is asked for with the fields of its messages", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer(all)
        const traceHeader = "Root=1-5759e988-bd862e3fe1be46a994272793"
        yield* Stream.runDrain(queue.enqueueAll([
          { payload: 1, messageGroupId: "fair", attributes: { a: "x", b: 1.5, c: new Uint8Array([1]) }, traceHeader },
          { payload: 2, delay: "2 seconds" },
          // Not the delay that the queue has.
          { payload: 3, delay: 0 }
        ]))
        expect(JSON.parse(String(server.seen[0]?.body))).toEqual({
          QueueUrl: queueUrl,
          Entries: [
            {
              Id: "0",
              MessageBody: "1",
              MessageGroupId: "fair",
              MessageAttributes: {
                a: { DataType: "String", StringValue: "x" },
                b: { DataType: "Number", StringValue: "1.5" },
                c: { DataType: "Binary", BinaryValue: "AQ==" }
              },
              MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue: traceHeader } }
            },
            { Id: "1", MessageBody: "2", DelaySeconds: 2 },
            { Id: "2", MessageBody: "3", DelaySeconds: 0 }
          ]
        })
      })
    ))

  it.live("has no delay on a FIFO queue, which refuses one of 0 as well", () =>
    withFifoQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer(all)
        yield* Stream.runDrain(queue.enqueueAll([{ payload: 1, messageGroupId: "g", delay: 0 }]))
        expect(entriesOf(server.seen[0]!)).toEqual([{ Id: "0", MessageBody: "1", MessageGroupId: "g" }])
      })
    ))

  const cases: ReadonlyArray<readonly [string, Answer, object]> = [
    ["whose reply is lost", "reset", { reason: "ConnectionLost", outcome: "unknown" }],
    ["that is not answered", "stall", { reason: "ReadTimeout", outcome: "unknown" }],
    ["in an outage", sqsError(500, "InternalFailure"), { reason: "Unavailable", outcome: "unknown" }],
    ["that gets a page", { status: 200, body: "<html>" }, { reason: "MalformedReply", outcome: "unknown" }],
    ["that is refused", sqsError(403, "AccessDeniedException"), { reason: "AccessDenied", outcome: undefined }],
    ["of a missing queue", sqsError(400, "QueueDoesNotExist"), { reason: "ResourceNotFound", outcome: undefined }]
  ]
  for (const [client, impatient] of impatientQueues) {
    for (const [name, answer, expected] of cases) {
      it.live(`${name}: all of it, and no other batch, ${client}`, () =>
        impatient((queue, server) =>
          Effect.gen(function*() {
            server.answer((seen) => entriesOf(seen).some(({ MessageBody }) => MessageBody === "3") ? answer : all(seen))
            const results = yield* send(queue, 20)
            expect(results.slice(0, 10)).toMatchObject(Array.from({ length: 10 }, () => ({ left: expected })))
            expect(results.slice(10)).toMatchObject(
              Array.from({ length: 10 }, (_, n) => ({ right: { messageId: `m${n + 10}` } }))
            )
            expect(server.seen).toHaveLength(2)
          })
        ))
    }
  }

  it.live("that is throttled is sent again", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer((seen, index) => index < 4 ? sqsError(400, "ThrottlingException") : all(seen))
        expect(yield* send(queue, 2)).toMatchObject([{ right: {} }, { right: {} }])
        expect(server.seen).toHaveLength(5)
      })
    ))

  it.live("is aborted when the stream is interrupted", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(send(queue, 100))
        yield* Effect.promise(() => server.arrived(8))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(1000)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        expect(server.seen).toHaveLength(8)
      })
    ))
})

describe("a single message", () => {
  for (
    const [name, reply] of [["no message id", {}], ["an empty one", { MessageId: "" }], ["another thing", {
      MessageId: 7
    }]] as const
  ) {
    it.live(`whose reply has ${name} may be in the queue`, () =>
      withQueue((queue, server) =>
        Effect.gen(function*() {
          server.answer(() => json({ ...reply, MD5OfMessageBody: createHash("md5").update("1").digest("hex") }))
          expect(yield* Effect.flip(queue.enqueue(1))).toMatchObject({ ...unknown, operation: "SendMessage" })
        })
      ))
  }
})
