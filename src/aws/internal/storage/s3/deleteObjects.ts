/** Deletes many objects with few requests. */
import type { DeleteObjectsCommandOutput } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ServiceError } from "../../../../Errors.ts"
import { toServiceError } from "../../errors/classify.ts"
import type { DeleteReport } from "../model.ts"
import { type Bucket, malformedReply } from "./bucket.ts"

const OPERATION = "DeleteObjects"

/** S3's limit for one request. */
const MOST = 1000

/** Requests that are sent at the same time. */
const CONCURRENCY = 4

type Report = DeleteReport<ServiceError>

export const removeMany = (bucket: Bucket) => (keys: ReadonlyArray<string>): Effect.Effect<Report, ServiceError> => {
  const batches = Array.from(
    { length: Math.ceil(keys.length / MOST) },
    (_, index) => keys.slice(index * MOST, (index + 1) * MOST)
  )
  return Effect.flatMap(
    Effect.forEach(
      batches,
      (batch) => Effect.map(Effect.either(removeBatch(bucket, batch)), (result) => ({ batch, result })),
      {
        concurrency: CONCURRENCY
      }
    ),
    (answers): Effect.Effect<Report, ServiceError> => {
      const first = answers[0]
      if (first !== undefined && Either.isLeft(first.result) && answers.every(({ result }) => Either.isLeft(result))) {
        return Effect.fail(first.result.left)
      }
      const reports = answers.map(({ batch, result }) =>
        Either.getOrElse(result, (error): Report => ({ deleted: [], failed: batch.map((key) => ({ key, error })) }))
      )
      return Effect.succeed({
        deleted: reports.flatMap(({ deleted }) => deleted),
        failed: reports.flatMap(({ failed }) => failed)
      })
    }
  )
}

/** A key of which the reply says nothing counts as failed. */
const removeBatch = (
  { name, sdk, transport }: Bucket,
  keys: ReadonlyArray<string>
): Effect.Effect<Report, ServiceError> =>
  Effect.map(
    transport.send<DeleteObjectsCommandOutput>(
      OPERATION,
      new sdk.DeleteObjectsCommand({ Bucket: name, Delete: { Objects: keys.map((Key) => ({ Key })) } })
    ),
    ({ Deleted = [], Errors = [] }) => {
      const deleted = new Set(Deleted.map(({ Key }) => Key))
      const errors = new Map(Errors.map((error) => [error.Key, error]))
      return {
        deleted: keys.filter((key) => deleted.has(key)),
        failed: keys.filter((key) => !deleted.has(key)).map((key) => {
          const error = errors.get(key)
          return {
            key,
            error: error === undefined
              ? malformedReply(OPERATION, "that says nothing of a key", true)
              : keyError(error)
          }
        })
      }
    }
  )

/** What the reply says of a key has no status of its own. A key that has failed is known to be there still. */
const keyError = (
  { Code, Message }: { readonly Code?: string | undefined; readonly Message?: string | undefined }
): ServiceError => {
  const status = Code === "InternalError" ? 500 : Code === "ServiceUnavailable" ? 503 : undefined
  const $metadata = status === undefined ? {} : { httpStatusCode: status }
  return toServiceError("S3", OPERATION, { name: Code, message: Message, $metadata }, { delivered: false })
}
