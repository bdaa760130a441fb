/** Files of messages: streamed into Storage while they arrive, and there only if their message is. */
import { HttpUpload, MainDb, Storage } from "@betterai/infrastructure"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Schema, Stream } from "effect"
import { createHash } from "node:crypto"
import * as Messages from "./messages.ts"

const Fields = Schema.Struct({ id: Schema.UUID, text: Schema.optionalWith(Messages.Text, { default: () => "" }) })

/** A client need not name a file. */
const nameOf = (file: { readonly name: string }): string => file.name || "file"

// #region attach
/** A form with the fields `id` and `text` and one file. What fails before the commit leaves no file behind. */
export const attach = Effect.gen(function*() {
  const storage = yield* Storage
  const upload = yield* HttpUpload.receive({
    maxFiles: 1,
    maxFileSize: "20 MiB",
    file: (part) =>
      storage.uploadChatAttachment({
        ...Messages.discussion,
        data: part.data,
        contentType: part.contentType,
        fileExtension: part.extension,
        contentDisposition: { type: "attachment", fileName: nameOf(part) },
        verifyContent: true
      })
  })
  const { id, text } = yield* Schema.decodeUnknown(Fields)(upload.fields)
  const [file] = upload.files
  if (file === undefined) return HttpServerResponse.unsafeJson({ message: "No file was chosen." }, { status: 400 })
  const { key, size } = file.stored
  const message = yield* Messages.post({ id, text }, { key, size, name: nameOf(file) })
  yield* MainDb.afterCommit(upload.keep, { whenUnknown: "run" })
  return HttpServerResponse.unsafeJson(message, { status: 201 })
})
// #endregion

/** A link to the file of a message, for a minute: its bytes come from S3, and never as a page of this server. */
export const link = Effect.fn("attachments.link")(function*(messageId: number) {
  const storage = yield* Storage
  const message = yield* Messages.find(messageId)
  const file = Option.flatMapNullable(message, ({ file }) => file)
  if (Option.isNone(file)) return Option.none()
  return Option.some(
    yield* storage.presignRead(file.value.key, {
      expiresIn: "1 minute",
      contentType: "application/octet-stream",
      contentDisposition: { type: "attachment", fileName: file.value.name }
    })
  )
})

/** The SHA-256 of a stored file, read in pieces. */
export const sha256 = Effect.fn("attachments.sha256")(function*(key: string) {
  const storage = yield* Storage
  const hash = yield* Stream.runFold(storage.read(key), createHash("sha256"), (hash, bytes) => hash.update(bytes))
  return hash.digest("hex")
})
