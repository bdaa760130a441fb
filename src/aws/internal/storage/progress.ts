/** Tells a caller how far an upload is. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { PATIENCE } from "../deadlines.ts"
import type { StoredObject } from "./model.ts"

/** Told how many bytes were sent so far. */
export type Report = (bytes: number) => void

/**
 * Runs an upload that reports. `onProgress` runs one at a time, with numbers that never decrease; numbers that come while
 * it runs are left out, but for the last. It is told of the whole size once the upload has succeeded. A call that is
 * running when the upload ends is interrupted. The upload waits neither for the end of that, nor longer than PATIENCE for
 * the last call.
 */
export const reporting = <A extends { readonly size: number }, E, R>(
  onProgress: ((bytes: number) => Effect.Effect<void>) | undefined,
  upload: (report: Report | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (onProgress === undefined) return upload(undefined)
  return Effect.suspend(() => {
    let sent = 0
    let told = 0
    let wake: (() => void) | undefined
    const report: Report = (bytes) => {
      // An attempt that is repeated begins anew.
      if (bytes <= sent) return
      sent = bytes
      wake?.()
    }
    const one = Effect.unsafeMakeSemaphore(1)
    const tell = (bytes: number): Effect.Effect<void> => one.withPermits(1)(Effect.suspend(() => onProgress(bytes)))
    const news = Effect.async<void>((resume) => {
      if (sent > told) return resume(Effect.void)
      wake = () => resume(Effect.void)
      return Effect.sync(() => void (wake = undefined))
    })
    const telling = Effect.forever(
      Effect.zipRight(
        news,
        Effect.suspend(() => {
          wake = undefined
          told = sent
          return tell(told)
        })
      )
    )
    return Effect.tap(
      Effect.raceFirst(upload(report), Effect.disconnect(telling)),
      ({ size }) => Effect.timeoutOption(Effect.disconnect(tell(size)), PATIENCE)
    )
  })
}

/** How far an upload is, and what is stored at its end. */
export type UploadProgress =
  | { readonly _tag: "Progress"; readonly bytes: number }
  | { readonly _tag: "Stored"; readonly object: StoredObject }

/** The upload runs while the stream is read. Only its latest number waits for the reader. */
export const streamed = <E, R>(
  upload: (onProgress: (bytes: number) => Effect.Effect<void>) => Effect.Effect<StoredObject, E, R>
): Stream.Stream<UploadProgress, E, R> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const numbers = yield* Queue.sliding<number>(1)
    const fiber = yield* Effect.forkScoped(
      Effect.ensuring(upload((bytes) => Effect.asVoid(Queue.offer(numbers, bytes))), Queue.shutdown(numbers))
    )
    return Stream.concat(
      Stream.map(Stream.fromQueue(numbers), (bytes): UploadProgress => ({ _tag: "Progress", bytes })),
      Stream.map(Stream.fromEffect(Fiber.join(fiber)), (object): UploadProgress => ({ _tag: "Stored", object }))
    )
  }))
