/** The files to show: those of the command line, or the samples. */
import type { StoredObject } from "@betterai/infrastructure"
import type { PlatformError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import { Data, Effect } from "effect"
import mime from "mime"
import { basename, extname } from "node:path"
import { fileURLToPath } from "node:url"

export interface File {
  readonly path: string
  readonly name: string
  /** Without its dot. */
  readonly extension: string
  readonly bytes: number
  /** The method of Storage for files of this kind. */
  readonly upload: "uploadImage" | "uploadVideo" | "uploadAudio" | "uploadChatAttachment"
}

/** A file that is in S3 as well. */
export interface StoredFile extends File {
  readonly stored: StoredObject
}

/** A file that cannot be shown. */
export class UnusableFile extends Data.TaggedError("UnusableFile")<{ readonly message: string }> {}

/** These files, or the samples if there are none. Fails with the first file that cannot be used. */
export const load = (
  paths: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<File>, UnusableFile, FileSystem> =>
  Effect.forEach(paths.length === 0 ? samples : paths, loadOne)

const samples = ["picture.jpg", "chord.mp3", "colours.mp4", "document.pdf"].map((name) =>
  fileURLToPath(new URL(`../assets/${name}`, import.meta.url))
)

const loadOne = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem
  const info = yield* fs.stat(path).pipe(Effect.mapError((error) => unusable(path, inWords(error))))
  if (info.type === "Directory") return yield* unusable(path, "is a directory; name the files in it")
  if (info.type !== "File") return yield* unusable(path, "is not a regular file")
  if (info.size === 0n) return yield* unusable(path, "is empty")
  yield* fs.access(path, { readable: true }).pipe(Effect.mapError((error) => unusable(path, inWords(error))))
  const extension = extname(path).slice(1)
  if (extension === "") return yield* unusable(path, "has no extension, such as .png, that shows its type")
  const type = mime.getType(extension)
  if (type === null) return yield* unusable(path, `has the extension .${extension}, which belongs to no known type`)
  return { path, name: basename(path), extension, bytes: Number(info.size), upload: uploadOf(type) }
})

const uploadOf = (type: string): File["upload"] => {
  switch (type.split("/", 1)[0]) {
    case "image":
      return "uploadImage"
    case "video":
      return "uploadVideo"
    case "audio":
      return "uploadAudio"
    default:
      return "uploadChatAttachment"
  }
}

const unusable = (path: string, detail: string) => new UnusableFile({ message: `${path} ${detail}` })

const inWords = (error: PlatformError): string => {
  switch (error._tag === "SystemError" ? error.reason : undefined) {
    case "NotFound":
      return "does not exist"
    case "PermissionDenied":
      return "cannot be read by this user"
    default:
      return `cannot be read: ${error.message}`
  }
}
