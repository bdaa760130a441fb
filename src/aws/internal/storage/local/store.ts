/** Where objects are kept on this machine: the few steps from which localBackend.ts makes all that S3 does. */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import type { ObjectHead } from "../backend.ts"
import type { InTurn } from "./turns.ts"

/** All of an object but its bytes. */
export interface Kept {
  readonly head: ObjectHead
  readonly size: number
  readonly etag: string
  readonly lastModified: Date
}

export interface Found extends Kept {
  /** From `start` up to but without `end`. Both lie within the object. */
  readonly bytes: (start: number, end: number) => Stream.Stream<Uint8Array, ServiceError>
}

/** An object that is being written. Nobody sees it before it is published. */
export interface Draft {
  /** The bytes may change once this has ended. */
  readonly append: (bytes: Uint8Array) => Effect.Effect<void, ServiceError>
  /** All bytes were appended. */
  readonly finish: (kept: Kept) => Effect.Effect<void, ServiceError>
  /**
   * Puts what was finished in the place of what is there: all of it, or nothing if this fails. `ifAbsent`: fails if there is something,
   * also if that came from another process since it was looked for.
   */
  readonly publish: (kept: Kept, ifAbsent: boolean) => Effect.Effect<void, ServiceError>
}

/** `operation` is that of S3, for errors. */
export interface ObjectStore {
  /** Runs one change at a time, with the check of its condition. */
  readonly changing: InTurn
  /** The bytes that were found stay readable in the scope, also when the object is replaced or removed. */
  readonly find: (operation: string, key: string) => Effect.Effect<Option.Option<Found>, ServiceError, Scope.Scope>
  /** What was not published is gone when the scope closes. */
  readonly draft: (operation: string) => Effect.Effect<Draft, ServiceError, Scope.Scope>
  /** Also succeeds if there is no such object. */
  readonly remove: (operation: string, key: string) => Effect.Effect<void, ServiceError>
  /** In any order. */
  readonly all: (operation: string) => Effect.Effect<ReadonlyArray<Kept>, ServiceError>
  readonly check: Effect.Effect<void, ServiceError>
}
