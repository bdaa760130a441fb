/**
 * Objects in a folder, for development. `objects` has a file for each object, named by the hash of its key: names on disk
 * are short, and may not tell upper from lower case. `unfinished` has those that are being written.
 */
import type { PlatformError } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { dirname } from "node:path"
import { ConfigurationError, type ServiceError } from "../../../Errors.ts"
import type { StorageBackend } from "./backend.ts"
import * as DraftFile from "./local/draftFile.ts"
import { fileError, isNotFound, isTaken, whenFree } from "./local/fileError.ts"
import * as LocalBackend from "./local/localBackend.ts"
import * as ObjectFile from "./local/objectFile.ts"
import { preconditionFailed } from "./local/refusals.ts"
import type { Found, ObjectStore } from "./local/store.ts"
import * as Turns from "./local/turns.ts"

/** Makes the folder if it is not there. */
export const make = (
  directory: string,
  urlOf: (key: string) => string
): Effect.Effect<StorageBackend, ConfigurationError, FileSystem> =>
  Effect.gen(function*() {
    const { FileSystem } = yield* Effect.promise(() => import("@effect/platform/FileSystem"))
    const fs = yield* FileSystem
    const folder = yield* Effect.mapError(openFolder(fs, directory), (cause) => unusable(directory, cause))
    return LocalBackend.make(storeOf(fs, folder), urlOf)
  })

interface Folder {
  readonly objects: string
  readonly unfinished: string
}

const openFolder = (fs: FileSystem, directory: string): Effect.Effect<Folder, PlatformError> =>
  Effect.gen(function*() {
    yield* makeFolder(fs, directory)
    // The working directory may change.
    const path = yield* fs.realPath(directory)
    const folder = { objects: `${path}/objects`, unfinished: `${path}/unfinished` }
    yield* makeFolder(fs, folder.objects)
    yield* makeFolder(fs, folder.unfinished)
    yield* tryOut(fs, folder)
    yield* clean(fs, folder)
    return folder
  })

/** With its parents. Node's own way to make them never ends where the system makes none, as in /proc. */
const makeFolder = (fs: FileSystem, path: string): Effect.Effect<void, PlatformError> => {
  // The files may be those of patients.
  const make = Effect.catchIf(
    fs.makeDirectory(path, { mode: 0o700 }),
    isTaken,
    () => Effect.void
  )
  const parent = dirname(path)
  return parent === path
    ? make
    : Effect.catchIf(make, isNotFound, () => Effect.zipRight(makeFolder(fs, parent), make))
}

/** Whether a file can be written and published. */
const tryOut = (fs: FileSystem, { objects, unfinished }: Folder): Effect.Effect<void, PlatformError> =>
  Effect.suspend(() => {
    const name = newName()
    const [before, after] = [`${unfinished}/${name}`, `${objects}/${name}`]
    return fs.writeFile(before, new Uint8Array(1)).pipe(
      Effect.zipRight(fs.rename(before, after)),
      Effect.ensuring(Effect.all([Effect.ignore(fs.remove(before)), Effect.ignore(fs.remove(after))]))
    )
  })

/** Removes what writers left that were killed. One that was written to of late may have a writer that lives. */
const clean = (fs: FileSystem, { unfinished }: Folder): Effect.Effect<void, PlatformError> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    yield* Effect.forEach(Array.filter(yield* fs.readDirectory(unfinished), isName), (name) => {
      const path = `${unfinished}/${name}`
      return Effect.ignore(Effect.flatMap(fs.stat(path), ({ mtime }) =>
        Option.exists(mtime, (time) => now - time.getTime() > ABANDONED)
          ? fs.remove(path)
          : Effect.void))
    }, { discard: true })
  })

/** In milliseconds: one hour. */
const ABANDONED = 60 * 60 * 1000

const newName = (): string => `${globalThis.crypto.randomUUID()}.object`
const isName = (name: string): boolean => /^[0-9a-f-]{36}\.object$/.test(name)

const unusable = (directory: string, cause: PlatformError): ConfigurationError =>
  new ConfigurationError({
    service: "Storage",
    reason: "InvalidSettings",
    problems: [{
      setting: "directory",
      detail: `${JSON.stringify(directory)} cannot be made or written`,
      hint: "name a folder that this process may write to"
    }],
    cause
  })

const nameOf = (key: string): string => `${createHash("sha256").update(key).digest("hex")}.object`
const isObject = (name: string): boolean => /^[0-9a-f]{64}\.object$/.test(name)

/** Of each folder of this process, by its path: several layers may use one. */
const changesOf = new Map<string, Turns.InTurn>()

const storeOf = (fs: FileSystem, { objects, unfinished }: Folder): ObjectStore => {
  const changing = changesOf.get(objects) ?? Turns.make(1)
  changesOf.set(objects, changing)
  const writing = Turns.make(OPEN_FILES)

  /** What is not there may be missing because the folder is. */
  const folderThere = (operation: string): Effect.Effect<void, ServiceError> =>
    Effect.mapError(fs.access(objects), fileError(operation))

  const find = (
    operation: string,
    name: string
  ): Effect.Effect<Option.Option<Found>, ServiceError, Scope.Scope> =>
    Effect.matchEffect(whenFree(fs.open(`${objects}/${name}`, { flag: "r" })), {
      onFailure: (error) =>
        isNotFound(error)
          ? Effect.as(folderThere(operation), Option.none())
          : Effect.fail(fileError(operation)(error)),
      onSuccess: (file) => Effect.asSome(ObjectFile.open(operation, name, file))
    })

  return {
    changing,

    find: (operation, key) => find(operation, nameOf(key)),

    draft: (operation) =>
      Effect.gen(function*() {
        const path = `${unfinished}/${newName()}`
        let published = false
        yield* Effect.addFinalizer(() => published ? Effect.void : Effect.ignore(fs.remove(path)))
        const draft = yield* DraftFile.make(fs, path, writing)
        return {
          append: (bytes) => Effect.mapError(draft.append(bytes), fileError(operation)),
          finish: (kept) => Effect.mapError(draft.finish(ObjectFile.trailer(kept)), fileError(operation)),
          publish: ({ head }, ifAbsent) => {
            const target = `${objects}/${nameOf(head.key)}`
            const rename = Effect.mapError(
              Effect.map(fs.rename(path, target), () => {
                published = true
              }),
              fileError(operation)
            )
            // A link, unlike a rename, does not replace a file. Some disks have no links.
            return ifAbsent
              ? Effect.catchAll(
                fs.link(path, target),
                (error) => isTaken(error) ? Effect.fail(preconditionFailed(operation)) : rename
              )
              : rename
          }
        }
      }),

    remove: (operation, key) =>
      fs.remove(`${objects}/${nameOf(key)}`).pipe(
        Effect.catchAll((error) =>
          isNotFound(error) ? folderThere(operation) : Effect.fail(fileError(operation)(error))
        )
      ),

    all: (operation) =>
      Effect.mapError(whenFree(fs.readDirectory(objects)), fileError(operation)).pipe(
        Effect.flatMap((names) =>
          Effect.forEach(
            Array.filter(names, isObject),
            (name) => Effect.scoped(find(operation, name)),
            { concurrency: OPEN_FILES }
          )
        ),
        Effect.map(Array.getSomes)
      ),

    check: Effect.mapError(
      Effect.all([objects, unfinished].map((path) => fs.access(path, { readable: true, writable: true })), {
        discard: true
      }),
      fileError("ListObjectsV2")
    )
  }
}

/** Files that a list has open at a time, and that are written at a time. */
const OPEN_FILES = 16
