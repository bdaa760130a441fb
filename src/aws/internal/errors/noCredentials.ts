/** What provides the credentials does not answer. */
import { ServiceError } from "../../../Errors.ts"
import { CREDENTIALS } from "../deadlines.ts"
import type { AwsService } from "./errorTable.ts"

export const noCredentials = (
  service: AwsService,
  operation: string,
  retryable: boolean,
  /** An attempt before may have done the work. */
  isUnknown = false
): ServiceError =>
  new ServiceError({
    service,
    operation,
    reason: "Timeout",
    retryable,
    attempts: 0,
    detail: `no credentials were provided within ${CREDENTIALS / 1000} s`,
    hint: "check what provides them",
    ...(isUnknown ? { outcome: "unknown" } : {})
  })
