/** A storage that fails by a plan, as S3 or the network would have it fail. */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { toServiceError } from "../../../aws/internal/errors/classify.ts"
import type { StorageBackend } from "../../../aws/internal/storage/backend.ts"
import * as Service from "../../../aws/internal/storage/service.ts"
import { Storage } from "../../../aws/Storage.ts"
import { type ConfigurationError, ServiceError } from "../../../Errors.ts"
import type { Cause } from "./causes.ts"
import * as Plans from "./plan.ts"

/**
 * What a fault can happen to: `upload` is every method that stores bytes, `read` also `readBytes`, `head` also `exists`,
 * `list` also `listPages`.
 */
export type StorageMethod = "upload" | "read" | "head" | "list" | "copy" | "delete" | "deleteMany" | "check"

/** Made by the functions of `Testing.StorageFault`. */
export type StorageFault = Plans.Planned<StorageMethod, StorageAct>

export type StorageAct =
  /** It fails with what this cause means; with `carriedOut` S3 has done the work before. */
  | { readonly _tag: "Fails"; readonly cause: (method: StorageMethod) => Cause; readonly carriedOut: boolean }
  /** A download breaks off after so many bytes. */
  | { readonly _tag: "Breaks"; readonly cause: Cause; readonly after: number }

/** S3's requests. */
const requests: Readonly<Record<StorageMethod, string>> = {
  upload: "PutObject",
  read: "GetObject",
  head: "HeadObject",
  list: "ListObjectsV2",
  copy: "CopyObject",
  delete: "DeleteObject",
  deleteMany: "DeleteObjects",
  check: "HeadBucket"
}

/**
 * The storage in the context, failing by a plan: what callers get is the error that production gives for the same answer
 * of S3. Arguments are checked before. When the layer is closed after a success and a fault has not happened, it dies (a
 * defect).
 */
export const layer = (
  plan: ReadonlyArray<StorageFault>
): Layer.Layer<Storage, ConfigurationError, Storage> =>
  Plans.layer(Storage, plan, (storage, plan) => {
    const { backend, ...names } = storage[Service.internals]
    // What `Storage.objects` shows is kept.
    return { ...storage, ...Service.make(faulty(backend, plan), names) }
  })

const isOfService = <E>(error: E): error is E & ServiceError => error instanceof ServiceError

const faulty = (backend: StorageBackend, plan: Plans.Plan<StorageMethod, StorageAct>): StorageBackend => {
  const errorOf = (method: StorageMethod, cause: Cause, consumed = false): ServiceError =>
    // Each attempt that failed was answered, or its cause says what is not known.
    toServiceError("S3", requests[method], cause, { consumed, doubtful: false })

  const failing = <A, E, R>(
    method: StorageMethod,
    work: Effect.Effect<A, E, R>,
    consumed = false
  ): Effect.Effect<A, E | ServiceError, R> =>
    Effect.suspend((): Effect.Effect<A, E | ServiceError, R> => {
      const act = plan.meet(method)
      if (act === undefined || act._tag === "Breaks") return work
      const failure = Effect.fail(errorOf(method, act.cause(method), consumed))
      // An answer that is lost says nothing, whatever it would have said.
      return act.carriedOut
        ? Effect.zipRight(
          Effect.catchIf<A, E, R, E & ServiceError, void, never, never>(work, isOfService, () => Effect.void),
          failure
        )
        : failure
    })

  return {
    ...backend,
    put: (upload) => failing("upload", backend.put(upload), upload.body._tag === "Stream"),
    read: (key, options) =>
      Stream.suspend(() => {
        const act = plan.meet("read")
        const bytes = backend.read(key, options)
        if (act === undefined) return bytes
        return act._tag === "Fails"
          ? Stream.fail(errorOf("read", act.cause("read")))
          : breaking(bytes, act.after, errorOf("read", act.cause))
      }),
    head: (key) => failing("head", backend.head(key)),
    list: (listing) => Stream.unwrap(failing("list", Effect.sync(() => backend.list(listing)))),
    copy: (copy) => failing("copy", backend.copy(copy)),
    remove: (key) => failing("delete", backend.remove(key)),
    removeMany: (keys) => failing("deleteMany", backend.removeMany(keys)),
    check: failing("check", backend.check)
  }
}

/** So many bytes, and then the error; the error also where there are fewer. */
const breaking = (
  bytes: Stream.Stream<Uint8Array, ServiceError>,
  after: number,
  error: ServiceError
): Stream.Stream<Uint8Array, ServiceError> =>
  Stream.concat(
    Stream.filter(
      Stream.takeUntil(
        Stream.mapAccum(bytes, 0, (read, chunk) => {
          const taken = chunk.subarray(0, Math.max(after - read, 0))
          return [read + chunk.byteLength, { taken, last: read + chunk.byteLength >= after }] as const
        }),
        ({ last }) => last
      ).pipe(Stream.map(({ taken }) => taken)),
      (taken) => taken.byteLength > 0
    ),
    Stream.fail(error)
  )
