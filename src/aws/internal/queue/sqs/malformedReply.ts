/** A reply that SQS would not have given. */
import * as Predicate from "effect/Predicate"
import { ServiceError } from "../../../../Errors.ts"

export interface MalformedReply {
  readonly outcome?: "unknown" | undefined
  /** `$metadata` of the reply. */
  readonly metadata?: unknown
}

export const malformedReply = (operation: string, detail: string, more: MalformedReply = {}): ServiceError => {
  const { attempts, requestId } = metadataOf(more.metadata)
  return new ServiceError({
    service: "SQS",
    operation,
    reason: "MalformedReply",
    retryable: false,
    attempts,
    detail,
    hint: "check that AWS_ENDPOINT_URL_SQS names a server that speaks SQS",
    ...(requestId === undefined ? {} : { requestId }),
    ...(more.outcome === undefined ? {} : { outcome: more.outcome })
  })
}

/** What the SDK says of a request. */
export const metadataOf = (
  metadata: unknown
): { readonly attempts: number; readonly requestId: string | undefined } => {
  const { attempts, requestId } = (Predicate.isRecord(metadata) ? metadata : {}) as Record<string, unknown>
  return {
    attempts: typeof attempts === "number" ? attempts : 1,
    requestId: typeof requestId === "string" && requestId !== "" ? requestId : undefined
  }
}
