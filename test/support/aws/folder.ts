/** Storages in folders of their own, and what is in them. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { SystemError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { Storage } from "../../../src/aws/Storage.ts"
import type { ConfigurationError } from "../../../src/Errors.ts"

export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(Path.join(tmpdir(), "storage-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true }))
)

/** The storage in a folder, on a disk that may be one that fails. */
export const storageIn = (
  folder: string,
  disk: Layer.Layer<FileSystem> = NodeFileSystem.layer
): Layer.Layer<Storage, ConfigurationError> => Layer.provide(Storage.layerFileSystem(folder), disk)

/** One run of a process that uses the folder. */
export const run = <A, E>(
  folder: string,
  effect: Effect.Effect<A, E, Storage>
): Effect.Effect<A, E | ConfigurationError> => Effect.provide(effect, storageIn(folder))

/** The names of all files in the folder. */
export const files = (folder: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  })

/** The path of the file of an object. */
export const objectFile = (folder: string, key: string): string =>
  Path.join(folder, "objects", `${createHash("sha256").update(key).digest("hex")}.object`)

/** A disk with methods that fail with an error of the system. */
export const failingDisk = (
  code: string,
  methods: (disk: FileSystem, failure: Effect.Effect<never, SystemError>) => Partial<FileSystem>
): Layer.Layer<FileSystem> => {
  const cause = Object.assign(new Error(code), { code })
  const failure = Effect.fail(new SystemError({ module: "FileSystem", method: "any", reason: "Unknown", cause }))
  return Layer.effect(FileSystem, Effect.map(FileSystem, (disk) => ({ ...disk, ...methods(disk, failure) }))).pipe(
    Layer.provide(NodeFileSystem.layer)
  )
}
