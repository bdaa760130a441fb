/** The faults that a plan for `Testing.faults(Storage, plan)` is made of. Each gives the error that production gives. */
import type { Cause } from "./internal/services/causes.ts"
import * as Causes from "./internal/services/causes.ts"
import type { When } from "./internal/services/plan.ts"
import type { StorageFault, StorageMethod } from "./internal/services/storageFaults.ts"

export type { StorageFault, StorageMethod, When }

const all: ReadonlyArray<StorageMethod> = [
  "upload",
  "read",
  "head",
  "list",
  "copy",
  "delete",
  "deleteMany",
  "check"
]

const failing = (
  name: string,
  when: When<StorageMethod>,
  cause: Cause,
  { carriedOut = false, methods = all }: {
    readonly carriedOut?: boolean | undefined
    readonly methods?: ReadonlyArray<StorageMethod>
  } = {}
): StorageFault => ({
  name,
  when,
  methods,
  act: {
    _tag: "Fails",
    cause: (method) => method === "head" || method === "check" ? Causes.withoutBody(cause) : cause,
    carriedOut
  }
})

/**
 * S3 asks for fewer requests (`Throttled`), also after the SDK's own retries. The answer to `head` and `check` has no body
 * that could say so: they fail with `Unavailable`.
 */
export const throttled = (when: When<StorageMethod> = {}): StorageFault => failing("throttled", when, Causes.slowDown)

/** The account may not do this (`AccessDenied`). */
export const accessDenied = (when: When<StorageMethod> = {}): StorageFault =>
  failing("accessDenied", when, Causes.accessDeniedByS3)

/** S3 answers 503 (`Unavailable`). Of what changes something the outcome is unknown: `carriedOut`, default false. */
export const unavailable = (
  { carriedOut, ...when }: When<StorageMethod> & { readonly carriedOut?: boolean | undefined } = {}
): StorageFault => failing("unavailable", when, Causes.unavailableS3, { carriedOut })

/**
 * No answer comes (`ReadTimeout`), also to the question what is stored. Of what changes something the outcome is unknown.
 * `carriedOut`: whether S3 has done it, which the program cannot know. Default true.
 */
export const timeout = (
  { carriedOut = true, ...when }: When<StorageMethod> & { readonly carriedOut?: boolean | undefined } = {}
): StorageFault => failing("timeout", when, Causes.timeout, { carriedOut })

/** The connection is lost (`ConnectionLost`), otherwise as {@link timeout}. */
export const connectionLost = (
  { carriedOut = true, ...when }: When<StorageMethod> & { readonly carriedOut?: boolean | undefined } = {}
): StorageFault => failing("connectionLost", when, Causes.reset, { carriedOut })

/** There is no object of that key (`ObjectNotFound`). Happens to `read`, `head` and `copy`. */
export const notFound = (when: When<StorageMethod> = {}): StorageFault =>
  failing("notFound", when, Causes.noSuchKey, {
    methods: ["read", "head", "copy"]
  })

/** A download ends with `ConnectionLost` after so many bytes, also when it was opened again. Happens to `read`. */
export const breaksAfter = (bytes: number, when: Omit<When<StorageMethod>, "method"> = {}): StorageFault => ({
  name: "breaksAfter",
  when,
  methods: ["read"],
  act: { _tag: "Breaks", cause: Causes.reset, after: bytes },
  problems: Number.isSafeInteger(bytes) && bytes >= 0 ? [] : ["bytes must be a whole number from 0"]
})
