/** What a failure of the file system means to a caller of Storage. None of them is `retryable`: a person must act. */
import type { PlatformError } from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import { ServiceError, type ServiceReason } from "../../../../Errors.ts"

interface Meaning {
  readonly reason: ServiceReason
  readonly detail: string
}

const full: Meaning = { reason: "Unavailable", detail: "the disk is full" }
const tooMany: Meaning = { reason: "Unavailable", detail: "too many files are open" }
const denied: Meaning = { reason: "AccessDenied", detail: "the folder's files may not be read or written" }
const gone: Meaning = { reason: "ResourceNotFound", detail: "the folder is not there any more" }

const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: full,
  EDQUOT: full,
  EMFILE: tooMany,
  ENFILE: tooMany,
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

export const isTaken = (error: PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "AlreadyExists"

/** Opens a file once the process has as many open as it may have, and others are closed: within 10 seconds. */
export const whenFree = <A, R>(open: Effect.Effect<A, PlatformError, R>): Effect.Effect<A, PlatformError, R> =>
  Effect.retry(open, {
    while: (error) => meanings[codeOf(error)] === tooMany,
    schedule: Schedule.upTo(Schedule.spaced("20 millis"), "10 seconds")
  })

const codeOf = ({ cause }: PlatformError): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""
