/** Asks S3 what became of an upload whose reply was lost, under a key that was made for it. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ServiceError } from "../../../../Errors.ts"
import type { Call } from "../../client/call.ts"
import { LOOK_UP } from "../../deadlines.ts"
import type { Stored } from "../backend.ts"
import { type Bucket, malformedReply, withOutcome } from "./bucket.ts"

/** An upload, and the call that stores its object. */
interface Storing {
  readonly operation: string
  readonly key: string
  /** Nothing but this upload can have stored something there. */
  readonly ownKey: boolean
  readonly size: number
  readonly call: Call
}

/** What the call has stored: by its reply, or by what S3 has under the key if that was lost. */
export const confirmed = (
  bucket: Bucket,
  storing: Storing,
  reply: Effect.Effect<{ readonly ETag?: string | undefined }, ServiceError>
): Effect.Effect<Stored, ServiceError> =>
  reply.pipe(
    // Ceph's gateway may answer to a completion with an empty ETag.
    Effect.flatMap(({ ETag }) =>
      ETag
        ? Effect.succeed({ etag: ETag, size: storing.size })
        : Effect.fail(malformedReply(storing.operation, "without an ETag", true))
    ),
    Effect.catchAll((error) =>
      // Other bytes may have the same size.
      storing.ownKey && error.outcome === "unknown" && error.reason !== "Checksum"
        ? lookUp(bucket, storing, error)
        : Effect.fail(error)
    )
  )

/**
 * What is stored, if it is what was sent; else the error. Its outcome is known if nothing is there and every attempt was
 * answered: else the server may still be at work.
 */
const lookUp = (
  { name, sdk, transport }: Bucket,
  { call, key, size }: Storing,
  error: ServiceError
): Effect.Effect<Stored, ServiceError> =>
  transport.send<HeadObjectCommandOutput>(
    "HeadObject",
    new sdk.HeadObjectCommand({ Bucket: name, Key: key })
  ).pipe(
    Effect.asSome,
    Effect.catchIf(({ reason }) => reason === "ObjectNotFound", () => Effect.succeedNone),
    Effect.timeoutFail({ duration: LOOK_UP, onTimeout: () => error }),
    Effect.mapError(() => error),
    Effect.flatMap((found) => {
      if (Option.isNone(found)) return Effect.fail(call.doubtful ? error : withOutcome(error, undefined))
      const { ContentLength, ETag } = found.value
      return ContentLength === size && ETag ? Effect.succeed({ etag: ETag, size }) : Effect.fail(error)
    })
  )
