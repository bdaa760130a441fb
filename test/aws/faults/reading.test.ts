/** Downloads that are slow, cut, changed or damaged on the way. */
import type { S3Client } from "@aws-sdk/client-s3"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { S3 } from "../../../src/aws/Clients.ts"
import { Storage } from "../../../src/aws/Storage.ts"
import { type Answer, type FaultServer, s3Error, type Seen } from "../../support/aws/faultServer.ts"
import {
  impatientStorage,
  injectedStorage,
  interruptedReader,
  mebibyte,
  withStorage
} from "../../support/aws/faultStage.ts"

const bytes = Buffer.from(Array.from({ length: 3 * mebibyte }, (_, index) => (index * 31 + (index >> 13)) % 251))

const rangeOf = ({ headers }: Seen): readonly [start: number, end: number] | undefined => {
  const match = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "")
  return match === null ? undefined : [Number(match[1]), match[2] === "" ? bytes.byteLength - 1 : Number(match[2])]
}

/** Serves the bytes, and any range of them. */
const object = (request: Seen, more: { readonly etag?: string; readonly cutAfter?: number } = {}): Answer => {
  const range = rangeOf(request)
  const [start, end] = range ?? [0, bytes.byteLength - 1]
  return {
    status: range === undefined ? 200 : 206,
    body: bytes.subarray(start, end + 1),
    headers: {
      etag: more.etag ?? "\"v1\"",
      "content-length": String(end + 1 - start),
      ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end}/${bytes.byteLength}` })
    },
    ...(more.cutAfter === undefined ? {} : { cutAfter: more.cutAfter })
  }
}

const ranges = (server: FaultServer) => server.seen.map(({ headers }) => headers.range)

describe("a download", () => {
  it.live("that is cut goes on where it ended, on the same version", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request, index) => object(request, index < 2 ? { cutAfter: mebibyte } : {}))
        expect(Buffer.compare(yield* storage.readBytes("k"), bytes)).toBe(0)
        expect(ranges(server)).toEqual([
          undefined,
          `bytes=${mebibyte}-${3 * mebibyte - 1}`,
          `bytes=${2 * mebibyte}-${3 * mebibyte - 1}`
        ])
        expect(server.seen.slice(1).map(({ headers }) => headers["if-match"])).toEqual(["\"v1\"", "\"v1\""])
      })
    ))

  it.live("of a range that is cut goes on within it", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request, index) => object(request, index === 0 ? { cutAfter: 1000 } : {}))
        const read = yield* storage.readBytes("k", { range: { start: 5, end: 5004 } })
        expect(Buffer.compare(read, bytes.subarray(5, 5005))).toBe(0)
        expect(ranges(server)).toEqual(["bytes=5-5004", "bytes=1005-5004"])
      })
    ))

  it.live("that is cut after its last byte is complete", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object(request, { cutAfter: bytes.byteLength }))
        expect((yield* storage.readBytes("k")).byteLength).toBe(bytes.byteLength)
        expect(server.seen).toHaveLength(1)
      })
    ))

  it.live("does not mix two versions of an object", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request, index) =>
          index === 0 ? object(request, { cutAfter: mebibyte }) : s3Error(412, "PreconditionFailed")
        )
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({
          reason: "PreconditionFailed",
          detail: "the object was changed while it was read"
        })
      })
    ))

  it.live("is refused if it goes on with other bytes than were asked for", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request, index) =>
          index === 0
            ? object(request, { cutAfter: mebibyte })
            : object({ ...request, headers: { range: "bytes=0-9" } })
        )
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({ reason: "MalformedReply" })
      })
    ))

  it.live("is refused if the server does not know ranges", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object({ ...request, headers: {} }))
        expect(yield* Effect.flip(storage.readBytes("k", { range: { start: 7 } }))).toMatchObject({
          reason: "MalformedReply"
        })
      })
    ))

  it.live("that is always cut fails in the end", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object(request, { cutAfter: 0 }))
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(server.seen).toHaveLength(4)
      })
    ))

  it.live("whose reader pauses longer than the server may be silent goes on", () =>
    impatientStorage((storage, server) =>
      Effect.gen(function*() {
        const large = Buffer.alloc(16 * mebibyte, 7)
        server.answer((request) => {
          const start = rangeOf(request)?.[0]
          return {
            status: start === undefined ? 200 : 206,
            body: large.subarray(start ?? 0),
            headers: {
              etag: "\"v1\"",
              ...(start === undefined
                ? {}
                : { "content-range": `bytes ${start}-${large.byteLength - 1}/${large.byteLength}` })
            }
          }
        })
        let size = 0
        let pauses = 0
        yield* Stream.runForEach(storage.read("k"), (chunk) => {
          size += chunk.byteLength
          return size > 3 * mebibyte && pauses++ === 0 ? Effect.sleep("1500 millis") : Effect.void
        })
        expect(size).toBe(large.byteLength)
      })
    ))

  it.live("is checked against the checksum of the object, also when it was cut", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const sha = (of: Uint8Array) => createHash("sha256").update(of).digest("base64")
        const serve = (checksum: string) =>
          server.answer((request, index) => {
            const answer = object(request, index === 0 ? { cutAfter: mebibyte } : {})
            return index > 0 || typeof answer === "string"
              ? answer
              : { ...answer, headers: { ...answer.headers, "x-amz-checksum-sha256": checksum } }
          })
        serve(sha(bytes))
        yield* storage.readBytes("k")
        serve(sha(Buffer.alloc(3)))
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({ reason: "Checksum", retryable: true })
      })
    ))

  it.live("gives its connection and its turn back, however it ends", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object(request))
        // More than there are turns.
        yield* Effect.forEach(Array.from({ length: 150 }), (_, index) =>
          index % 3 === 0
            ? Stream.runHead(storage.read("k"))
            : index % 3 === 1
            ? Effect.exit(storage.readBytes("k", { maxBytes: 10 }))
            : interruptedReader(storage), { concurrency: 10 })
        expect((yield* storage.readBytes("k")).byteLength).toBe(bytes.byteLength)
      })
    ))

  it.live("that is interrupted at any moment loses no turn", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object(request))
        for (let round = 0; round < 4; round++) {
          const fibers = yield* Effect.forEach(Array.from({ length: 60 }), () => Effect.fork(storage.readBytes("k")))
          for (const fiber of fibers) {
            yield* Effect.yieldNow()
            yield* Fiber.interruptFork(fiber)
          }
          yield* Effect.forEach(fibers, Fiber.await)
        }
        const [time] = yield* Effect.timed(storage.readBytes("k"))
        expect(Duration.toSeconds(time)).toBeLessThan(5)
      })
    ))
})

describe("a download is refused", () => {
  const total = bytes.byteLength
  const cases: ReadonlyArray<readonly [name: string, range: { readonly start: number; readonly end: number }, Answer]> =
    [
      ["whose range is another", { start: 5, end: 9 }, {
        status: 206,
        body: bytes.subarray(0, 10),
        headers: { etag: "\"v1\"", "content-range": `bytes 0-9/${total}` }
      }],
      ["whose range cannot be read", { start: 5, end: 9 }, {
        status: 206,
        body: bytes.subarray(5, 10),
        headers: { etag: "\"v1\"", "content-range": "bytes=5-9/26" }
      }],
      ["that has no ETag", { start: 5, end: 9 }, {
        status: 206,
        body: bytes.subarray(5, 10),
        headers: { "content-range": `bytes 5-9/${total}` }
      }]
    ]
  for (const [name, range, answer] of cases) {
    it.live(name, () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          server.answer(() => answer)
          expect(yield* Effect.flip(storage.readBytes("k", { range }))).toMatchObject({ reason: "MalformedReply" })
        })
      ))
  }

  it.live("that goes on with another version, by a server that does not know conditions", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request, index) => object(request, index === 0 ? { cutAfter: mebibyte } : { etag: "\"v2\"" }))
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({
          detail: "the object was changed while it was read"
        })
      })
    ))

  it.live("whose reply the SDK cannot read, and its connection is closed", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({
          status: 200,
          body: Buffer.alloc(2 * mebibyte),
          headers: { etag: "\"x\"", "last-modified": "garbage" }
        }))
        for (let index = 0; index < 3; index++) {
          expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({ reason: "MalformedReply" })
        }
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
      })
    ))
})

describe("readers that pause", () => {
  it.live(
    "give their turn to others that wait, and go on when they read on",
    () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          server.answer((request) => object(request))
          const small = storage.readBytes("small", { range: { start: 0, end: 9 } })
          const nested = Effect.map(
            Stream.runFoldEffect(
              storage.read("large"),
              0,
              (size, chunk) => Effect.as(size === 0 ? small : Effect.void, size + chunk.byteLength)
            ),
            (size) => expect(size).toBe(bytes.byteLength)
          )
          yield* Effect.all(Array.from({ length: 110 }, () => nested), { concurrency: "unbounded" })
        })
      ),
    60_000
  )
})

describe("an injected client", () => {
  it.live("may have bodies of another kind", () =>
    injectedStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((request) => object(request))
        expect((yield* storage.readBytes("k")).byteLength).toBe(bytes.byteLength)
      })
    ))

  it.live("that gives nothing to read fails, and keeps no turn", () =>
    Effect.gen(function*() {
      const replies = [{ ETag: "\"x\"" }, undefined, { ETag: "\"x\"", Body: "text" }]
      let calls = 0
      const client = {
        send: () => Promise.resolve(replies[calls++ % replies.length]),
        config: { region: () => Promise.resolve("eu-west-1") }
      }
      const storage = yield* Storage.make({ bucket: "clinic-uploads", publicBaseUrl: "https://cdn.example.com" }).pipe(
        Effect.provide(S3.fromClient(client as unknown as S3Client))
      )
      for (let index = 0; index < 60; index++) {
        expect(yield* Effect.flip(storage.readBytes("k"))).toMatchObject({ reason: "MalformedReply" })
      }
    }))
})
