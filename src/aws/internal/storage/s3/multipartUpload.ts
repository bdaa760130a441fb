/** An upload by parts: several parts are sent at a time, and an upload that fails or is interrupted leaves none of them. */
import type {
  CompletedPart,
  CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommandInput,
  CreateMultipartUploadCommandOutput
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { ServiceError } from "../../../../Errors.ts"
import * as Call from "../../client/call.ts"
import { CLEAN_UP } from "../../deadlines.ts"
import type { Condition, Stored } from "../backend.ts"
import { type Bucket, type Ledger, malformedReply } from "./bucket.ts"
import { abortUpload } from "./cleanUp.ts"
import { confirmed } from "./lookUp.ts"
import { conditionOf } from "./putObject.ts"

export interface MultipartUpload<E, R> {
  readonly key: string
  /** What the object is stored with. */
  readonly headers: Omit<CreateMultipartUploadCommandInput, "Bucket" | "Key">
  readonly condition: Condition
  /** Nobody else knows the key. */
  readonly ownKey: boolean
  /** The parts cannot be sent again by the caller: no failure is retryable. */
  readonly consumed: boolean
  readonly ledger: Ledger
  /** The parts, in their order; none after the last. It is run by one worker at a time. */
  readonly next: Effect.Effect<Option.Option<PartRequest>, ServiceError | E, R>
}

/** The request of one part. */
export interface PartRequest {
  readonly size: number
  readonly send: (upload: UploadId, number: number) => Effect.Effect<SentPart, ServiceError>
}

export interface UploadId {
  readonly Bucket: string
  readonly Key: string
  readonly UploadId: string
}

/** What S3 says of a part: its ETag, and its checksum if it has one. */
export type SentPart = Omit<CompletedPart, "PartNumber">

export const multipartUpload = <E, R>(
  bucket: Bucket,
  upload: MultipartUpload<E, R>
): Effect.Effect<Stored, ServiceError | E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(begin(bucket, upload, restore), (uploadId) => {
      upload.ledger.begun = true
      return Effect.onExit(
        restore(
          Effect.flatMap(sendParts(bucket, upload, uploadId), (parts) => complete(bucket, upload, uploadId, parts))
        ),
        (exit) => Exit.isSuccess(exit) ? Effect.void : abortUpload(bucket, upload.key, uploadId, upload.ledger.storing)
      )
    })
  )

/** Waits for the reply even after an interruption, up to CLEAN_UP: the upload can only be aborted by its id. */
const begin = <E, R>(
  bucket: Bucket,
  { consumed, headers, key }: MultipartUpload<E, R>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.Effect<string, ServiceError> =>
  Effect.gen(function*() {
    const call = Call.make()
    const command = new bucket.sdk.CreateMultipartUploadCommand({ Bucket: bucket.name, Key: key, ...headers })
    const lost = Effect.annotateLogs(
      Effect.logWarning(
        "The reply to the beginning of an upload was lost; what has begun is removed by a lifecycle rule"
      ),
      { bucket: bucket.name, key }
    )
    const reply = yield* bucket.transport.send<CreateMultipartUploadCommandOutput>(
      "CreateMultipartUpload",
      command,
      { call, consumed }
    ).pipe(
      Effect.flatMap(({ UploadId }) =>
        UploadId
          ? Effect.succeed(UploadId)
          : Effect.fail(malformedReply("CreateMultipartUpload", "without the id of the upload", false))
      ),
      Effect.ensuring(Effect.suspend(() => call.doubtful ? lost : Effect.void)),
      Effect.interruptible,
      Effect.forkDaemon
    )
    return yield* restore(Fiber.join(reply)).pipe(
      Effect.onInterrupt(() =>
        Fiber.join(reply).pipe(
          Effect.flatMap((uploadId) => abortUpload(bucket, key, uploadId)),
          Effect.interruptible,
          Effect.timeoutOption(CLEAN_UP),
          Effect.tap(Option.match({ onNone: () => lost, onSome: () => Effect.void })),
          Effect.ignore,
          Effect.ensuring(Fiber.interrupt(reply))
        )
      )
    )
  })

interface Parts {
  readonly sent: ReadonlyArray<SentPart>
  readonly size: number
}

const sendParts = <E, R>(
  { limits, name }: Bucket,
  { key, next }: MultipartUpload<E, R>,
  uploadId: string
): Effect.Effect<Parts, ServiceError | E, R> =>
  Effect.gen(function*() {
    const id = { Bucket: name, Key: key, UploadId: uploadId }
    const sent: Array<SentPart> = []
    let count = 0
    let size = 0
    const turn = yield* Effect.makeSemaphore(1)
    const take = turn.withPermits(1)(
      Effect.map(next, Option.map((part) => ({ part, number: ++count })))
    )
    const worker = Effect.gen(function*() {
      while (true) {
        const taken = yield* take
        if (Option.isNone(taken)) return
        const { number, part } = taken.value
        const reply = yield* part.send(id, number)
        if (!reply.ETag) return yield* malformedReply("UploadPart", `without the ETag of part ${number}`, false)
        sent[number - 1] = reply
        size += part.size
      }
    })
    const { concurrency } = limits
    yield* Effect.forEach(Array.from({ length: concurrency }), () => worker, { concurrency, discard: true })
    return { sent, size }
  })

const complete = (
  bucket: Bucket,
  { condition, consumed, key, ledger, ownKey }: MultipartUpload<unknown, unknown>,
  uploadId: string,
  { sent, size }: Parts
): Effect.Effect<Stored, ServiceError> =>
  Effect.suspend(() => {
    const call = Call.make()
    ledger.storing = call
    const command = new bucket.sdk.CompleteMultipartUploadCommand({
      Bucket: bucket.name,
      Key: key,
      UploadId: uploadId,
      MultipartUpload: { Parts: sent.map((part, index) => ({ PartNumber: index + 1, ...part })) },
      ...conditionOf(condition)
    })
    const operation = "CompleteMultipartUpload"
    return confirmed(
      bucket,
      { operation, key, ownKey, size, call },
      bucket.transport.send<CompleteMultipartUploadCommandOutput>(operation, command, {
        call,
        consumed,
        outlives: true
      })
    )
  })
