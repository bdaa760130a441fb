import { expect, it } from "@effect/vitest"
import { Cause, Chunk, Effect, Exit, Layer, Stream } from "effect"
import { Storage } from "../../src/aws/Storage.ts"
import { Testing } from "../../src/testing/index.ts"

const { StorageFault } = Testing

const withFaults =
  (...plan: ReadonlyArray<Testing.StorageFault.StorageFault>) => <A, E>(test: Effect.Effect<A, E, Storage>) =>
    Effect.provide(test, Layer.provideMerge(Testing.faults(Storage, plan), Storage.layerMemory))

const upload = Effect.flatMap(
  Storage,
  (storage) => storage.uploadImage({ data: new Uint8Array([1, 2, 3]), customerId: 7, fileExtension: "png" })
)

it.effect("a throttled upload can be repeated, and the third call passes", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(upload)
    expect(error).toMatchObject({
      service: "S3",
      operation: "PutObject",
      reason: "Throttled",
      retryable: true,
      attempts: 3,
      status: 503
    })
    expect(error.outcome).toBeUndefined()
    yield* Effect.flip(upload)
    const { key } = yield* upload
    expect(yield* Storage.objects).toMatchObject([{ key }])
  }).pipe(withFaults(StorageFault.throttled({ method: "upload", times: 2 }))))

it.effect("after a timeout nobody knows what is stored", () =>
  Effect.gen(function*() {
    const stored = yield* Effect.flip(upload)
    expect(stored).toMatchObject({ reason: "ReadTimeout", outcome: "unknown" })
    expect(yield* Storage.objects).toHaveLength(1)
    const lost = yield* Effect.flip(upload)
    expect({ ...lost, cause: undefined }).toEqual({ ...stored, cause: undefined })
    expect(yield* Storage.objects).toHaveLength(1)
  }).pipe(withFaults(StorageFault.timeout(), StorageFault.timeout({ carriedOut: false }))))

it.effect("the data of a stream is gone, so such an upload is not repeated", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const data = Stream.make(new Uint8Array([1]))
    const error = yield* Effect.flip(storage.uploadImage({ data, customerId: 7, fileExtension: "png" }))
    expect(error).toMatchObject({ reason: "Throttled", retryable: false })
  }).pipe(withFaults(StorageFault.throttled())))

it.effect("a download breaks off after the bytes that were asked for", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { key } = yield* upload
    const chunks: Array<number> = []
    const error = yield* Effect.flip(
      Stream.runForEach(storage.read(key), (chunk) => Effect.sync(() => void chunks.push(...chunk)))
    )
    expect(chunks).toEqual([1, 2])
    expect(error).toMatchObject({ operation: "GetObject", reason: "ConnectionLost", retryable: true })
    expect(Chunk.toReadonlyArray(yield* Stream.runCollect(storage.read(key)))).toEqual([new Uint8Array([1, 2, 3])])
  }).pipe(withFaults(StorageFault.breaksAfter(2))))

it.effect("an object is not found, and does not exist", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { key } = yield* upload
    expect(yield* storage.exists(key)).toBe(false)
    expect(yield* Effect.flip(storage.readBytes(key))).toMatchObject({ reason: "ObjectNotFound", status: 404 })
    expect(yield* storage.exists(key)).toBe(true)
  }).pipe(withFaults(StorageFault.notFound({ method: "head" }), StorageFault.notFound({ method: "read" }))))

it.effect("the call is chosen by method and number", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { key } = yield* upload
    yield* storage.head(key)
    expect(yield* Effect.flip(storage.head(key))).toMatchObject({ operation: "HeadObject", reason: "AccessDenied" })
    yield* storage.delete(key)
  }).pipe(withFaults(StorageFault.accessDenied({ method: "head", call: 2 }))))

it.effect("an answer that is lost does not say that there is no object", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    expect(yield* Effect.flip(storage.head("none"))).toMatchObject({ reason: "ConnectionLost" })
    expect(yield* Effect.flip(storage.head("none"))).toMatchObject({ reason: "ObjectNotFound" })
  }).pipe(withFaults(StorageFault.connectionLost())))

it.effect("HEAD is answered by a status alone", () =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const fields = { operation: "HeadObject", retryable: true, status: 503, attempts: 3 }
    expect(yield* Effect.flip(storage.head("none"))).toMatchObject({ ...fields, reason: "Unavailable" })
    expect(yield* Effect.flip(storage.head("none"))).toMatchObject({
      reason: "AccessDenied",
      hint: expect.stringContaining("a wrong region")
    })
  }).pipe(withFaults(StorageFault.throttled(), StorageFault.accessDenied())))

it.effect("a fault that has not happened fails the test, and does not hide why it failed", () =>
  Effect.gen(function*() {
    const unmet = yield* Effect.exit(withFaults(StorageFault.notFound())(upload))
    expect(String(Exit.causeOption(unmet).pipe((cause) => cause))).toContain(
      "Testing.faults(Storage): notFound did not happen in 0 calls"
    )
    const once = yield* Effect.exit(withFaults(StorageFault.throttled({ times: 2 }))(Effect.flip(upload)))
    expect(String(Exit.causeOption(once))).toContain("throttled happened only 1 of 2 times")
    const failed = yield* Effect.exit(withFaults(StorageFault.notFound())(Effect.fail("why")))
    expect(failed).toEqual(Exit.failCause(Cause.fail("why")))
  }))

it.effect("a plan that cannot be meant is refused", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(
      withFaults(StorageFault.throttled({ call: 0, times: 1.5 }), StorageFault.notFound({ method: "upload" }))(upload)
    )
    expect(error.message).toBe(
      "Testing is not configured correctly (InvalidSettings): plan[0] (throttled): call must be a whole number from 1;"
        + " plan[0] (throttled): times must be a whole number from 1, or Infinity;"
        + " plan[1] (notFound): method must be one of read, head, copy, which it can happen to"
    )
  }))
