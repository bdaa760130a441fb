/** Files go up to S3 and come back. */
import { Storage } from "@betterai/infrastructure"
import { FileSystem } from "@effect/platform/FileSystem"
import { Effect, Stream } from "effect"
import type { File, StoredFile } from "../files.ts"
import { progress, row, size, verify } from "../report.ts"

export const customerId = 7
export const discussionId = 42

/** Streams a file from the disk to S3, and compares it with what S3 gives back. */
export const upload = Effect.fn("demo.upload")(function*(file: File) {
  const storage = yield* Storage
  const fs = yield* FileSystem

  const stored = yield* row(
    `upload ${file.name}`,
    storage[file.upload]({
      data: fs.stream(file.path),
      customerId,
      discussionId,
      fileExtension: file.extension,
      onProgress: (bytes) => progress(file.name, bytes, file.bytes)
    }),
    ({ contentType, size: bytes, url }) => ({ result: `${size(bytes)}, ${contentType}`, url })
  )

  yield* row(
    `read ${file.name}`,
    Effect.gen(function*() {
      const chunks = yield* Stream.runCollect(storage.read(stored.key))
      const original = yield* fs.readFile(file.path)
      yield* verify(Buffer.concat([...chunks]).equals(original), `${file.name} came back with different bytes`)
    }),
    () => ({ result: "the same, byte for byte" })
  )

  return { ...file, stored } satisfies StoredFile
})
