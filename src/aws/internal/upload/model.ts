/** What a route says of an upload, and what it gets. */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import type { StoredObject } from "../storage/model.ts"
import type { UploadError } from "./errors.ts"
import type { Limits } from "./limits.ts"

/** A file while it arrives. */
export interface FilePart {
  /** The name of the form's field. */
  readonly field: string
  /**
   * The name that the client gave it, as a `Disposition` takes it: without folders and control characters, in at most 255
   * bytes. Several files may have the same. It may be empty, which a `Disposition` does not take.
   */
  readonly name: string
  /** In lower case: that of the name, else the one that belongs to the content type, else `bin`. */
  readonly extension: string
  /** What the client says it is, without parameters; `application/octet-stream` if it says nothing. */
  readonly contentType: string
  /** The fields that came before it. */
  readonly fields: FormFields
  /** Its bytes, at least one, as they arrive. They can be read once, before the callback ends. */
  readonly data: Stream.Stream<Uint8Array, UploadError | ServiceError>
}

/** By their names; an array where a name came more than once. Without a prototype: a field may have any name. */
export type FormFields = Readonly<Record<string, string | ReadonlyArray<string>>>

export interface ReceivingProgress {
  readonly field: string
  readonly name: string
  /** Bytes of this file that were handed to the callback. */
  readonly bytes: number
  /** Bytes of the body so far, of all its parts. */
  readonly received: number
  /** Bytes that the body will have, where the client has said so (`Content-Length`). The size of a file is never said. */
  readonly expected: number | undefined
}

export interface ReceiveOptions<A extends StoredObject, E, R> extends Limits {
  /**
   * Stores one file: a call of a method of Storage with `part.data`. Files come one after the other. What it leaves
   * unread is skipped.
   */
  readonly file: (part: FilePart) => Effect.Effect<A, E, R>
  /**
   * How far a file is: one call at a time, with numbers that never decrease; at the end with the size that is stored.
   * Calls are left out while one runs. How much is stored is told by the `onProgress` of Storage's methods.
   */
  readonly onProgress?: ((progress: ReceivingProgress) => Effect.Effect<void>) | undefined
}

export interface ReceivedFile<A> {
  readonly field: string
  readonly name: string
  readonly contentType: string
  readonly stored: A
}

export interface ReceivedUpload<A> {
  /** All of them, also those that came after the files. */
  readonly fields: FormFields
  /** In the order of the form. Inputs in which no file was chosen are left out. */
  readonly files: ReadonlyArray<ReceivedFile<A>>
  /** The files stay from now on, whatever becomes of the request: `MainDb.afterCommit(upload.keep)`. */
  readonly keep: Effect.Effect<void>
}
