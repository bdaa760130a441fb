/** What S3 answers to a request that cannot be served as it is. */
import type { ServiceReason } from "../../../../Errors.ts"
import { ServiceError } from "../../../../Errors.ts"

const refusal = (reason: ServiceReason, status: number, detail: string) => (operation: string): ServiceError =>
  new ServiceError({ service: "S3", operation, reason, retryable: false, attempts: 1, status, detail })

export const notFound = refusal("ObjectNotFound", 404, "The specified key does not exist.")

export const preconditionFailed = refusal(
  "PreconditionFailed",
  412,
  "At least one of the pre-conditions you specified did not hold"
)

export const outOfRange = refusal("InvalidRequest", 416, "The requested range is not satisfiable")
