/** An upload as one request. */
import type { PutObjectCommandOutput } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import type { ServiceError } from "../../../../Errors.ts"
import * as Call from "../../client/call.ts"
import type { Condition, ObjectHead, Stored } from "../backend.ts"
import type { Report } from "../progress.ts"
import type { Bucket, Ledger } from "./bucket.ts"
import { confirmed } from "./lookUp.ts"
import { headersOf } from "./requests.ts"

export interface WholeUpload {
  readonly head: ObjectHead
  readonly condition: Condition
  readonly ownKey: boolean
  readonly bytes: Uint8Array
  /** The bytes come from a stream that cannot be read again: no failure is retryable. */
  readonly consumed: boolean
  readonly report: Report | undefined
  readonly ledger: Ledger
}

export const putObject = (bucket: Bucket, upload: WholeUpload): Effect.Effect<Stored, ServiceError> =>
  Effect.suspend(() => {
    const { bytes, condition, consumed, head, ledger, ownKey } = upload
    const call = Call.make({ onSent: upload.report })
    ledger.storing = call
    const command = new bucket.sdk.PutObjectCommand({
      Bucket: bucket.name,
      Key: head.key,
      Body: bytes,
      ...headersOf(head),
      ...conditionOf(condition)
    })
    return confirmed(
      bucket,
      { operation: "PutObject", key: head.key, ownKey, size: bytes.byteLength, call },
      bucket.transport.send<PutObjectCommandOutput>("PutObject", command, { call, consumed, outlives: ownKey })
    )
  })

export const conditionOf = (
  { ifMatch, ifNoneMatch }: Condition
): { readonly IfNoneMatch?: string; readonly IfMatch?: string } => ({
  ...(ifNoneMatch === undefined ? {} : { IfNoneMatch: ifNoneMatch }),
  ...(ifMatch === undefined ? {} : { IfMatch: ifMatch })
})
