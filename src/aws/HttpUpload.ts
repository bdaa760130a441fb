/**
 * Forms with files (`multipart/form-data`) that a route of `@effect/platform` streams into {@link Storage}: nothing is
 * written to a disk, and nothing is held in memory but what Storage holds of a stream.
 *
 * What does the work is loaded with the first upload.
 */
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ServiceError } from "../Errors.ts"
import type { UploadError } from "./internal/upload/errors.ts"
import type { ReceivedUpload, ReceiveOptions } from "./internal/upload/model.ts"
import { Storage } from "./Storage.ts"
import type { StoredObject } from "./Storage.ts"

export { Malformed, Stalled, TooLarge, UnsupportedType, UploadError } from "./internal/upload/errors.ts"
export type { Limits, Size } from "./internal/upload/limits.ts"
export type {
  FilePart,
  FormFields,
  ReceivedFile,
  ReceivedUpload,
  ReceiveOptions,
  ReceivingProgress
} from "./internal/upload/model.ts"

/**
 * Reads the body of the request in the context to its end, and stores each file while it arrives, with `options.file`.
 * It works in HttpRouter, HttpLayerRouter and HttpApi, where an endpoint declares its payload with
 * `HttpApiSchema.MultipartStream` and the handler leaves `payload` unread.
 *
 * No file is left behind by a request that does not succeed. If this fails or is interrupted, what is stored is deleted
 * before it ends (it waits 2 seconds for that; the deletion goes on for 10). Afterwards what is answered counts: the
 * files stay with a status below 400, else they are deleted when the scope of the request closes. Outside of a server of
 * `@effect/platform` the exit of the scope counts instead. `keep` of the result settles it earlier, for a transaction:
 * `yield* MainDb.afterCommit(upload.keep, { whenUnknown: "run" })`. Files that cannot be deleted are logged with their
 * keys, and a process that is killed meanwhile leaves its files.
 *
 * A form that is refused is answered at once; the rest of its body is read and dropped for up to 10 seconds after the
 * answer, then the connection is closed.
 *
 * It fails with what `file` fails with, with an {@link UploadError}, and with a ServiceError of the reason `InvalidInput`
 * if an option is not as its type says. What Storage refuses in a file (its content, its type, its extension) is an
 * {@link UnsupportedType}.
 */
export const receive = <A extends StoredObject, E, R>(
  options: ReceiveOptions<A, E, R>
): Effect.Effect<
  ReceivedUpload<A>,
  ServiceError | UploadError | E,
  R | HttpServerRequest | Scope.Scope | Storage
> =>
  Effect.all([Storage, loadReceive]).pipe(
    Effect.flatMap(([storage, { receive }]) => receive(storage, options)),
    Effect.withSpan("HttpUpload.receive", { captureStackTrace: false })
  )

const loadReceive = Effect.promise(() => import("./internal/upload/receive.ts"))
