/** Payloads that are stored, with messages that point to them. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { QueueBackend, RawMessage } from "../../../../../src/aws/internal/queue/backend.ts"
import type { Message } from "../../../../../src/aws/internal/queue/message.ts"
import type { LargePayloadOptions } from "../../../../../src/aws/internal/queue/model.ts"
import * as LargePayloads from "../../../../../src/aws/internal/queue/sending/largePayloads.ts"
import * as Service from "../../../../../src/aws/internal/queue/service.ts"
import { Queue } from "../../../../../src/aws/Queue.ts"
import { Storage } from "../../../../../src/aws/Storage.ts"
import { ServiceError } from "../../../../../src/Errors.ts"
import { accepted, type Answer, error, scriptedBackend } from "../../../../support/aws/scriptedQueue.ts"

const large = { text: "ü".repeat(600_000) }
const body = JSON.stringify(large)
const unknown = error({ reason: "ConnectionLost", outcome: "unknown" })
const refused = error({ reason: "AccessDenied", retryable: false })

const keys = Effect.map(Storage.objects, (objects) => objects.map(({ key }) => key))

/** A queue over Storage in memory. */
const setup = (
  answer: (messages: ReadonlyArray<Message>, request: number) => Answer,
  options?: LargePayloadOptions,
  kind: "standard" | "fifo" = "standard"
) =>
  Effect.map(Storage, (storage) => {
    const { backend, requests } = scriptedBackend({
      kind,
      answer: (messages, n) => Effect.succeed(answer(messages, n))
    })
    return { queue: Service.make(LargePayloads.wrap(backend, storage, options)), requests, storage }
  })

const raw = (fields: Partial<RawMessage> = {}): RawMessage => ({
  messageId: "m",
  receipt: "r",
  body: "1",
  attributes: {},
  receiveCount: 1,
  sentAt: 0,
  messageGroupId: undefined,
  messageDeduplicationId: undefined,
  sequenceNumber: undefined,
  traceHeader: undefined,
  ...fields
})

const request = { max: 10, waitSeconds: 0, visibilitySeconds: 30 }

/** A backend that has received these, and what it was asked to delete. */
const receiving = (
  messages: ReadonlyArray<RawMessage>,
  options?: LargePayloadOptions,
  missing: ReadonlyArray<string> = []
) =>
  Effect.map(Storage, (storage) => {
    const deleted: Array<string> = []
    const changed: Array<string> = []
    const inner: QueueBackend = {
      ...scriptedBackend({ answer: () => Effect.never }).backend,
      receive: () => Effect.succeed(messages),
      delete: (receipts) =>
        Effect.sync(() => {
          deleted.push(...receipts)
          return receipts.map((receipt) => missing.includes(receipt) ? refused : undefined)
        }),
      setVisibility: (changes) =>
        Effect.sync(() => {
          changed.push(...changes.map(({ receipt }) => receipt))
          return changes.map(() => undefined)
        })
    }
    return { backend: LargePayloads.wrap(inner, storage, options), deleted, changed, storage }
  })

const pointerTo = (key: string, bucket = "memory"): string =>
  JSON.stringify(["software.amazon.payloadoffloading.PayloadS3Pointer", { s3BucketName: bucket, s3Key: key }])
const marked = { ExtendedPayloadSize: { type: "Number", value: "5" } } as const

describe("a large payload that is sent", () => {
  it.effect("is stored, and the message points to it as AWS's libraries do", () =>
    Effect.gen(function*() {
      const { queue, requests } = yield* setup(accepted)
      yield* queue.enqueue({ small: true })
      yield* queue.enqueue(large, { attributes: { kind: "scan" } })
      const objects = yield* Storage.objects
      expect(objects).toHaveLength(1)
      expect(objects[0]).toMatchObject({
        key: expect.stringMatching(/^sqs\/scripted\/[0-9a-f-]{36}$/),
        contentType: "application/json"
      })
      expect(Buffer.from(objects[0]!.bytes).toString() === body).toBe(true)
      expect(requests.flat()).toMatchObject([
        { body: "{\"small\":true}", attributes: {} },
        {
          body: pointerTo(objects[0]!.key),
          attributes: {
            kind: { type: "String", value: "scan" },
            ExtendedPayloadSize: { type: "Number", value: String(Buffer.byteLength(body)) }
          }
        }
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is stored above a size of one's own, and refused above the largest", () =>
    Effect.gen(function*() {
      const { queue } = yield* setup(accepted, { above: 10, maxBytes: 100, prefix: "p/" })
      yield* queue.enqueue("x".repeat(8))
      yield* queue.enqueue("x".repeat(9))
      expect(yield* keys).toEqual([expect.stringMatching(/^p\/[0-9a-f-]{36}$/)])
      expect(yield* Effect.flip(queue.enqueue("x".repeat(99)))).toMatchObject({
        reason: "PayloadTooLarge",
        detail: expect.stringContaining("100 are accepted")
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("needs one attribute, and room for the others", () =>
    Effect.gen(function*() {
      const { queue, requests } = yield* setup(accepted)
      const ten = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, "x"]))
      for (const attributes of [ten, { a: "x".repeat(1_048_576) }]) {
        expect(yield* Effect.flip(queue.enqueue(large, { attributes }))).toMatchObject({
          reason: "InvalidInput",
          field: "attributes"
        })
      }
      expect(requests).toHaveLength(0)
      expect(yield* keys).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is refused as soon as it is prepared where it has no attribute left", () =>
    Effect.gen(function*() {
      const { queue } = yield* setup(accepted)
      const attributes = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, "x"]))
      expect(yield* Effect.flip(queue[Service.internals].prepare("Outbox.enqueue", large, { attributes })))
        .toMatchObject({
          reason: "InvalidInput",
          field: "attributes",
          operation: "Outbox.enqueue"
        })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is marked by an attribute that no other message may have", () =>
    Effect.gen(function*() {
      const { queue, requests } = yield* setup(accepted)
      for (const name of ["ExtendedPayloadSize", "SQSLargePayloadSize"]) {
        for (const payload of [1, large]) {
          expect(yield* Effect.flip(queue.enqueue(payload, { attributes: { [name]: 5 } }))).toMatchObject({
            reason: "InvalidInput",
            field: "attributes"
          })
        }
      }
      expect(requests).toHaveLength(0)
      expect(yield* keys).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is deleted if the message was certainly not sent, and stays if it may have been", () =>
    Effect.gen(function*() {
      const first = yield* setup(() => refused)
      expect(yield* Effect.flip(first.queue.enqueue(large))).toBe(refused)
      expect(yield* keys).toEqual([])
      const second = yield* setup(() => unknown)
      expect(yield* Effect.flip(second.queue.enqueue(large))).toBe(unknown)
      expect(yield* keys).toHaveLength(1)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is the same object in a retry, which stays whatever comes later", () =>
    Effect.gen(function*() {
      const { queue, requests } = yield* setup(
        (_, n) => n === 0 ? unknown : refused,
        {},
        "fifo"
      )
      const send = queue.enqueue(large, { messageGroupId: "g" })
      yield* Effect.flip(send)
      yield* Effect.flip(send)
      const [first, second] = requests.flat()
      expect(second?.body).toBe(first?.body)
      expect(yield* keys).toHaveLength(1)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is one of many", () =>
    Effect.gen(function*() {
      const { queue, requests } = yield* setup((messages, n) =>
        messages.map((message): Either.Either<{ readonly messageId: string }, ServiceError> =>
          n === 1 ? Either.left(refused) : Either.right({ messageId: message.body })
        )
      )
      const results = yield* Stream.runCollect(queue.enqueueAll([
        { payload: 1 },
        { payload: large },
        { payload: large },
        { payload: 2 },
        { payload: large, attributes: { a: "x".repeat(1_048_576) } }
      ], { concurrency: 1 }))
      const all = Array.from(results)
      expect(all.map(Either.isRight)).toEqual([true, false, true, true, false])
      expect(requests.every((sent) => sent.every((message) => message.body.length < 1000))).toBe(true)
      expect(yield* keys).toHaveLength(1)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that cannot be stored is not sent, and what may be stored is deleted", () =>
    Effect.gen(function*() {
      const failing = new ServiceError({
        service: "S3",
        operation: "PutObject",
        reason: "ReadTimeout",
        retryable: true,
        attempts: 3,
        outcome: "unknown"
      })
      const { backend, requests } = scriptedBackend({ answer: (messages) => Effect.succeed(accepted(messages)) })
      const memory = yield* Storage
      // The reply of S3 is lost.
      const put: typeof memory.put = (...args) => Effect.zipRight(memory.put(...args), Effect.fail(failing))
      const queue = Service.make(LargePayloads.wrap(backend, { ...memory, put }))
      const error = yield* Effect.flip(queue.enqueue(large))
      expect(error).toMatchObject({ service: "S3", reason: "ReadTimeout", retryable: true, attempts: 3 })
      expect(error.outcome).toBeUndefined()
      expect(requests).toHaveLength(0)
      expect(yield* keys).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("a large payload that is received", () => {
  it.effect("is loaded, and deleted with its message if that is wanted", () =>
    Effect.gen(function*() {
      for (const deleteAfterAck of [false, true]) {
        const { backend, changed, deleted, storage } = yield* receiving(
          [
            raw({
              receipt: "a",
              body: pointerTo("sqs/scripted/1"),
              attributes: { ...marked, kind: { type: "String", value: "x" } }
            }),
            raw({ receipt: "b", body: "2" }),
            raw({
              receipt: "c",
              body: pointerTo("sqs/scripted/3"),
              attributes: { SQSLargePayloadSize: marked.ExtendedPayloadSize }
            })
          ],
          { deleteAfterAck },
          ["c"]
        )
        for (const n of [1, 3]) yield* storage.put(`sqs/scripted/${n}`, Buffer.from(`{"n":${n}}`))
        const messages = yield* backend.receive(request)
        expect(messages.map(({ attributes, body }) => [body, Object.keys(attributes)])).toEqual([
          ["{\"n\":1}", ["kind"]],
          ["2", []],
          ["{\"n\":3}", []]
        ])
        const receipts = messages.map(({ receipt }) => receipt)
        yield* backend.setVisibility(receipts.map((receipt) => ({ receipt, seconds: 1 })))
        expect(changed).toEqual(["a", "b", "c"])
        expect(yield* backend.delete(receipts)).toEqual([undefined, undefined, refused])
        expect(deleted).toEqual(["a", "b", "c"])
        expect(yield* keys).toEqual(deleteAfterAck ? ["sqs/scripted/3"] : ["sqs/scripted/1", "sqs/scripted/3"])
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is read from nowhere else, and says why it cannot be read", () =>
    Effect.gen(function*() {
      const { backend, deleted, storage } = yield* receiving(
        [
          ["sqs/scripted/1", "other-bucket"],
          ["7/assets/chat/9/patient.pdf"],
          ["sqs/scripted/../../secret"],
          ["sqs/scripted/gone"],
          ["sqs/scripted/large"],
          ["sqs/scripted/binary"]
        ].map(([key, bucket]) => raw({ body: pointerTo(key!, bucket), attributes: marked })).concat([
          raw({ body: "no pointer", attributes: marked }),
          raw({ body: pointerTo("sqs/scripted/1") })
        ]),
        { maxBytes: 10, deleteAfterAck: true }
      )
      yield* storage.put("7/assets/chat/9/patient.pdf", Buffer.from("secret"))
      yield* storage.put("sqs/scripted/1", Buffer.from("{}"))
      yield* storage.put("sqs/scripted/large", Buffer.from("x".repeat(11)))
      yield* storage.put("sqs/scripted/binary", new Uint8Array([0xff]))
      const messages = yield* backend.receive(request)
      expect(messages.map(({ body, unreadable }) => [body, unreadable])).toEqual([
        ["", "points to another place than the payloads of this queue"],
        ["", "points to another place than the payloads of this queue"],
        ["", "points to an object that cannot be read (InvalidInput)"],
        ["", "points to an object that cannot be read (ObjectNotFound)"],
        ["", "points to an object that cannot be read (PayloadTooLarge)"],
        ["", "points to an object that is no text"],
        ["", "is marked as stored elsewhere and holds no pointer"],
        [pointerTo("sqs/scripted/1"), undefined]
      ])
      yield* backend.delete(messages.map(({ receipt }) => receipt))
      expect(deleted).toHaveLength(8)
      expect(yield* keys).toHaveLength(4)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is kept invisible from when it was received on, and not from when it was loaded", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const slow: Storage.Service = {
        ...storage,
        readBytes: (...args) => Effect.delay(storage.readBytes(...args), "25 seconds")
      }
      const { queue, requests } = yield* setup(accepted)
      yield* queue.enqueue(large)
      const [sent] = requests.flat()
      const changes: Array<number> = []
      let polls = 0
      const inner: QueueBackend = {
        ...scriptedBackend({ answer: () => Effect.never }).backend,
        attributes: Effect.never,
        receive: () =>
          polls++ === 0 ? Effect.succeed([raw({ body: sent!.body, attributes: sent!.attributes })]) : Effect.never,
        setVisibility: (all) =>
          Effect.map(TestClock.currentTimeMillis, (now) => {
            changes.push(now)
            return all.map(() => undefined)
          })
      }
      const consumed = Service.make(LargePayloads.wrap(inner, slow)).consume(() => Effect.never, {
        visibility: "30 seconds"
      })
      yield* Effect.fork(consumed)
      yield* TestClock.adjust("36 seconds")
      // At once when it is there, with 5 s left, and then at a third of the next 30 s.
      expect(changes).toEqual([25_000, 35_000])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is left for later if it cannot be loaded for now", () =>
    Effect.gen(function*() {
      const storage = {
        ...(yield* Storage),
        readBytes: () => Effect.fail(error({ reason: "Throttled", retryable: true }))
      }
      const inner: QueueBackend = {
        ...scriptedBackend({ answer: () => Effect.never }).backend,
        receive: () =>
          Effect.succeed([
            ...["a", "b"].map((messageGroupId, index) =>
              raw({ body: String(index), messageGroupId, sequenceNumber: "1" })
            ),
            raw({ body: pointerTo("sqs/scripted/1"), attributes: marked, messageGroupId: "a", sequenceNumber: "2" }),
            // Those of its group would be handled before it.
            ...["a", "b"].map((messageGroupId) => raw({ body: "later", messageGroupId, sequenceNumber: "3" })),
            raw({ body: pointerTo("sqs/scripted/2"), attributes: marked }),
            raw({ body: "2" })
          ])
      }
      const messages = yield* LargePayloads.wrap(inner, storage).receive(request)
      expect(messages.map(({ body, messageGroupId }) => [body, messageGroupId])).toEqual([
        ["0", "a"],
        ["1", "b"],
        ["later", "b"],
        ["2", undefined]
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("Queue.layerLargePayloads", () => {
  it.effect("is a queue with large payloads", () =>
    Effect.gen(function*() {
      const queue = yield* Queue
      yield* queue.enqueue(large)
      const [message] = yield* Queue.messages
      expect(message?.payload).toEqual([
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        { s3BucketName: "memory", s3Key: (yield* keys)[0] }
      ])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(Layer.provide(Queue.layerLargePayloads(), Queue.layerMemory), Storage.layerMemory)
      )
    ))

  it.effect("names every option that is wrong", () =>
    Effect.gen(function*() {
      const options = { above: -1, maxBytes: 0, prefix: "\u0000", deleteAfterAck: 7 as never }
      const error = yield* Effect.flip(Effect.provide(
        Queue,
        Queue.layerLargePayloads(options).pipe(Layer.provide(Queue.layerMemory), Layer.provide(Storage.layerMemory))
      ))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "Queue" })
      expect(error.problems.map(({ setting }) => setting)).toEqual(["above", "maxBytes", "prefix", "deleteAfterAck"])
    }))
})
