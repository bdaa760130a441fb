/**
 * Removes what a failed or interrupted upload has left. It is sent even while the client closes. Its caller waits for
 * PATIENCE; then it goes on by itself for a limited time. A failure is only logged: that of the upload is the one to
 * report.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ServiceError } from "../../../../Errors.ts"
import type { Call } from "../../client/call.ts"
import { CLEAN_UP, PATIENCE } from "../../deadlines.ts"
import { type Bucket, remove } from "./bucket.ts"

/** The object that an upload may have stored under a key that nobody knows. */
export const removeObject = (bucket: Bucket, key: string, storing: Call): Effect.Effect<void> =>
  cleanUp(
    bucket,
    Effect.zipRight(
      over(storing),
      remove(
        bucket,
        "DeleteObject",
        new bucket.sdk.DeleteObjectCommand({ Bucket: bucket.name, Key: key }),
        { cleanUp: true }
      )
    ),
    "A file of an upload that did not succeed may be left in the bucket; remove it by hand",
    { bucket: bucket.name, key }
  )

/** The parts of an upload. `completing`: the call that makes an object of them, if it was sent. */
export const abortUpload = (
  bucket: Bucket,
  key: string,
  uploadId: string,
  completing?: Call
): Effect.Effect<void> =>
  cleanUp(
    bucket,
    Effect.catchIf(
      Effect.zipRight(
        completing === undefined ? Effect.void : over(completing),
        remove(
          bucket,
          "AbortMultipartUpload",
          new bucket.sdk.AbortMultipartUploadCommand({ Bucket: bucket.name, Key: key, UploadId: uploadId }),
          { cleanUp: true }
        )
      ),
      // There is no such upload.
      ({ reason }) => reason === "ObjectNotFound",
      () => Effect.void
    ),
    "Parts of a failed upload are left in the bucket; remove them by hand or by a lifecycle rule",
    { bucket: bucket.name, key, uploadId }
  )

const cleanUp = (
  { transport }: Bucket,
  work: Effect.Effect<unknown, ServiceError>,
  left: string,
  where: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  transport.job("cleanUp", Effect.interruptible(work), true).pipe(
    Effect.timeoutFail({ duration: CLEAN_UP, onTimeout: () => `no reply within ${CLEAN_UP / 1000} seconds` }),
    Effect.catchAllCause((cause) => Effect.annotateLogs(Effect.logWarning(left, cause), where)),
    Effect.forkDaemon,
    Effect.flatMap((fiber) => Effect.timeoutOption(Effect.interruptible(Fiber.join(fiber)), PATIENCE)),
    Effect.asVoid
  )

/**
 * Waits until a call is over. One that was delivered is not ended: what it does would come after the clean-up. After half
 * of the time it is.
 */
const over = (call: Call): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (call.over) return resume(Effect.void)
    const wake = (): void => resume(Effect.void)
    call.onOver.add(wake)
    return Effect.sync(() => void call.onOver.delete(wake))
  }).pipe(
    Effect.timeoutOption(CLEAN_UP / 2),
    Effect.zipRight(Effect.sync(() => call.end()))
  )
