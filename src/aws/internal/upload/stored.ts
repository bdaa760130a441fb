/** The objects that a request has stored, until it is clear whether they stay. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CLEAN_UP, PATIENCE } from "../deadlines.ts"
import type { StoredObject } from "../storage/model.ts"
import type { StorageService } from "../storage/service.ts"

export interface Stored {
  readonly add: (object: StoredObject) => Effect.Effect<void>
  readonly keep: Effect.Effect<void>
  /** Deletes what was added, unless it is kept. It is waited for PATIENCE; then it goes on by itself, until CLEAN_UP. */
  readonly discard: Effect.Effect<void>
}

export const make = (storage: StorageService): Stored => {
  let keys: ReadonlyArray<string> = []
  return {
    add: ({ bucket, key }) => {
      if (bucket !== storage.bucket) {
        return Effect.dieMessage(
          "HttpUpload.receive removes from the Storage in its context what must not stay, and a file was stored in "
            + "another bucket; provide the Storage of that bucket"
        )
      }
      keys = [...keys, key]
      return Effect.void
    },
    keep: Effect.sync(() => void (keys = [])),
    discard: Effect.suspend(() => {
      const left = keys
      keys = []
      return left.length === 0 ? Effect.void : remove(storage, left)
    })
  }
}

const remove = (storage: StorageService, keys: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.interruptible(storage.deleteMany(keys)).pipe(
    Effect.timeoutFail({ duration: CLEAN_UP, onTimeout: () => `no reply within ${CLEAN_UP / 1000} seconds` }),
    Effect.flatMap(({ failed }) =>
      failed.length === 0
        ? Effect.void
        : Effect.annotateLogs(Effect.logWarning(LEFT, ...failed.map(({ error }) => error)), {
          bucket: storage.bucket,
          keys: failed.map(({ key }) => key)
        })
    ),
    Effect.catchAllCause((cause) =>
      Effect.annotateLogs(Effect.logWarning(LEFT, cause), { bucket: storage.bucket, keys })
    ),
    Effect.forkDaemon,
    Effect.flatMap((fiber) => Effect.timeoutOption(Effect.interruptible(Fiber.join(fiber)), PATIENCE)),
    Effect.asVoid
  )

const LEFT = "Files of a request that did not succeed may be left in the bucket; remove them by hand"
