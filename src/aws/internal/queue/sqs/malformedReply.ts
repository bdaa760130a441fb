/** A reply that SQS would not have given. */
import { ServiceError } from "../../../../Errors.ts"

export const malformedReply = (
  operation: string,
  detail: string,
  more: { readonly outcome?: "unknown" | undefined } = {}
): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation,
    reason: "MalformedReply",
    retryable: false,
    attempts: 1,
    detail,
    hint: "check that AWS_ENDPOINT_URL_SQS names a server that speaks SQS",
    ...(more.outcome === undefined ? {} : { outcome: more.outcome })
  })
