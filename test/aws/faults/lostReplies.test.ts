/** Replies that are lost, or that are not what S3 sends. */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../src/Errors.ts"
import { fakeS3, operationOf } from "../../support/aws/fakeS3.ts"
import { type Answer, s3Error, type Seen } from "../../support/aws/faultServer.ts"
import { chunks, input, mebibyte, withStorage } from "../../support/aws/faultStage.ts"
import { eventually } from "../../support/eventually.ts"

const found = (size: number, etag: string): Answer => ({
  status: 200,
  headers: { "content-length": String(size), etag, "last-modified": "Sun, 29 Nov 2026 00:00:00 GMT" }
})
const missing: Answer = { status: 404 }
const methods = (seen: ReadonlyArray<Seen>) => seen.map(({ method }) => method)

describe("an upload whose reply is lost", () => {
  it.live("has succeeded if the object is there", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(({ method }) => method === "PUT" ? "reset" : found(3, "\"kept\""))
        expect(yield* storage.uploadImage(input)).toMatchObject({ size: 3, etag: "\"kept\"" })
        expect(methods(server.seen)).toEqual(["PUT", "PUT", "PUT", "HEAD"])
        expect(server.seen[3]?.path).toBe(server.seen[0]?.path.replace("?x-id=PutObject", ""))
      })
    ))

  it.live("has an unknown outcome if it is not there, or another one is, or nobody knows", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        for (const answer of [missing, found(4, "\"other\""), s3Error(403, "AccessDenied"), "reset"] as const) {
          server.answer(({ method }) => method === "PUT" ? "reset" : answer)
          expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({
            operation: "PutObject",
            reason: "ConnectionLost",
            outcome: "unknown"
          })
        }
      })
    ))

  it.live("has failed if all attempts were answered, and the object is not there", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(({ method }) => method === "PUT" ? s3Error(503, "ServiceUnavailable") : missing)
        const error = yield* Effect.flip(storage.uploadImage(input))
        expect(error).toMatchObject({ reason: "Unavailable", retryable: true })
        expect(error.outcome).toBeUndefined()
      })
    ))

  // What an earlier attempt has done is not undone by the answer to a later one.
  for (
    const later of [
      s3Error(503, "SlowDown"),
      s3Error(403, "AccessDenied"),
      s3Error(400, "ExpiredToken"),
      s3Error(409, "OperationAborted")
    ]
  ) {
    it.live(`has an unknown outcome although a later attempt is answered: ${JSON.stringify(later).slice(10, 13)}`, () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          server.answer(({ method }, index) => method !== "PUT" ? missing : index === 0 ? "reset" : later)
          expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({ outcome: "unknown" })
          // Its key reaches nobody.
          expect(server.seen.at(-1)?.method).toBe("DELETE")
        })
      ))
  }

  it.live("has an unknown outcome if it is a gateway that speaks of an overload, and not S3", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const body = "<html><h1>ServiceUnavailable</h1><p>Throttled: SlowDown, please.</p></html>"
        server.answer(({ method }) => method === "PUT" ? { status: 503, body } : missing)
        expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({ outcome: "unknown" })
      })
    ))

  it.live("under a key of the caller's is not guessed: an older object may be the same", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(({ method }) => method === "PUT" ? "reset" : found(3, "\"kept\""))
        expect(yield* Effect.flip(storage.put("report.pdf", new Uint8Array([1, 2, 3])))).toMatchObject({
          outcome: "unknown",
          retryable: true
        })
        expect(methods(server.seen)).toEqual(["PUT", "PUT", "PUT"])
      })
    ))

  it.live("under a condition is not guessed: its repetition may have met what it has stored itself", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const bytes = new Uint8Array([1, 2, 3])
        server.answer((_, index) => index === 0 ? "reset" : s3Error(412, "PreconditionFailed"))
        expect(yield* Effect.flip(storage.put("lock", bytes, { ifNoneMatch: "*" }))).toMatchObject({
          reason: "PreconditionFailed",
          attempts: 2,
          outcome: "unknown"
        })
        server.answer(() => s3Error(412, "PreconditionFailed"))
        const error = yield* Effect.flip(storage.put("lock", bytes, { ifNoneMatch: "*" }))
        expect(error).toMatchObject({ reason: "PreconditionFailed", attempts: 1 })
        expect(error.outcome).toBeUndefined()
        expect(server.seen[0]?.headers["if-none-match"]).toBe("*")
      })
    ))

  it.live("by parts has succeeded if the object is there, though its upload is not found any more", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index, request) => {
          if (request.method === "HEAD") return found(17 * mebibyte, "\"whole\"")
          if (operation !== "Complete") return undefined
          if (index > 0) return s3Error(404, "NoSuchUpload")
          s3.open.clear()
          return "reset"
        })
        const stored = yield* storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(17) })
        expect(stored).toMatchObject({ size: 17 * mebibyte, etag: "\"whole\"" })
        expect(s3.operations()).not.toContain("Abort")
      })
    ))

  it.live("by parts has an unknown outcome if the object is not there, and leaves no parts", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, _, request) =>
          request.method === "HEAD" ? missing : operation === "Complete" ? "reset" : undefined)
        expect(
          yield* Effect.flip(storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(17) }))
        ).toMatchObject({ operation: "CompleteMultipartUpload", outcome: "unknown", retryable: false })
        expect(s3.open.size).toBe(0)
      })
    ))
})

describe("an upload that is interrupted", () => {
  it.live("while it is completed is deleted, because nobody knows its key: once the completion is over", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const completing = yield* Deferred.make<void>()
        const s3 = fakeS3(server, (operation) => {
          if (operation !== "Complete") return undefined
          Deferred.unsafeDone(completing, Effect.void)
          const body = "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>"
          return { status: 200, body, delay: 300 }
        })
        const fiber = yield* Effect.fork(storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(17) }))
        yield* Deferred.await(completing)
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeGreaterThan(200)
        expect(s3.operations().slice(-2).sort()).toEqual(["Abort", "Delete"])
      })
    ))

  it.live("while it is stored is deleted afterwards, not before", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const order: Array<string> = []
        server.answer(({ method }) => {
          if (method === "DELETE") order.push("deleted")
          else setTimeout(() => order.push("stored"), 150)
          return { status: 200, headers: { etag: "\"x\"" }, delay: method === "PUT" ? 200 : 0 }
        })
        const fiber = yield* Effect.fork(storage.uploadImage(input))
        yield* Effect.promise(() => server.arrived(1))
        yield* Fiber.interrupt(fiber)
        expect(order).toEqual(["stored", "deleted"])
      })
    ))

  it.live(
    "on a server that does not answer waits a little, and its clean-up goes on",
    () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          server.answer(({ method }) => method === "PUT" ? "stall" : { status: 204 })
          const fiber = yield* Effect.fork(storage.uploadImage(input))
          yield* Effect.promise(() => server.arrived(1))
          const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
          expect(Duration.toMillis(time)).toBeLessThan(3000)
          yield* eventually(Effect.sync(() => expect(methods(server.seen)).toEqual(["PUT", "DELETE"])), "10 seconds")
        })
      ),
    20_000
  )

  it.live("while its source is closed is deleted", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server)
        const closing = yield* Deferred.make<void>()
        const data = Stream.ensuring(
          Stream.succeed(new Uint8Array(3)),
          Effect.zipRight(Deferred.succeed(closing, undefined), Effect.sleep("200 millis"))
        )
        const fiber = yield* Effect.fork(storage.uploadImage({ ...input, data }))
        yield* Deferred.await(closing)
        yield* Fiber.interrupt(fiber)
        expect(methods(server.seen)).toEqual(["PUT", "DELETE"])
      })
    ))

  it.live("under a key of the caller's is not deleted: an older object may be there", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(storage.put("report.pdf", new Uint8Array(3)))
        yield* Effect.promise(() => server.arrived(1))
        yield* Fiber.interrupt(fiber)
        expect(methods(server.seen)).toEqual(["PUT"])
      })
    ))

  it.live("before its last byte was sent needs no clean-up", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          storage.uploadImage({
            ...input,
            data: Stream.concat(
              chunks(1),
              Stream.fromEffect(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
            )
          })
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        expect(server.seen).toEqual([])
      })
    ))
})

describe("a reply that is not S3's", () => {
  const html: Answer = {
    status: 200,
    headers: { "content-type": "text/html" },
    body: "<html><body>Log in</body></html>"
  }

  it.live("is not taken for a stored file", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => html)
        for (const data of [input.data, chunks(20)]) {
          expect(yield* Effect.flip(storage.uploadChatAttachment({ ...input, data }))).toMatchObject({
            reason: "MalformedReply",
            retryable: false
          })
        }
        for (
          const call of [
            storage.head("k"),
            storage.check,
            Stream.runDrain(storage.list()),
            storage.copy("a", "b"),
            Stream.runDrain(storage.read("k", { range: { start: 1 } }))
          ]
        ) {
          const exit = yield* Effect.exit(call as Effect.Effect<unknown, ServiceError>)
          expect(exit).toMatchObject({ cause: { error: { reason: "MalformedReply" } } })
        }
        expect(yield* storage.deleteMany(["a"])).toMatchObject({
          deleted: [],
          failed: [{ key: "a", error: { reason: "MalformedReply", outcome: "unknown" } }]
        })
      })
    ))

  it.live("without the ETag of a part fails the upload, which leaves nothing", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation) => operation === "Part" ? { status: 200 } : undefined)
        expect(
          yield* Effect.flip(storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(20) }))
        ).toMatchObject({ operation: "UploadPart", reason: "MalformedReply" })
        expect(s3.open.size).toBe(0)
        expect(server.seen.map(operationOf)).not.toContain("Complete")
      })
    ))

  it.live("with an empty ETag after a completion is looked up, as Ceph's gateway sends it", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation, _, request) => {
          if (request.method === "HEAD") return found(17 * mebibyte, "\"whole\"")
          return operation === "Complete"
            ? { status: 200, body: "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>" }
            : undefined
        })
        expect(
          yield* storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(17) })
        ).toMatchObject({ etag: "\"whole\"", size: 17 * mebibyte })
      })
    ))
})
