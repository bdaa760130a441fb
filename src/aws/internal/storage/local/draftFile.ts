/**
 * The file of an object that is being written. It is open only while something is written to it: a process may have only
 * so many files open, and a writer may have to wait for bytes, or for another writer.
 */
import type { PlatformError } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { whenFree } from "./fileError.ts"
import type { InTurn } from "./turns.ts"

export interface DraftFile {
  readonly append: (bytes: Uint8Array) => Effect.Effect<void, PlatformError>
  /** Writes these as well, and has all of it on the disk. */
  readonly finish: (bytes: Uint8Array) => Effect.Effect<void, PlatformError>
}

/** `writing`: when the file may be open. The file is made with its first bytes, and is not removed here. */
export const make = (
  fs: FileSystem,
  path: string,
  writing: InTurn
): Effect.Effect<DraftFile, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let collected: Array<Uint8Array> = []
    let waiting = 0
    let written = 0

    const write = (bytes: Uint8Array, last: boolean): Effect.Effect<void, PlatformError> =>
      Effect.gen(function*() {
        // With `r+`, a file that was removed in the meantime is not made anew without its beginning.
        const file = yield* whenFree(fs.open(path, written === 0 ? { flag: "wx", mode: 0o600 } : { flag: "r+" }))
        // An interruption would close the file, and a write under way could go to another one of the same number.
        yield* Effect.uninterruptible(Effect.gen(function*() {
          yield* file.seek(BigInt(written), "start")
          if (waiting > 0) yield* file.writeAll(Buffer.concat(collected))
          yield* file.writeAll(bytes)
          if (last) yield* file.sync
        }))
        if (!last && written === 0) yield* Effect.forkIn(keepFresh(fs, path), scope)
        written += waiting + bytes.byteLength
        collected = []
        waiting = 0
      }).pipe(Effect.scoped, writing)

    return {
      append: (bytes) => {
        if (waiting + bytes.byteLength > COLLECTED) return write(bytes, false)
        collected.push(new Uint8Array(bytes))
        waiting += bytes.byteLength
        return Effect.void
      },
      finish: (bytes) => write(bytes, true)
    }
  })

/** Bytes that are collected for a write. */
const COLLECTED = 256 * 1024

/** What has not been touched for an hour is taken for abandoned, but a stream can pause for longer. */
const keepFresh = (fs: FileSystem, path: string): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => fs.utimes(path, new Date(now), new Date(now))).pipe(
    Effect.ignore,
    Effect.schedule(Schedule.spaced("10 minutes")),
    Effect.asVoid
  )
