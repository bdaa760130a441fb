/** The keys of a bucket, page by page. */
import type { ListObjectsV2CommandOutput } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import type { Listing } from "../backend.ts"
import type { ListPage } from "../model.ts"
import { type Bucket, malformedReply } from "./bucket.ts"

const OPERATION = "ListObjectsV2"

export const list = (bucket: Bucket) => (listing: Listing): Stream.Stream<ListPage, ServiceError> =>
  Stream.paginateEffect(
    undefined as string | undefined,
    (token) =>
      Effect.flatMap(page(bucket, listing, token), (reply) => {
        const next = reply.IsTruncated === true ? reply.NextContinuationToken : undefined
        // A server that does not go on would be asked for ever.
        if (reply.IsTruncated === true && (!next || next === token)) {
          return Effect.fail(malformedReply(OPERATION, "that does not say how to go on", false))
        }
        return Effect.map(pageOf(reply), (found) => [found, Option.fromNullable(next)] as const)
      })
  )

/** Succeeds if the bucket exists and may be listed. Unlike HEAD, the reply says what is wrong. */
export const check = (bucket: Bucket): Effect.Effect<void, ServiceError> =>
  Effect.asVoid(
    Effect.flatMap(
      page(bucket, { prefix: "", delimiter: undefined, startAfter: undefined, pageSize: 1 }, undefined),
      pageOf
    )
  )

const page = (
  { name, sdk, transport }: Bucket,
  { delimiter, pageSize, prefix, startAfter }: Listing,
  token: string | undefined
): Effect.Effect<ListObjectsV2CommandOutput, ServiceError> =>
  transport.send<ListObjectsV2CommandOutput>(
    OPERATION,
    new sdk.ListObjectsV2Command({
      Bucket: name,
      // XML cannot carry every key.
      EncodingType: "url",
      MaxKeys: pageSize,
      ...(prefix === "" ? {} : { Prefix: prefix }),
      ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
      ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
      ...(token === undefined ? {} : { ContinuationToken: token })
    })
  )

const pageOf = (reply: ListObjectsV2CommandOutput): Effect.Effect<ListPage, ServiceError> =>
  Effect.try({
    try: () => {
      // To the SDK the reply of something that is not S3 is an empty list.
      if (reply.Name === undefined) throw new Error("the name of the bucket")
      const decode = reply.EncodingType === "url" ? decoded : (text: string): string => text
      return {
        objects: (reply.Contents ?? []).map(({ ETag, Key, LastModified, Size, StorageClass }) => {
          if (Key === undefined || Size === undefined || LastModified === undefined) throw new Error("an entry")
          return {
            key: decode(Key),
            size: Number(Size),
            etag: ETag ?? "",
            lastModified: LastModified,
            ...(StorageClass === undefined ? {} : { storageClass: StorageClass })
          }
        }),
        prefixes: (reply.CommonPrefixes ?? []).map(({ Prefix }) => decode(Prefix ?? ""))
      }
    },
    catch: () => malformedReply(OPERATION, "that is not a list of objects", false)
  })

/** The SDK does not decode what it has asked for in this form. A space is a plus sign. */
const decoded = (text: string): string => decodeURIComponent(text.replaceAll("+", "%20"))
