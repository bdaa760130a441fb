/** Storage on a server that fails as it is told: requests of their own. See multipartUpload.test.ts for uploads by parts. */
import type { AwsCredentialIdentity } from "@aws-sdk/types"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Storage } from "../../../src/aws/Storage.ts"
import { type Answer, s3Error } from "../../support/aws/faultServer.ts"
import {
  chunks,
  impatientStorage as impatient,
  input,
  interruptedReader,
  mebibyte,
  ownStorage,
  withStorage
} from "../../support/aws/faultStage.ts"
import { accessKeyId, secretAccessKey, settings } from "../../support/aws/settings.ts"

describe("one request", () => {
  const cases: ReadonlyArray<readonly [string, Answer, object]> = [
    ["a refusal", s3Error(403, "AccessDenied", "no"), { reason: "AccessDenied", retryable: false, status: 403 }],
    ["bad keys", s3Error(403, "InvalidAccessKeyId"), { reason: "InvalidCredentials", retryable: false }],
    ["a missing bucket", s3Error(404, "NoSuchBucket"), { reason: "ResourceNotFound", retryable: false }],
    ["a conflict", s3Error(409, "OperationAborted"), { reason: "Conflict", retryable: true }],
    ["a precondition", s3Error(412, "PreconditionFailed"), { reason: "PreconditionFailed", retryable: false }],
    ["a checksum", s3Error(400, "BadDigest"), { reason: "Checksum", retryable: true }],
    ["throttling", s3Error(503, "SlowDown"), { reason: "Throttled", retryable: true }],
    ["an outage", { status: 503, body: "<html>" }, { reason: "Unavailable", retryable: true, outcome: "unknown" }],
    ["a reset", "reset", { reason: "ConnectionLost", retryable: true, outcome: "unknown" }],
    ["a stall", "stall", { reason: "ReadTimeout", retryable: true, outcome: "unknown" }],
    ["the wrong region", s3Error(301, "PermanentRedirect"), { reason: "WrongRegion", retryable: false }]
  ]
  for (const [name, answer, expected] of cases) {
    it.live(`reports ${name}`, () =>
      impatient((storage, server) =>
        Effect.gen(function*() {
          server.answer(() => answer)
          const error = yield* Effect.flip(storage.uploadImage(input))
          expect(error).toMatchObject({
            _tag: "ServiceError",
            service: "S3",
            operation: "PutObject",
            attempts: 1,
            ...expected
          })
          if (typeof answer === "object") expect(error.requestId).toBe("REQ-1")
          const streamed = yield* Effect.flip(storage.uploadImage({ ...input, data: Stream.make(new Uint8Array(3)) }))
          expect(streamed).toMatchObject({ ...expected, retryable: false })
        })
      ))
  }

  it.live("makes three attempts, and says so", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "reset")
        expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({ reason: "ConnectionLost", attempts: 3 })
        expect(server.seen.filter(({ method }) => method === "PUT")).toHaveLength(3)
      })
    ))

  it.live("is repeated for the data of a stream as well", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((_, index) => index < 2 ? { status: 500 } : { status: 200, headers: { etag: "\"x\"" } })
        const stored = yield* storage.uploadImage({ ...input, data: chunks(2) })
        expect(stored).toMatchObject({ etag: "\"x\"", size: 2 * mebibyte })
        expect(server.seen.map(({ body }) => body.byteLength)).toEqual([2, 2, 2].map((n) => n * mebibyte))
      })
    ))

  it.live("sends key, type and headers as they were given, with a checksum, without waiting for a 100", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({ status: 200, headers: { etag: "\"x\"" } }))
        const { key } = yield* storage.uploadChatAttachment({
          ...input,
          data: new Uint8Array(3 * mebibyte),
          fileExtension: "pdf",
          cacheControl: "no-store",
          contentDisposition: "inline",
          metadata: { scan: "17" }
        })
        expect(server.seen[0]).toMatchObject({ method: "PUT", path: `/clinic-uploads/${key}?x-id=PutObject` })
        expect(server.seen[0]?.headers).toMatchObject({
          "content-type": "application/pdf",
          "cache-control": "no-store",
          "content-disposition": "inline",
          "x-amz-meta-scan": "17",
          "content-length": String(3 * mebibyte),
          "x-amz-checksum-crc32": expect.any(String)
        })
        expect(server.seen[0]?.headers.expect).toBeUndefined()
      })
    ))

  it.live("reports that nothing listens there", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({
        reason: "Unreachable",
        retryable: true,
        attempts: 3
      })
    }).pipe(Effect.provide(Layer.provide(Storage.layer, settings("http://127.0.0.1:1")))))

  it.live("does not believe a page of something else that a file is deleted", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({ status: 200, headers: { "content-type": "text/html" }, body: "<html>log in</html>" }))
        expect(yield* Effect.flip(storage.delete("report.pdf"))).toMatchObject({
          reason: "MalformedReply",
          retryable: false,
          outcome: "unknown"
        })
        server.answer(() => ({ status: 204 }))
        yield* storage.delete("report.pdf")
      })
    ))

  it.live("does not wait for ever for credentials, and is not sent when they come after all", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const keys = yield* Deferred.make<AwsCredentialIdentity>()
      const credentials = () =>
        Effect.runPromise(Effect.zipRight(Deferred.succeed(asked, undefined), Deferred.await(keys)))
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })
      yield* ownStorage({ credentials })((storage, server) =>
        Effect.gen(function*() {
          server.answer(() => ({ status: 200, headers: { etag: "\"x\"" } }))
          const fiber = yield* Effect.fork(Effect.flip(storage.uploadImage(input)))
          yield* Deferred.await(asked)
          vi.advanceTimersByTime(34_000)
          expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "Timeout", retryable: true, attempts: 0 })
          yield* Deferred.succeed(keys, { accessKeyId, secretAccessKey })
          yield* storage.uploadImage(input)
          expect(server.seen.length).toBe(1)
        })
      )
    }).pipe(Effect.ensuring(Effect.sync(() => vi.useRealTimers()))))

  it.live("is aborted at once when it is interrupted", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(storage.put("report.pdf", new Uint8Array(8 * mebibyte)))
        yield* Effect.promise(() => server.arrived(1))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(1000)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        expect(server.seen[0]?.aborted()).toBe(true)
      })
    ))
})

describe("read", () => {
  it.live("reports a connection that is lost in the middle", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        server.answer((_, index) => index === 0 ? "truncate" : "reset")
        expect(yield* Effect.flip(Stream.runDrain(storage.read("k")))).toMatchObject({
          reason: "ConnectionLost",
          operation: "GetObject",
          retryable: true
        })
      })
    ))

  it.live("notices bytes other than those that were stored", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({
          status: 200,
          body: "other",
          headers: { etag: "\"x\"", "x-amz-checksum-crc32": "AAAAAA==" }
        }))
        expect(yield* Effect.flip(Stream.runDrain(storage.read("k")))).toMatchObject({ reason: "Checksum" })
      })
    ))

  it.live("closes the connection when it is ended early or interrupted", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({ status: 200, body: Buffer.alloc(20 * mebibyte), headers: { etag: "\"x\"" } }))
        const head = yield* Stream.runHead(storage.read("k"))
        expect(head._tag).toBe("Some")
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        yield* interruptedReader(storage)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
      })
    ))
})
