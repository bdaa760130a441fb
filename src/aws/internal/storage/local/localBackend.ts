/** A backend over objects that are kept on this machine. It answers as S3 does, without S3's limits and faults. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { ServiceError } from "../../../../Errors.ts"
import type { Condition, ObjectHead, StorageBackend, Stored, Upload } from "../backend.ts"
import { bytesOnly, emptyBody, wrongSize } from "../input/data.ts"
import type { ObjectInfo, Range } from "../model.ts"
import { pages } from "./pages.ts"
import * as Presigned from "./presigned.ts"
import { notFound, outOfRange, preconditionFailed } from "./refusals.ts"
import type { Draft, Found, Kept, ObjectStore } from "./store.ts"

export const make = (store: ObjectStore, urlOf: (key: string) => string): StorageBackend => {
  const find = (
    operation: string,
    key: string,
    ifMatch?: string
  ): Effect.Effect<Found, ServiceError, Scope.Scope> =>
    Effect.flatMap(store.find(operation, key), (object) =>
      Option.isNone(object)
        ? Effect.fail(notFound(operation))
        : ifMatch !== undefined && object.value.etag !== ifMatch
        ? Effect.fail(preconditionFailed(operation))
        : Effect.succeed(object.value))

  const permitted = (
    operation: string,
    key: string,
    { ifMatch, ifNoneMatch }: Condition
  ): Effect.Effect<void, ServiceError, Scope.Scope> => {
    if (ifMatch !== undefined) return find(operation, key, ifMatch)
    return ifNoneMatch === undefined
      ? Effect.void
      : Effect.flatMap(
        store.find(operation, key),
        (object) => Option.isSome(object) ? Effect.fail(preconditionFailed(operation)) : Effect.void
      )
  }

  /** Failed or interrupted, it leaves what was there before. */
  const write = <E, R>(
    operation: string,
    head: ObjectHead,
    condition: Condition,
    fill: (draft: Draft) => Effect.Effect<Stored, E, R>,
    after: After = { tell: () => Effect.void, undo: Effect.void }
  ): Effect.Effect<Stored, ServiceError | E, R> =>
    Effect.scoped(Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const draft = yield* store.draft(operation)
        const stored = yield* restore(fill(draft))
        const kept = { head, ...stored, lastModified: new Date(yield* Clock.currentTimeMillis) }
        yield* restore(draft.finish(kept))
        yield* store.changing(Effect.zipRight(
          permitted(operation, head.key, condition),
          draft.publish(kept, condition.ifNoneMatch !== undefined)
        ))
        // Here an interruption shows that came in the meantime.
        yield* Effect.onError(restore(after.tell(stored)), () => after.undo)
        return stored
      })
    ))

  const remove = (operation: string, key: string): Effect.Effect<void, ServiceError> =>
    store.changing(store.remove(operation, key))

  return {
    put: (upload) =>
      write(
        "PutObject",
        upload.head,
        upload.condition,
        (draft) => fill(draft, upload),
        {
          tell: ({ size }) => upload.onProgress?.(size) ?? Effect.void,
          undo: upload.ownKey ? Effect.ignore(remove("DeleteObject", upload.head.key)) : Effect.void
        }
      ),

    read: (key, { ifMatch, range }) =>
      Stream.unwrapScoped(
        Effect.flatMap(find("GetObject", key, ifMatch), ({ bytes, size }) => {
          const { end, start } = extent(range, size)
          return start < size ? Effect.succeed(bytes(start, end)) : Effect.fail(outOfRange("GetObject"))
        })
      ),

    head: (key) => Effect.scoped(Effect.map(find("HeadObject", key), told)),

    list: (listing) =>
      Stream.unwrap(
        Effect.map(store.all("ListObjectsV2"), (all) => Stream.fromIterable(pages(listing, all)))
      ),

    copy: ({ from, head, ifMatch, to }) =>
      Effect.scoped(Effect.flatMap(find("CopyObject", from, ifMatch), (original) => {
        const { etag, size } = original
        const copied = head ?? { ...original.head, key: to }
        return Effect.map(
          write(
            "CopyObject",
            copied,
            {},
            (draft) => Effect.as(Stream.runForEach(original.bytes(0, size), draft.append), { etag, size })
          ),
          (stored) => ({ ...stored, contentType: copied.contentType })
        )
      })),

    remove: (key) => remove("DeleteObject", key),

    removeMany: (keys) =>
      Effect.map(
        Effect.partition(keys, (key) =>
          Effect.mapBoth(remove("DeleteObjects", key), {
            onFailure: (error) => ({ key, error }),
            onSuccess: () => key
          })),
        ([failed, deleted]) => ({ deleted, failed })
      ),

    ...Presigned.make(urlOf),

    check: store.check
  }
}

/** What follows once an object is stored. */
interface After {
  readonly tell: (stored: Stored) => Effect.Effect<void>
  /** Where what follows did not come to its end. */
  readonly undo: Effect.Effect<void>
}

/** Appends the body, and says what it came to. */
const fill = <E, R>(
  draft: Draft,
  { body, onProgress, operation }: Upload<E, R>
): Effect.Effect<Stored, ServiceError | E, R> =>
  Effect.suspend(() => {
    const hash = createHash("md5")
    const said = body._tag === "Stream" ? body.size : undefined
    let size = 0
    const append = (chunk: Uint8Array): Effect.Effect<void, ServiceError> => {
      if (chunk.byteLength === 0) return Effect.void
      const before = size
      size += chunk.byteLength
      if (said !== undefined && size > said) return Effect.fail(wrongSize(operation, said, size))
      hash.update(chunk)
      const appended = draft.append(chunk)
      // All bytes are told of once they are stored.
      return onProgress === undefined || before === 0 ? appended : Effect.zipRight(onProgress(before), appended)
    }
    return Effect.flatMap(
      body._tag === "Bytes" ? append(body.bytes) : Stream.runForEach(bytesOnly(operation, body.stream), append),
      () => {
        if (size === 0) return Effect.fail(emptyBody(operation))
        return said === undefined || size === said
          ? Effect.succeed({ etag: `"${hash.digest("hex")}"`, size })
          : Effect.fail(wrongSize(operation, said, size))
      }
    )
  })

/** From `start` up to but without `end`. */
const extent = (range: Range | undefined, size: number): { readonly start: number; readonly end: number } => {
  if (range === undefined) return { start: 0, end: size }
  return "last" in range
    ? { start: Math.max(0, size - range.last), end: size }
    : { start: range.start, end: range.end === undefined ? size : Math.min(range.end + 1, size) }
}

const told = ({ etag, head, lastModified, size }: Kept): ObjectInfo => ({
  key: head.key,
  size,
  etag,
  lastModified,
  storageClass: head.storageClass,
  contentType: head.contentType,
  cacheControl: head.cacheControl,
  contentDisposition: head.contentDisposition,
  // S3 does not tell no metadata from none given.
  metadata: Object.keys(head.metadata ?? {}).length === 0 ? undefined : head.metadata
})
