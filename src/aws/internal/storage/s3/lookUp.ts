/** Asks S3 what became of an upload whose reply was lost, under a key that was made for it. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ServiceError } from "../../../../Errors.ts"
import { LOOK_UP } from "../../deadlines.ts"
import type { Stored } from "../backend.ts"
import { type Bucket, withOutcome } from "./bucket.ts"

interface Lost {
  /** Nothing but this upload can have stored something there. */
  readonly key: string
  readonly size: number
  readonly error: ServiceError
  /** Whether an attempt was left without a reply: the server may still be at work. */
  readonly doubtful: boolean
}

/** What is stored, if it is what was sent; else the error. Its outcome is known if nothing is there, and all have answered. */
export const lookUp = (
  { name, sdk, transport }: Bucket,
  { doubtful, error, key, size }: Lost
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
      if (Option.isNone(found)) return Effect.fail(doubtful ? error : withOutcome(error, undefined))
      const { ContentLength, ETag } = found.value
      return ContentLength === size && ETag ? Effect.succeed({ etag: ETag, size }) : Effect.fail(error)
    })
  )
