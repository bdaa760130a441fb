/** One bucket and how to reach it: what the parts of the S3 backend share. */
import type { S3Client } from "@aws-sdk/client-s3"
import { ServiceError } from "../../../../Errors.ts"
import type { Call } from "../../client/call.ts"
import type { S3Sdk } from "../../client/sdk.ts"
import type { Transport } from "../../client/transport.ts"
import type { Limits } from "./uploadLimits.ts"
import type { UploadMemory } from "./uploadMemory.ts"

export interface Bucket {
  readonly name: string
  readonly client: S3Client
  readonly sdk: S3Sdk
  readonly transport: Transport
  readonly limits: Limits
  readonly memory: UploadMemory
}

/** The call that stores the object of an upload, once there is one. */
export interface Ledger {
  storing: Call | undefined
}

/** A reply without what every S3 server sends: whatever has answered, nothing may be believed of it. */
export const malformedReply = (operation: string, detail: string, delivery: boolean): ServiceError =>
  new ServiceError({
    service: "S3",
    operation,
    reason: "MalformedReply",
    retryable: false,
    attempts: 1,
    detail,
    hint: "check that AWS_ENDPOINT_URL_S3 names a server that speaks S3",
    ...(delivery ? { outcome: "unknown" as const } : {})
  })

/** The same error, now that it is known whether the work was done. */
export const withOutcome = (error: ServiceError, outcome: "unknown" | undefined): ServiceError => {
  const { outcome: _, ...fields } = error
  return new ServiceError({ ...fields, ...(outcome === undefined ? {} : { outcome }) })
}
