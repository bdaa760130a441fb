/** The limits of an upload, checked. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { finiteDuration } from "../../../internal/finiteDuration.ts"
import { SOURCE_IDLE } from "../deadlines.ts"
import { type Refusal, refuse } from "../errors/invalidInput.ts"

/** A number of bytes: 1 KiB is 1,024 bytes. */
export type Size = number | `${number} ${keyof typeof units}`

export interface Limits {
  /** How many files a request may have. Default: 10. */
  readonly maxFiles?: number | undefined
  /** Of one file. A file of exactly that size is taken. Default: 20 MiB. */
  readonly maxFileSize?: Size | undefined
  /** How many fields that are no files a request may have, file inputs without a file included. Default: 100. */
  readonly maxFields?: number | undefined
  /** Of one field, which is held in memory. Default: 64 KiB. */
  readonly maxFieldSize?: Size | undefined
  /** Of the whole body. Default: what the limits above add up to, and 1 MiB for the headers of the parts. */
  readonly maxTotalSize?: Size | undefined
  /**
   * The types that a file may claim: `image/png`, or `image/*` for all images. What it claims is compared with its bytes
   * by the option `verifyContent` of Storage's methods. Default: any.
   */
  readonly allowedTypes?: ReadonlyArray<string> | undefined
  /** How long the client may send nothing while it is waited for. Default: 30 seconds. */
  readonly idleTimeout?: Duration.DurationInput | undefined
}

export interface CheckedLimits {
  readonly maxFiles: number
  readonly maxFileSize: number
  readonly maxFields: number
  readonly maxFieldSize: number
  readonly maxTotalSize: number
  readonly idleTimeout: Duration.Duration
  readonly allows: (contentType: string) => boolean
}

const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

export const check = (limits: Limits): Either.Either<CheckedLimits, Refusal> =>
  Either.gen(function*() {
    const maxFiles = yield* count("maxFiles", limits.maxFiles ?? 10)
    const maxFields = yield* count("maxFields", limits.maxFields ?? 100)
    const maxFileSize = yield* size("maxFileSize", limits.maxFileSize ?? "20 MiB")
    const maxFieldSize = yield* size("maxFieldSize", limits.maxFieldSize ?? "64 KiB")
    const together = maxFiles * maxFileSize + maxFields * maxFieldSize + units.MiB
    const maxTotalSize = yield* size("maxTotalSize", limits.maxTotalSize ?? Math.min(together, Number.MAX_SAFE_INTEGER))
    const allowed = limits.allowedTypes?.map((type) => type.toLowerCase())
    if (allowed?.some((type) => !/^[^\s/;*]+\/([^\s/;*]+|\*)$/.test(type))) {
      return yield* refuse("allowedTypes", "must be media types such as image/png or image/*")
    }
    const idleTimeout = finiteDuration(limits.idleTimeout ?? SOURCE_IDLE)
    if (idleTimeout === undefined || Duration.toMillis(idleTimeout) < 1) {
      return yield* refuse("idleTimeout", "must be a finite duration of at least 1 millisecond")
    }
    return {
      maxFiles,
      maxFileSize,
      maxFields,
      maxFieldSize,
      maxTotalSize,
      idleTimeout,
      allows: (contentType) =>
        allowed === undefined || allowed.includes(contentType)
        || allowed.includes(contentType.replace(/\/.*$/, "/*"))
    }
  })

const count = (field: string, value: unknown): Either.Either<number, Refusal> =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? Either.right(value)
    : refuse(field, "must be a whole number, 0 or more")

const size = (field: string, value: unknown): Either.Either<number, Refusal> => {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) (B|KiB|MiB|GiB)$/.exec(String(value)) ?? []
  const bytes = typeof value === "number" ? value : Number(amount) * units[unit as keyof typeof units]
  return Number.isSafeInteger(bytes) && bytes >= 1
    ? Either.right(bytes)
    : refuse(field, "must be a whole number of bytes, 1 or more, such as 1048576 or \"1 MiB\"")
}
