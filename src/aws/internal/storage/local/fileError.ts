/** What a failure of the file system means to a caller of Storage. None of them is `retryable`: a person must act. */
import type { PlatformError } from "@effect/platform/Error"
import * as Predicate from "effect/Predicate"
import { ServiceError, type ServiceReason } from "../../../../Errors.ts"

interface Meaning {
  readonly reason: ServiceReason
  readonly detail: string
}

const full: Meaning = { reason: "Unavailable", detail: "the disk is full" }
const denied: Meaning = { reason: "AccessDenied", detail: "the folder's files may not be read or written" }
const gone: Meaning = { reason: "ResourceNotFound", detail: "the folder is not there any more" }

const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: full,
  EDQUOT: full,
  EACCES: denied,
  EPERM: denied,
  EROFS: denied,
  ENOENT: gone,
  ENOTDIR: gone
}

export const fileError = (operation: string) => (cause: PlatformError): ServiceError => {
  const { detail, reason } = meanings[codeOf(cause)] ?? { reason: "Unknown", detail: cause.message }
  return new ServiceError({ service: "S3", operation, reason, retryable: false, attempts: 1, detail, cause })
}

export const isNotFound = (error: PlatformError): boolean => error._tag === "SystemError" && error.reason === "NotFound"

const codeOf = ({ cause }: PlatformError): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""
