import * as sdk from "@aws-sdk/client-s3"
import { S3Client } from "@aws-sdk/client-s3"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { S3 } from "../../src/aws/Clients.ts"
import * as S3Store from "../../src/aws/internal/storage/s3Backend.ts"
import { Storage, type UploadInput } from "../../src/aws/Storage.ts"
import { fakeS3, type Operation } from "../support/aws/fakeS3.ts"
import { type Answer, Faults, type FaultServer, s3Error } from "../support/aws/faultServer.ts"
import { settings } from "../support/aws/fauxqs.ts"

const mebibyte = 1024 * 1024
const input: UploadInput = { data: new Uint8Array([1, 2, 3]), customerId: 1, fileExtension: "png" }
const chunks = (count: number) => Stream.repeatValue(new Uint8Array(mebibyte).fill(7)).pipe(Stream.take(count))

/** Storage as it is set up in production, on the fault server. */
const withStorage = <A, E>(
  run: (storage: Storage.Service, server: FaultServer) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const server = yield* Faults
    return yield* Effect.gen(function*() {
      return yield* run(yield* Storage, server)
    }).pipe(Effect.provide(Layer.provide(Storage.layer, settings(server.endpoint))), Effect.orDie)
  }).pipe(Effect.provide(Faults.layer)) as Effect.Effect<A, E>

/** The same with a client that makes one attempt and loses patience soon. */
const impatient = <A, E>(
  run: (storage: Storage.Service, server: FaultServer) => Effect.Effect<A, E>,
  maxSockets = 50
): Effect.Effect<A, E> =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Faults
    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new S3Client({
          region: "eu-west-1",
          endpoint: server.endpoint,
          forcePathStyle: true,
          credentials: { accessKeyId: "id", secretAccessKey: "secret" },
          maxAttempts: 1,
          requestHandler: { connectionTimeout: 300, socketTimeout: 600, httpAgent: { maxSockets } }
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    )
    return yield* Effect.flatMap(Storage.make({ bucket: "clinic-uploads" }), (storage) => run(storage, server)).pipe(
      Effect.provide(S3.fromClient(client))
    )
  })).pipe(Effect.provide(Faults.layer)) as Effect.Effect<A, E>

describe("one request", () => {
  const cases: ReadonlyArray<readonly [string, Answer, object]> = [
    ["a refusal", s3Error(403, "AccessDenied", "no"), { reason: "AccessDenied", retryable: false, status: 403 }],
    ["bad keys", s3Error(403, "InvalidAccessKeyId"), { reason: "InvalidCredentials", retryable: false }],
    ["no bucket", s3Error(404, "NoSuchBucket"), { reason: "ResourceNotFound", retryable: false }],
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
    it.live(`meets ${name}`, () =>
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

  it.live("is tried three times, and then says so", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "reset")
        expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({ reason: "ConnectionLost", attempts: 3 })
        expect(server.seen).toHaveLength(3)
      })
    ))

  it.live("of a stream is tried again as well", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer((_, index) => index < 2 ? { status: 500 } : { status: 200, headers: { etag: "\"x\"" } })
        const stored = yield* storage.uploadImage({ ...input, data: chunks(2) })
        expect(stored).toMatchObject({ etag: "\"x\"", size: 2 * mebibyte })
        expect(server.seen.map(({ body }) => body.byteLength)).toEqual([2, 2, 2].map((n) => n * mebibyte))
      })
    ))

  it.live("sends key, type and headers as they were given, with a checksum, and never waits for a 100", () =>
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

  it.live("cannot get a connection in time", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const first = yield* Effect.fork(Effect.flip(storage.uploadImage(input)))
        yield* Effect.promise(() => server.arrived(1))
        expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({
          reason: "ConnectTimeout",
          retryable: true
        })
        yield* Fiber.join(first)
      }), 1))

  it.live("reaches nobody", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({
        reason: "Unreachable",
        retryable: true,
        attempts: 3
      })
    }).pipe(Effect.provide(Layer.provide(Storage.layer, settings("http://127.0.0.1:1")))))

  it.live("is aborted on interruption, at once", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "stall")
        const fiber = yield* Effect.fork(storage.uploadImage({ ...input, data: new Uint8Array(8 * mebibyte) }))
        yield* Effect.promise(() => server.arrived(1))
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect(Duration.toMillis(time)).toBeLessThan(1000)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        expect(server.seen).toHaveLength(1)
        expect(server.seen[0]?.aborted()).toBe(true)
      })
    ))
})

describe("an upload by parts", () => {
  const upload = (storage: Storage.Service, more: Partial<UploadInput> = {}) =>
    storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(50), ...more })
  const counted = (operations: ReadonlyArray<Operation>, operation: Operation) =>
    operations.filter((one) => one === operation).length

  it.live("completes with the parts in order, whatever order they were confirmed in, each with its checksum", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) =>
          operation === "Part" && index === 0 ? s3Error(503, "SlowDown") : undefined)
        const stored = yield* upload(storage)
        expect(stored).toMatchObject({ etag: "\"whole\"", size: 50 * mebibyte })
        expect(s3.completed[0]?.body.byteLength).toBe(50 * mebibyte)
        expect(s3.completed[0]?.xml.match(/<PartNumber>\d+/g)).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) =>
          `<PartNumber>${n}`
        ))
        expect(s3.completed[0]?.xml.match(/part-\d+/g)).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) =>
          `part-${n}`
        ))
        expect(counted(s3.operations(), "Part")).toBe(8)
        expect(server.seen[0]?.headers["x-amz-checksum-algorithm"]).toBe("CRC32")
        expect(server.seen[1]?.headers["x-amz-checksum-crc32"]).toBeDefined()
      })
    ))

  it.live("is what bytes of more than 16 MiB become", () =>
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

  it.live("has at most four parts under way, and reads the stream no faster", () =>
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
    // What an aborted part had sent by then may be seen after it: the server reads its sockets in any order.
    expect(operations.filter((operation) => operation !== "Part").at(-1)).toBe("Abort")
    expect(server.seen.filter(({ method }) => method === "DELETE")).toHaveLength(1)
  }

  for (
    const [operation, answer, reason] of [
      ["Part", s3Error(403, "AccessDenied"), "AccessDenied"],
      ["Complete", s3Error(400, "InvalidPart"), "InvalidRequest"]
    ] as const
  ) {
    it.live(`takes everything back when ${operation} fails`, () =>
      withStorage((storage, server) =>
        Effect.gen(function*() {
          const s3 = fakeS3(server, (one, index) =>
            one === operation && (operation === "Complete" || index === 2) ? answer : undefined)
          const error = yield* Effect.flip(upload(storage))
          expect(error).toMatchObject({ reason, retryable: false })
          leavesNothing(server, s3.open, s3.operations())
        })
      ))
  }

  it.live("does not begin where the beginning fails, and bytes may then be sent again", () =>
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

  it.live("takes a completion that says 200 and means an error for what it is, and tries it again", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const s3 = fakeS3(server, (operation, index) =>
          operation === "Complete" && index === 0
            ? { ...s3Error(200, "InternalError") as object, status: 200 } as Answer
            : undefined)
        expect((yield* upload(storage)).etag).toBe("\"whole\"")
        expect(counted(s3.operations(), "Complete")).toBe(2)
      })
    ))

  it.live("says that it may be there when the reply to its completion was lost", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation) => operation === "Complete" ? "reset" : undefined)
        expect(yield* Effect.flip(upload(storage))).toMatchObject({ reason: "ConnectionLost", outcome: "unknown" })
      })
    ))

  it.live("keeps its first error, and logs, when taking it back fails", () =>
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

  it.live("is taken back when it is interrupted, its parts first", () =>
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

  it.live("is taken back when it is interrupted while the reply to its beginning is on its way", () =>
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

  it.live("is taken back when it has more parts than S3 accepts", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      const s3 = fakeS3(server)
      const store = S3Store.make(yield* S3, sdk, "clinic-uploads", {
        partSize: mebibyte,
        maxParts: 3,
        singleRequest: mebibyte
      })
      const head = {
        key: "k",
        contentType: "video/mp4",
        cacheControl: undefined,
        contentDisposition: undefined,
        metadata: undefined
      }
      const put = (count: number) =>
        store.put({ operation: "uploadVideo", head, data: chunks(count), onProgress: () => Effect.void })
      expect(yield* put(3)).toMatchObject({ size: 3 * mebibyte })
      expect(yield* Effect.flip(put(4))).toMatchObject({ reason: "PayloadTooLarge", retryable: false, attempts: 0 })
      leavesNothing(server, s3.open, s3.operations())
    }).pipe(
      Effect.provide(
        Layer.unwrapEffect(
          Effect.map(Faults, (server) => Layer.provide(S3.layer, settings(server.endpoint)))
        ).pipe(Layer.provideMerge(Faults.layer))
      )
    ))

  it.live("is taken back when its stream dies or fails", () =>
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

describe("read", () => {
  it.live("loses its connection in the middle", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => "truncate")
        expect(yield* Effect.flip(Stream.runDrain(storage.read("k")))).toMatchObject({
          reason: "ConnectionLost",
          operation: "GetObject",
          retryable: true
        })
      })
    ))

  it.live("notices bytes that are not those that were stored", () =>
    impatient((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({ status: 200, body: "other", headers: { "x-amz-checksum-crc32": "AAAAAA==" } }))
        expect(yield* Effect.flip(Stream.runDrain(storage.read("k")))).toMatchObject({ reason: "Checksum" })
      })
    ))

  it.live("lets go of the connection when it is left early or interrupted", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => ({ status: 200, body: Buffer.alloc(20 * mebibyte) }))
        const head = yield* Stream.runHead(storage.read("k"))
        expect(head._tag).toBe("Some")
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
        const reading = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          Stream.runForEach(
            storage.read("k"),
            () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never)
          )
        )
        yield* Deferred.await(reading)
        yield* Fiber.interrupt(fiber)
        while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")
      })
    ))
})
