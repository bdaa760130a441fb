import * as sdk from "@aws-sdk/client-s3"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { S3 } from "../../../src/aws/Clients.ts"
import * as S3Backend from "../../../src/aws/internal/storage/s3/s3Backend.ts"
import { defaultLimits } from "../../../src/aws/internal/storage/s3/uploadLimits.ts"
import type { Storage, UploadInput } from "../../../src/aws/Storage.ts"
import { fakeS3, type Operation } from "../../support/aws/fakeS3.ts"
import { type Answer, Faults, type FaultServer, s3Error } from "../../support/aws/faultServer.ts"
import { chunks, impatientStorage as impatient, input, mebibyte, withStorage } from "../../support/aws/faultStage.ts"
import { plain } from "../../support/aws/presigning.ts"
import { settings } from "../../support/aws/settings.ts"

describe("an upload by parts", () => {
  const upload = (storage: Storage.Service, more: Partial<UploadInput> = {}) =>
    storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(34), ...more })
  const counted = (operations: ReadonlyArray<Operation>, operation: Operation) =>
    operations.filter((one) => one === operation).length

  it.live("completes with the parts in order, in whatever order they were confirmed, each with its checksum", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) =>
          operation === "Part" && index === 0 ? s3Error(503, "SlowDown") : undefined)
        const stored = yield* upload(storage)
        expect(stored).toMatchObject({ etag: "\"whole\"", size: 34 * mebibyte })
        expect(s3.completed[0]?.body.byteLength).toBe(34 * mebibyte)
        expect(s3.completed[0]?.xml.match(/<PartNumber>\d+/g)).toEqual([1, 2, 3, 4, 5].map((n) =>
          `<PartNumber>${n}`
        ))
        expect(s3.completed[0]?.xml.match(/part-\d+/g)).toEqual([1, 2, 3, 4, 5].map((n) => `part-${n}`))
        expect(counted(s3.operations(), "Part")).toBe(6)
        expect(server.seen[0]?.headers["x-amz-checksum-algorithm"]).toBe("CRC32")
        expect(server.seen[1]?.headers["x-amz-checksum-crc32"]).toBeDefined()
      })
    ))

  it.live("is used for more than 16 MiB of bytes", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server)
        yield* upload(storage, { data: new Uint8Array(16 * mebibyte) })
        expect(s3.operations()).toEqual(["Put"])
        const larger = fakeS3(server)
        yield* upload(storage, { data: new Uint8Array(16 * mebibyte + 1).fill(3) })
        expect(counted(larger.operations(), "Part")).toBe(3)
        expect(larger.completed[0]?.body.equals(Buffer.alloc(16 * mebibyte + 1, 3))).toBe(true)
      })
    ))

  it.live("sends at most four parts at a time, and reads the stream no faster", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation) => operation === "Part" ? "stall" : undefined)
        let read = 0
        const fiber = yield* Effect.fork(
          upload(storage, { data: Stream.tap(chunks(200), () => Effect.sync(() => read++)).pipe(Stream.rechunk(1)) })
        )
        yield* Effect.promise(() => server.arrived(5))
        yield* Effect.sleep("200 millis")
        expect(server.seen).toHaveLength(5)
        expect(read).toBeLessThanOrEqual(32 + 16)
        yield* Fiber.interrupt(fiber)
      })
    ))

  const leavesNothing = (
    server: FaultServer,
    open: ReadonlyMap<string, unknown>,
    operations: ReadonlyArray<Operation>
  ) => {
    expect(open.size).toBe(0)
    // An aborted part may be seen after the abort of the upload: the server reads its sockets in any order.
    expect(operations.filter((operation) => operation !== "Part").at(-1)).toBe("Abort")
    expect(server.seen.filter(({ method }) => method === "DELETE")).toHaveLength(1)
  }

  for (
    const [operation, answer, reason, mebibytes] of [
      ["Part", s3Error(403, "AccessDenied"), "AccessDenied", 50],
      ["Complete", s3Error(400, "InvalidPart"), "InvalidRequest", 17]
    ] as const
  ) {
    it.live(`leaves no parts when ${operation} fails`, () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          const s3 = fakeS3(
            server,
            (one, index) => one === operation && (operation === "Complete" || index === 2) ? answer : undefined
          )
          const error = yield* Effect.flip(upload(storage, { data: chunks(mebibytes) }))
          expect(error).toMatchObject({ reason, retryable: false })
          leavesNothing(server, s3.open, s3.operations())
        })
      ))
  }

  it.live("sends no parts if it cannot begin; only a body in memory is then retryable", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, () => s3Error(503, "SlowDown"))
        const bytes = new Uint8Array(17 * mebibyte)
        expect(yield* Effect.flip(upload(storage, { data: bytes }))).toMatchObject({
          reason: "Throttled",
          operation: "CreateMultipartUpload",
          retryable: true
        })
        expect(yield* Effect.flip(upload(storage))).toMatchObject({ reason: "Throttled", retryable: false })
        expect(s3.operations()).toEqual(["Create", "Create"])
      })
    ))

  it.live("repeats a completion whose reply has status 200 and an error in its body", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) =>
          operation === "Complete" && index === 0
            ? { ...s3Error(200, "InternalError") as object, status: 200 } as Answer
            : undefined)
        expect((yield* upload(storage, { data: chunks(17) })).etag).toBe("\"whole\"")
        expect(counted(s3.operations(), "Complete")).toBe(2)
      })
    ))

  it.live("has an unknown outcome if the reply to its completion is lost", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation) => operation === "Complete" ? "reset" : undefined)
        expect(yield* Effect.flip(upload(storage, { data: chunks(17) }))).toMatchObject({
          reason: "ConnectionLost",
          outcome: "unknown"
        })
      })
    ))

  it.live("keeps its first error, and logs a warning, if the clean-up fails", () =>
    Effect.suspend(() => {
      const logged: Array<unknown> = []
      return impatient((storage, server) =>
        Effect.gen(function*() {
          const s3 = fakeS3(server, (operation, index) =>
            operation === "Abort" || (operation === "Part" && index === 1)
              ? s3Error(403, "AccessDenied", operation)
              : undefined)
          const error = yield* Effect.flip(upload(storage))
          expect(error).toMatchObject({ operation: "UploadPart", reason: "AccessDenied" })
          expect(s3.open.size).toBe(1)
        }).pipe(
          Effect.provide(Logger.replace(
            Logger.defaultLogger,
            Logger.make(({ message }) => void logged.push(message))
          ))
        )
      ).pipe(Effect.tap(Effect.sync(() => expect(String(logged)).toContain("left"))))
    }))

  it.live("leaves no parts when it is interrupted: aborts their requests, then the upload", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) => operation === "Part" && index > 0 ? "stall" : undefined)
        const confirmed = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(upload(storage, { onProgress: () => Deferred.succeed(confirmed, undefined) }))
        yield* Deferred.await(confirmed)
        yield* Effect.promise(() => server.arrived(6))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(1000)
        leavesNothing(server, s3.open, s3.operations())
        expect(server.seen.filter((request) => request.aborted())).toHaveLength(4)
      })
    ))

  it.live("leaves no parts when it is interrupted while it begins", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const interrupt = yield* Deferred.make<void>()
        const s3 = fakeS3(server, (operation) => {
          if (operation === "Create") Deferred.unsafeDone(interrupt, Effect.void)
          return undefined
        })
        const fiber = yield* Effect.fork(upload(storage))
        yield* Deferred.await(interrupt)
        yield* Fiber.interrupt(fiber)
        leavesNothing(server, s3.open, s3.operations())
      })
    ))

  it.live("leaves no parts when it has more of them than S3 accepts", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      const s3 = fakeS3(server)
      const backend = S3Backend.make(yield* S3, sdk, {
        bucket: "clinic-uploads",
        uploadMemory: 64 * mebibyte,
        limits: { ...defaultLimits, partSize: mebibyte, maxParts: 3, singleRequest: mebibyte }
      })
      const put = (count: number) =>
        backend.put({
          operation: "uploadVideo",
          head: plain,
          body: { _tag: "Stream", stream: chunks(count), size: undefined },
          condition: {},
          ownKey: true,
          onProgress: undefined
        })
      // Parts of 1, 4 and 16 MiB.
      expect(yield* put(21)).toMatchObject({ size: 21 * mebibyte })
      expect(yield* Effect.flip(put(22))).toMatchObject({ reason: "PayloadTooLarge", retryable: false, attempts: 1 })
      leavesNothing(server, s3.open, s3.operations())
    }).pipe(
      Effect.provide(
        Layer.unwrapEffect(
          Effect.map(Faults, (server) => Layer.provide(S3.layer, settings(server.endpoint)))
        ).pipe(Layer.provideMerge(Faults.layer))
      )
    ))

  for (
    const [name, answers] of [
      ["fails in the end", () => "reset"],
      ["is begun again", (index: number) => index === 0 ? "reset" : undefined]
    ] as const satisfies ReadonlyArray<readonly [string, (index: number) => Answer | undefined]>
  ) {
    it.live(`logs its key if the reply to its beginning is lost, and it ${name}`, () =>
      Effect.suspend(() => {
        const logged: Array<unknown> = []
        return withStorage((storage, server) =>
          Effect.gen(function*() {
            fakeS3(server, (operation, index) => operation === "Create" ? answers(index) : undefined)
            yield* Effect.exit(upload(storage))
          }).pipe(
            Effect.provide(Logger.replace(
              Logger.defaultLogger,
              Logger.make(({ annotations, message }) => void logged.push(message, ...annotations))
            ))
          )
        ).pipe(Effect.tap(Effect.sync(() => expect(String(logged)).toContain("key,1/assets/chat/"))))
      }))
  }

  it.live("succeeds if a part's reply is lost: the part is sent again", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) => operation === "Part" && index === 1 ? "reset" : undefined)
        expect((yield* upload(storage)).size).toBe(34 * mebibyte)
        expect(s3.completed[0]?.body.byteLength).toBe(34 * mebibyte)
      })
    ))

  it.live("keeps its error if the reply to its abort is lost, and the abort is sent again", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) => {
          if (operation === "Part" && index === 2) return s3Error(403, "AccessDenied")
          return operation === "Abort" && index === 0 ? "reset" : undefined
        })
        expect(yield* Effect.flip(upload(storage))).toMatchObject({ operation: "UploadPart", reason: "AccessDenied" })
        expect(s3.open.size).toBe(0)
      })
    ))

  it.live("leaves no parts when its stream fails or dies", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        for (const end of [Stream.die("bug"), Stream.fail("gone")]) {
          const s3 = fakeS3(server)
          yield* Effect.exit(upload(storage, { data: Stream.concat(chunks(30), end) } as Partial<UploadInput>))
          leavesNothing(server, s3.open, s3.operations())
        }
      })
    ))
})
