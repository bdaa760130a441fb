/** More calls at once than there are connections. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { fakeS3 } from "../../support/aws/fakeS3.ts"
import { chunks, input, mebibyte, withQueue, withStorage } from "../../support/aws/faultStage.ts"
import { eventually } from "../../support/eventually.ts"

const stored = { status: 200, headers: { etag: "\"x\"" } }

const level = (name: string, kind: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (pairs) => {
    const found = pairs.find(({ metricKey }) =>
      metricKey.name === name && [...metricKey.tags].some(({ value }) => value === kind)
      && [...metricKey.tags].some(({ value }) => value === "S3")
    )
    return (found?.metricState as { readonly value?: number } | undefined)?.value ?? Number.NaN
  })

/** SQS answers with the MD5 of the message, which the client checks. */
const md5OfText = (body: Buffer): string =>
  createHash("md5").update((JSON.parse(String(body)) as { readonly MessageBody: string }).MessageBody).digest("hex")

describe("a burst", () => {
  it.live(
    "of 1,000 uploads to a slow server waits its turn: none fails",
    () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          // Twenty turns: longer than the 10 s that a connection may take.
          server.answer(() => ({ ...stored, delay: 600 }))
          const exits = yield* Effect.forEach(
            Array.from({ length: 1000 }),
            () => Effect.exit(storage.uploadImage(input)),
            { concurrency: "unbounded" }
          )
          expect(exits.filter(Exit.isFailure).slice(0, 1)).toEqual([])
          expect(server.seen).toHaveLength(1000)
        })
      ),
    60_000
  )

  it.live("is served in its order, and seen in the metrics; one who leaves the line is not sent", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const upload = (customerId: number) => Effect.fork(storage.uploadImage({ ...input, customerId }))
        const first = yield* Effect.forEach(Array.from({ length: 50 }, (_, index) => index + 1), upload)
        yield* Effect.promise(() => server.arrived(50))
        const waiting = yield* Effect.forEach([101, 102, 103], upload)
        yield* eventually(
          Effect.map(level("aws.client.pending_requests", "request"), (value) => expect(value).toBe(3))
        )
        expect(yield* level("aws.client.active_requests", "request")).toBe(50)
        server.answer(() => stored)
        yield* Fiber.interrupt(waiting[1]!)
        yield* Fiber.interruptAll(first)
        yield* Fiber.join(waiting[0]!)
        yield* Fiber.join(waiting[2]!)
        const customers = server.seen.filter(({ method }) => method === "PUT").map(({ path }) => path.split("/")[2])
        expect(customers).toEqual(["101", "103"])
        expect(yield* level("aws.client.pending_requests", "request")).toBe(0)
        yield* eventually(
          Effect.map(level("aws.client.active_requests", "request"), (value) => expect(value).toBe(0))
        )
      })
    ))

  it.live("of slow readers does not keep uploads from their turn", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(({ method }) =>
          method === "GET" ? { status: 200, body: Buffer.alloc(2 * mebibyte), headers: { etag: "\"x\"" } } : stored
        )
        const readers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
          Effect.fork(Stream.runForEach(storage.read("k"), () => Effect.never)))
        yield* Effect.promise(() =>
          server.arrived(100)
        )
        yield* storage.uploadImage(input)
        yield* Fiber.interruptAll(readers)
      })
    ))

  it.live("of messages waits its turn", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        server.answer(({ body }) => ({
          status: 200,
          delay: 20,
          headers: { "content-type": "application/x-amz-json-1.0" },
          body: JSON.stringify({ MessageId: "1", MD5OfMessageBody: md5OfText(body) })
        }))
        yield* Effect.forEach(Array.from({ length: 300 }), () => queue.enqueue({ text: "x" }), {
          concurrency: "unbounded"
        })
        expect(server.seen).toHaveLength(300)
      })
    ))
})

describe("the memory of uploads", () => {
  it.live(
    "is one bound over all of them: what does not fit waits, and its stream is not read",
    () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          fakeS3(server, (operation) => operation === "Part" ? "stall" : undefined)
          let read = 0
          const data = Stream.tap(chunks(100), () => Effect.sync(() => read++)).pipe(Stream.rechunk(1))
          const fibers = yield* Effect.forEach(
            Array.from({ length: 20 }),
            () => Effect.fork(storage.uploadVideo({ ...input, fileExtension: "mp4", data }))
          )
          yield* eventually(
            Effect.sync(() => expect(read).toBeGreaterThanOrEqual(192)),
            "10 seconds"
          )
          yield* Effect.sleep("500 millis")
          // 192 MiB in parts, the rest in beginnings, and the chunks that each upload has at hand.
          expect(read).toBeLessThanOrEqual(192 + 20 * 2)
          yield* Fiber.interruptAll(fibers)
          // Everything was given back.
          fakeS3(server)
          yield* Effect.forEach(
            Array.from({ length: 8 }),
            () => storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(20) }),
            { concurrency: "unbounded" }
          )
        })
      ),
    60_000
  )
})
