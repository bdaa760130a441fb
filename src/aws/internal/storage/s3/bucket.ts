/** One bucket and how to reach it: what the parts of the S3 backend share. */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import { ServiceError } from "../../../../Errors.ts"
import * as Call from "../../client/call.ts"
import type { Command } from "../../client/command.ts"
import type { S3Sdk } from "../../client/sdk.ts"
import type { SendOptions, Transport } from "../../client/transport.ts"
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

/** What is known of an upload while it is under way. */
export interface Ledger {
  /** The call that stores its object, once there is one. */
  storing: Call.Call | undefined
  /** Whether anything was sent. */
  begun: boolean
}

/** Sends what S3 answers with nothing but a status. A body is from something else, which has removed nothing. */
export const remove = (
  { transport }: Bucket,
  operation: "DeleteObject" | "AbortMultipartUpload",
  command: Command,
  options?: SendOptions
): Effect.Effect<void, ServiceError> =>
  Effect.suspend(() => {
    const call = Call.make()
    return Effect.flatMap(
      transport.send(operation, command, { ...options, call }),
      () => call.hasBody ? Effect.fail(malformedReply(operation, "with a body, and S3 sends none", true)) : Effect.void
    )
  })

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
