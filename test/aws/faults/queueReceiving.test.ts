import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import { createHash } from "node:crypto"
import type { QueueBackend } from "../../../src/aws/internal/queue/backend.ts"
import { internals } from "../../../src/aws/internal/queue/service.ts"
import type { Queue } from "../../../src/aws/Queue.ts"
import { type Answer, type FaultServer, type Seen, sqsError } from "../../support/aws/faultServer.ts"
import { impatientQueues, injectedQueue, withFifoQueue, withQueue } from "../../support/aws/faultStage.ts"

const reply = (body: object | string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0", ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body)
})

const message = (n: number, more: object = {}) => ({
  MessageId: `m-${n}`,
  ReceiptHandle: `r-${n}`,
  Body: String(n),
  MD5OfBody: createHash("md5").update(String(n)).digest("hex"),
  Attributes: { ApproximateReceiveCount: "2", SentTimestamp: "1700000000000" },
  ...more
})

const operationOf = (request: Seen): string => String(request.headers["x-amz-target"]).replace("AmazonSQS.", "")
const bodyOf = (request: Seen | undefined) => JSON.parse(String(request?.body))

const poll = { max: 10, waitSeconds: 20, visibilitySeconds: 30 }

type Run = <A, E>(
  run: (backend: QueueBackend, server: FaultServer, queue: Queue.Service) => Effect.Effect<A, E>
) => Effect.Effect<A, E>
const port: Run = (run) => withQueue((queue, server) => run(queue[internals].backend, server, queue))
const injected: Run = (run) => injectedQueue((queue, server) => run(queue[internals].backend, server, queue))
const impatients = impatientQueues.map(([client, stage]): readonly [string, Run] => [
  client,
  (run) => stage((queue, server) => run(queue[internals].backend, server, queue))
])

describe("receive", () => {
  it.live("asks for all that a message has", () =>
    port((backend, server) =>
      Effect.gen(function*() {
        server.answer(() => reply({}))
        expect(yield* backend.receive({ max: 3, waitSeconds: 7, visibilitySeconds: 11 })).toEqual([])
        const body = bodyOf(server.seen[0])
        expect(body).toMatchObject({
          MaxNumberOfMessages: 3,
          WaitTimeSeconds: 7,
          VisibilityTimeout: 11,
          MessageAttributeNames: ["All"]
        })
        expect(body.MessageSystemAttributeNames).toEqual(body.AttributeNames)
        expect(body.ReceiveRequestAttemptId).toBeUndefined()
      })
    ))

  it.live("repeats a poll of a FIFO queue with its own id after a lost reply, and makes another id for the next", () =>
    withFifoQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer((_, index) => index === 0 ? "reset" : reply({}))
        const receive = queue[internals].backend.receive(poll)
        yield* receive
        yield* receive
        const [first, again, next] = server.seen.map((request) => bodyOf(request).ReceiveRequestAttemptId)
        expect(first).toMatch(/^[0-9a-f-]{36}$/)
        expect(again).toBe(first)
        expect(next).toMatch(/^[0-9a-f-]{36}$/)
        expect(next).not.toBe(first)
      })
    ))

  it.live("keeps attributes of any type, and fills in what is missing or no number", () =>
    port((backend, server) =>
      Effect.gen(function*() {
        server.answer(() =>
          reply({
            Messages: [
              message(1, {
                Attributes: {
                  ApproximateReceiveCount: "3",
                  SentTimestamp: "1700000000000",
                  MessageGroupId: "g",
                  MessageDeduplicationId: "d",
                  SequenceNumber: "18849496460467696128",
                  AWSTraceHeader: "Root=1-5759e988-bd862e3fe1be46a994272793"
                },
                MessageAttributes: {
                  int: { DataType: "Number.int", StringValue: "7" },
                  json: { DataType: "String.json", StringValue: "{}" },
                  png: { DataType: "Binary.png", BinaryValue: "AP8=" },
                  odd: { DataType: "Float", StringValue: "1.5" },
                  none: { DataType: "String" },
                  nothing: null,
                  ["__proto__"]: { DataType: "String", StringValue: "own" }
                }
              }),
              message(2, { Attributes: { ApproximateReceiveCount: "often", SentTimestamp: "-1" } }),
              message(3, { Attributes: undefined })
            ]
          })
        )
        const before = Date.now()
        const [full, odd, bare] = yield* backend.receive(poll)
        expect(full).toMatchObject({
          receiveCount: 3,
          sentAt: 1_700_000_000_000,
          messageGroupId: "g",
          messageDeduplicationId: "d",
          sequenceNumber: "18849496460467696128",
          traceHeader: "Root=1-5759e988-bd862e3fe1be46a994272793"
        })
        expect(Object.entries(full?.attributes ?? {})).toEqual([
          ["int", { type: "Number", value: "7" }],
          ["json", { type: "String", value: "{}" }],
          ["png", { type: "Binary", value: expect.any(Uint8Array) }],
          ["odd", { type: "String", value: "1.5" }],
          ...(Object.hasOwn(full?.attributes ?? {}, "__proto__")
            ? [["__proto__", { type: "String", value: "own" }]]
            : [])
        ])
        for (const one of [odd, bare]) {
          expect(one?.receiveCount).toBe(1)
          expect(one?.sentAt).toBeGreaterThanOrEqual(before)
        }
      })
    ))

  it.live("leaves messages without receipt or id, says so once for a reply, and gives the others", () =>
    port((backend, server) =>
      Effect.gen(function*() {
        const printed: Array<string> = []
        const logger = Logger.make((options) => void printed.push(Logger.logfmtLogger.log(options)))
        server.answer(() =>
          reply({
            Messages: [
              message(1, { ReceiptHandle: undefined }),
              message(2),
              message(3, { MessageId: undefined }),
              message(4, { ReceiptHandle: "" }),
              message(5, { Body: undefined, MD5OfBody: createHash("md5").update("").digest("hex") })
            ]
          })
        )
        const received = yield* backend.receive(poll).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        expect(received.map(({ body, messageId }) => [messageId, body])).toEqual([["m-2", "2"], ["m-5", ""]])
        expect(printed).toHaveLength(1)
        expect(printed[0]).toContain("3 of 5 messages of jobs")
        server.answer(() => reply({ Messages: [message(1, { ReceiptHandle: undefined })] }))
        expect(yield* Effect.flip(backend.receive(poll))).toMatchObject({
          reason: "MalformedReply",
          operation: "ReceiveMessage"
        })
      })
    ))

  const cases: ReadonlyArray<readonly [string, Answer, object]> = [
    ["a body that is not the one that was sent", reply({ Messages: [message(1, { Body: "other" })] }), {
      reason: "Checksum",
      retryable: true
    }],
    ["a page of HTML", { status: 200, headers: { "content-type": "text/html" }, body: "<html>log in</html>" }, {
      reason: "MalformedReply"
    }],
    ["messages that are an object", reply({ Messages: { a: 1 } }), { reason: "MalformedReply", retryable: false }],
    ["messages that are nothing", reply({ Messages: [null, null] }), { reason: "MalformedReply", retryable: false }],
    ["half of a reply", { ...reply({ Messages: [message(1)] }) as object, status: 200, cutAfter: 20 }, {
      reason: "ConnectionLost",
      retryable: true
    }],
    ["too many messages in flight", sqsError(403, "OverLimit"), { reason: "Throttled", retryable: true }],
    ["a key that may not be used", sqsError(400, "KmsAccessDenied"), { reason: "AccessDenied", retryable: false }],
    ["a key that is disabled", sqsError(400, "KmsDisabled"), { reason: "InvalidRequest", retryable: false }],
    ["a missing queue", sqsError(400, "QueueDoesNotExist"), { reason: "ResourceNotFound", retryable: false }]
  ]
  for (const [client, impatient] of impatients) {
    for (const [name, answer, expected] of cases) {
      it.live(`reports ${name}, ${client}`, () =>
        impatient((backend, server) =>
          Effect.gen(function*() {
            server.answer(() => answer)
            const error = yield* Effect.flip(backend.receive(poll))
            expect(error).toMatchObject({ _tag: "ServiceError", operation: "ReceiveMessage", ...expected })
            expect(error.outcome).toBeUndefined()
          })
        ))
    }

    it.live(`leaves a message whose text is another, and gives the others, ${client}`, () =>
      impatient((backend, server) =>
        Effect.gen(function*() {
          const printed: Array<string> = []
          const logger = Logger.make((options) => void printed.push(Logger.logfmtLogger.log(options)))
          server.answer(() => reply({ Messages: [message(1, { Body: "other" }), message(2)] }))
          const received = yield* Effect.provide(backend.receive(poll), Logger.replace(Logger.defaultLogger, logger))
          expect(received.map(({ messageId }) => messageId)).toEqual(["m-2"])
          expect(printed).toHaveLength(1)
          expect(printed[0]).toContain("1 of 2 messages of jobs with another text than was sent")
        })
      ))
  }

  it.live("is aborted when it is interrupted", () =>
    port((backend, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(backend.receive(poll))
        yield* Effect.promise(() => server.arrived(1))
        yield* Fiber.interrupt(fiber)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        expect(server.seen[0]?.aborted()).toBe(true)
      })
    ))
})

describe("delete and setVisibility", () => {
  const failed = (id: string, Code: string, SenderFault?: boolean) => ({ Id: id, Code, Message: "no", SenderFault })
  const ok = (id: string) => ({ Id: id })
  const unclear = { reason: "MalformedReply", outcome: "unknown" }
  const receipts = ["a", "b", "c", "b"]

  const answers: ReadonlyArray<readonly [string, object, ReadonlyArray<object | undefined>]> = [
    [
      "each by its index, in any order",
      {
        Successful: [ok("3"), ok("0")],
        Failed: [failed("2", "ReceiptHandleIsInvalid", true), failed("1", "InternalError", false)]
      },
      [undefined, { reason: "Unavailable", retryable: true }, {
        reason: "InvalidRequest",
        retryable: false
      }, undefined]
    ],
    [
      "codes without a fault",
      {
        Failed: [
          failed("0", "AWS.SimpleQueueService.MessageNotInflight"),
          failed("1", "RequestThrottled"),
          failed("2", "KmsThrottled"),
          failed("3", "New")
        ]
      },
      [{ reason: "InvalidRequest" }, { reason: "Throttled", retryable: true }, { reason: "Throttled" }, {
        reason: "Unavailable",
        retryable: true
      }]
    ],
    ["what was not answered", { Successful: [ok("0"), ok("2")] }, [undefined, unclear, undefined, unclear]],
    ["what was answered twice", {
      Successful: [ok("0"), ok("0"), ok("1"), ok("2"), ok("3")],
      Failed: [failed("3", "X", true)]
    }, [unclear, undefined, undefined, unclear]],
    [
      "ids that were not asked for",
      { Successful: [ok("0"), ok("4"), ok("-1"), ok("01"), ok("1.0"), { Id: 1 }, {}, null], Failed: [] },
      [undefined, unclear, unclear, unclear]
    ],
    ["an empty answer", { Successful: [] }, [unclear, unclear, unclear, unclear]]
  ]
  for (const [name, body, expected] of answers) {
    it.live(`tells ${name}`, () =>
      port((backend, server) =>
        Effect.gen(function*() {
          server.answer(() => reply(body))
          const changes = receipts.map((receipt) => ({ receipt, seconds: 5 }))
          for (const result of [yield* backend.delete(receipts), yield* backend.setVisibility(changes)]) {
            expect(result).toHaveLength(4)
            expect(result).toMatchObject(expected)
          }
          const [deletes, visibility] = server.seen
          expect(bodyOf(deletes).Entries).toEqual(
            receipts.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }))
          )
          expect(bodyOf(visibility).Entries[3]).toEqual({ Id: "3", ReceiptHandle: "b", VisibilityTimeout: 5 })
        })
      ))
  }

  for (const [client, impatient] of impatients) {
    it.live(`knows of none where the reply is not that of a batch, or is lost, ${client}`, () =>
      impatient((backend, server) =>
        Effect.gen(function*() {
          for (const answer of [reply({}), reply({ ok: true }), reply({ Successful: "all" }), "reset"] as const) {
            server.answer(() => answer)
            const error = yield* Effect.flip(backend.delete(receipts))
            expect(error).toMatchObject({
              reason: answer === "reset" ? "ConnectionLost" : "MalformedReply",
              operation: "DeleteMessageBatch",
              outcome: "unknown"
            })
          }
        })
      ))
  }
})

/** The level of polls in a metric. */
const polling = (name: string) =>
  Effect.map(Metric.snapshot, (pairs) => {
    const found = pairs.find(({ metricKey }) =>
      metricKey.name === name &&
      ["SQS", "poll"].every((label) => [...metricKey.tags].some(({ value }) => value === label))
    )
    return (found?.metricState as { readonly value?: number } | undefined)?.value
  })

describe("300 polls that wait", () => {
  const accepted = reply({ MessageId: "m-1", MD5OfMessageBody: createHash("md5").update("1").digest("hex") })
  const cases = [["a client of ours", port, 200], ["an injected client", injected, 25]] as const
  for (const [name, run, most] of cases) {
    it.live(`of ${name} do not keep other requests waiting`, () =>
      run((backend, server, queue) =>
        Effect.gen(function*() {
          server.answer((request) =>
            operationOf(request) === "ReceiveMessage"
              ? "stall"
              : operationOf(request) === "SendMessage"
              ? accepted
              : reply({ Successful: [{ Id: "0" }] })
          )
          const polls = yield* Effect.forEach(Array.from({ length: 300 }), () => Effect.fork(backend.receive(poll)))
          yield* Effect.promise(() => server.arrived(most))
          expect(yield* queue.enqueue(1)).toEqual({ messageId: "m-1" })
          yield* Effect.forEach(Array.from({ length: 60 }), () => backend.delete(["r"]), { concurrency: "unbounded" })
          expect(server.seen.filter((request) => operationOf(request) === "ReceiveMessage")).toHaveLength(most)
          // Of all clients of SQS in this process.
          expect(yield* polling("aws.client.active_requests")).toBe(most)
          expect(yield* polling("aws.client.pending_requests")).toBe(300 - most)
          yield* Fiber.interruptAll(polls)
          expect(yield* polling("aws.client.active_requests")).toBe(0)
        })
      ))
  }
})
