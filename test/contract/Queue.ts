/** What every Queue must do. A small file runs it for each layer. */
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type EnqueueOptions, Queue } from "../../src/aws/Queue.ts"
import { ServiceError } from "../../src/Errors.ts"

export interface Setup<E, R> {
  readonly layer: Layer.Layer<Queue | R, E>
  readonly fifo: boolean
  /** The bodies in the queue, in order. */
  readonly bodies: Effect.Effect<ReadonlyArray<string>, never, Queue | R>
}

class Scan extends Schema.Class<Scan>("Scan")({ id: Schema.Number, at: Schema.Date }) {}
const Attempts = Schema.Struct({ n: Schema.Int, tags: Schema.Array(Schema.String) })

const circular: Record<string, unknown> = {}
circular["self"] = circular

/** Refused by either kind of queue. */
const refused: ReadonlyArray<readonly [string, unknown, EnqueueOptions]> = [
  ...[
    ...[undefined, () => 1, 1n, { a: { b: 2n } }, circular, NaN, { a: [Infinity] }, { a: "\uFFFE" }, { "\uFFFF": 1 }],
    ...[new Map(), { a: new Date(NaN) }, { a: 2 ** 53 }, [undefined], JSON.parse("{\"__proto__\":{}}")]
  ].map(
    (
      payload
    ) => ["payload", payload, {}] as const
  ),
  ...["", "a b", "ü", "x".repeat(129), "a\n", 7 as unknown as string].flatMap((id) => [
    ["messageGroupId", {}, { messageGroupId: id }] as const,
    ["messageDeduplicationId", {}, { messageGroupId: "g", messageDeduplicationId: id }] as const
  ]),
  ...[
    ...[-1, -1n, NaN, Infinity, 900_001, "15.1 minutes", "-1 seconds", "soon" as "1 seconds"],
    ...[[-5, 0], [1, -2e9], [NaN, 0], [901, 0], []]
  ].map((delay) => ["delay", {}, { delay } as EnqueueOptions] as const),
  ...["", "a b", "AWS.x", "amazon.x", ".x", "x.", "a..b", "x".repeat(257), "ü", "__proto__"].map((name) =>
    ["attributes", {}, { attributes: Object.fromEntries([[name, "x"]]) }] as const
  ),
  ...[
    ...["", "\u0000", "\uFFFF", "\uD800", new Uint8Array(0), true as unknown as string],
    ...[NaN, Infinity, 1.1e126, -1.1e126, 9e-129, -5e-324]
  ].map((value) => ["attributes", {}, { attributes: { name: value } }] as const),
  ...[null, ["x"], new Map([["kind", "scan"]]), new Headers({ kind: "scan" })].map((attributes) =>
    ["attributes", {}, { attributes: attributes as never }] as const
  ),
  ...["\u0001", "\uFFFF", "\uD800"].map((value) =>
    ["traceHeader", {}, { traceHeader: `Root=1-5759e988-bd862e3fe1be46a994272793;Self=${value}` }] as const
  ),
  ["attributes", {}, { attributes: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`a${i}`, "x"])) }]
]

const refusedByStandard: ReadonlyArray<readonly [string, unknown, EnqueueOptions]> = [
  ["messageDeduplicationId", {}, { messageDeduplicationId: "d" }],
  ["messageDeduplicationId", {}, { messageGroupId: "g", messageDeduplicationId: "d" }]
]

const refusedByFifo: ReadonlyArray<readonly [string, unknown, EnqueueOptions]> = [
  ["messageGroupId", {}, {}],
  ["delay", {}, { messageGroupId: "g", delay: "1 seconds" }]
]

export const queueContract = <E, R>(name: string, setup: Setup<E, R>): void =>
  layer(setup.layer, { timeout: 30_000 })(name, (it) => {
    const options: EnqueueOptions = setup.fifo ? { messageGroupId: "patient-7" } : {}
    const last = Effect.map(setup.bodies, (bodies) => JSON.parse(bodies.at(-1) ?? "null"))

    it.effect("sends any JSON, in order", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        const before = (yield* setup.bodies).length
        const payloads = [
          { b: 1, a: [null, "é", { x: true }] },
          [1, 2],
          "text",
          7,
          null,
          false,
          { at: new Date(0) },
          "\u0001\uD800"
        ]
        for (const payload of payloads) {
          const sent = yield* queue.enqueue(payload, options)
          expect(sent.messageId).toMatch(/^[0-9a-f-]{36}$/)
          expect(typeof sent.sequenceNumber).toBe(setup.fifo ? "string" : "undefined")
        }
        expect((yield* setup.bodies).slice(before)).toEqual(payloads.map((payload) => JSON.stringify(payload)))
      }))

    it.effect("accepts ids, attributes and, on a standard queue, a delay", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        const attributes = {
          kind: "scan",
          size: 1.5,
          zero: 0,
          most: -1e126,
          least: 1e-128,
          hash: new Uint8Array([0, 255])
        }
        yield* queue.enqueue({ n: 1 }, { ...options, attributes, delay: 0 })
        yield* queue.enqueue(
          { n: 2 },
          setup.fifo
            ? { messageGroupId: "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~aZ9", messageDeduplicationId: "x".repeat(128) }
            : { messageGroupId: "fair" }
        )
        if (!setup.fifo) yield* queue.enqueue({ n: 3 }, { delay: "899.5 seconds" })
        expect(yield* last).toEqual({ n: 2 })
      }))

    it.effect("adds the time to an object, and replaces one that is there", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        yield* queue.enqueueTimestamped({ a: 1, created_at: "yesterday" }, options)
        expect(yield* last).toEqual({
          a: 1,
          created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        })
        for (const payload of [null, [1], "text", 7, new Date(0), undefined, 1n]) {
          const error = yield* Effect.flip(queue.enqueueTimestamped(payload, options))
          expect(error).toMatchObject({
            reason: "InvalidInput",
            field: "payload",
            attempts: 0,
            operation: "enqueueTimestamped"
          })
        }
      }))

    it.effect("encodes by a schema, and quotes nothing of a payload that does not fit", () =>
      Effect.gen(function*() {
        const scans = yield* Queue.of(Scan)
        yield* scans.enqueue(new Scan({ id: 7, at: new Date("2026-11-23T14:47:02.123Z") }), options)
        expect(yield* last).toEqual({ id: 7, at: "2026-11-23T14:47:02.123Z" })
        yield* scans.enqueueTimestamped(new Scan({ id: 8, at: new Date(0) }), options)
        expect(yield* last).toMatchObject({ id: 8, created_at: expect.any(String) })

        const attempts = yield* Queue.of(Attempts)
        const error = yield* Effect.flip(
          attempts.enqueue({ n: 1.5, tags: ["HIV positive", 7 as unknown as string] }, options)
        )
        expect(error).toMatchObject({ reason: "InvalidInput", field: "payload", attempts: 0, retryable: false })
        expect(error.detail).toBe("payload does not fit its schema at n")
        expect(JSON.stringify(error) + String(error)).not.toContain("HIV")
      }))

    it.effect("refuses what SQS would refuse: names the field, and sends nothing", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        const before = (yield* setup.bodies).length
        const cases = [
          ...refused.map(([field, payload, more]) => [field, payload, { ...options, ...more }] as const),
          ...(setup.fifo ? refusedByFifo : refusedByStandard)
        ]
        for (const [field, payload, more] of cases) {
          const error = yield* Effect.flip(queue.enqueue(payload, more))
          expect(error).toBeInstanceOf(ServiceError)
          expect(error).toMatchObject({ reason: "InvalidInput", field, attempts: 0, retryable: false, service: "SQS" })
        }
        expect(yield* setup.bodies).toHaveLength(before)
      }))

    it.effect("accepts 1 MiB with attributes, and not a byte more", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        // "kind" + "String" + "ü"
        const attributes = { kind: "ü" }
        const room = 1_048_576 - 4 - 6 - 2
        yield* queue.enqueue("x".repeat(room - 2), { ...options, attributes })
        for (const payload of ["x".repeat(room - 1), "é".repeat(room / 2)]) {
          expect(yield* Effect.flip(queue.enqueue(payload, { ...options, attributes })))
            .toMatchObject({
              reason: "PayloadTooLarge",
              attempts: 0,
              retryable: false,
              field: "payload",
              detail: expect.stringContaining("1048576"),
              hint: "store the data and send its key"
            })
        }
      }))

    it.effect("sends any number, in order, and refuses what is wrong with one of them", () =>
      Effect.gen(function*() {
        const queue = yield* Queue
        const before = (yield* setup.bodies).length
        const messages = Array.from({ length: 105 }, (_, n) => ({
          payload: n === 50 ? new Set() : { many: n },
          ...(setup.fifo ? { messageGroupId: `group-${n % 10}` } : {})
        }))
        const results = Array.from(yield* Stream.runCollect(queue.enqueueAll(messages, { concurrency: 1 })))
        const group = (n: number) => setup.fifo && n % 10 === 0 && n > 50
        expect(results.map(Either.isRight)).toEqual(messages.map((_, n) => n !== 50 && !group(n)))
        expect(results[50]).toMatchObject({ left: { reason: "InvalidInput", field: "payload" } })
        const sent = messages.filter((_, n) => Either.isRight(results[n]!)).map(({ payload }) =>
          JSON.stringify(payload)
        )
        const bodies = (yield* setup.bodies).slice(before)
        expect([...bodies].sort()).toEqual([...sent].sort())
        if (!setup.fifo) expect(bodies).toEqual(sent)
        for (let number = 0; number < 10; number++) {
          const numbers = bodies.map((body) => JSON.parse(body).many as number).filter((n) => n % 10 === number)
          expect(numbers).toEqual([...numbers].sort((left, right) => left - right))
        }
      }))

    it.effect("passes its check", () => Effect.flatMap(Queue, (queue) => queue.check))
  })
