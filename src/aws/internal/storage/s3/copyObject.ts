/** Copies within a bucket: S3 moves the bytes. */
import type {
  CopyObjectCommandOutput,
  GetObjectTaggingCommandOutput,
  HeadObjectCommandOutput,
  UploadPartCopyCommandOutput
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ServiceError } from "../../../../Errors.ts"
import type { Copy, Stored } from "../backend.ts"
import { encodeKey } from "../publicUrl.ts"
import { type Bucket, malformedReply } from "./bucket.ts"
import { multipartUpload, type PartRequest } from "./multipartUpload.ts"
import { headersOf, tagging } from "./requests.ts"
import { sentPart } from "./upload.ts"

type Copied = Stored & { readonly contentType: string }

/** The original is looked at first: its size decides how it is copied, and its ETag that all of it is one version. */
export const copy = (bucket: Bucket) => (request: Copy): Effect.Effect<Copied, ServiceError> =>
  Effect.gen(function*() {
    const { limits, name, sdk, transport } = bucket
    const { from, head, ifMatch } = request
    const original = yield* transport.send<HeadObjectCommandOutput>(
      "HeadObject",
      new sdk.HeadObjectCommand({ Bucket: name, Key: from, ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }) })
    )
    const { ContentLength: size, ETag: etag } = original
    if (size === undefined || !etag) return yield* malformedReply("HeadObject", "without size and ETag", false)
    const source = { CopySource: `${name}/${encodeKey(from)}`, CopySourceIfMatch: etag }
    const contentType = head?.contentType ?? original.ContentType ?? "application/octet-stream"
    const stored = size <= limits.singleCopy
      ? yield* copyWhole(bucket, request, source, size, original)
      : yield* copyParts(bucket, request, source, size, original, yield* tagsOf(bucket, request, original))
    return { ...stored, contentType }
  })

interface Source {
  readonly CopySource: string
  readonly CopySourceIfMatch: string
}

const copyWhole = (
  { name, sdk, transport }: Bucket,
  { head, to }: Copy,
  source: Source,
  size: number,
  original: HeadObjectCommandOutput
): Effect.Effect<Stored, ServiceError> => {
  const command = new sdk.CopyObjectCommand({
    Bucket: name,
    Key: to,
    ...source,
    // S3 copies headers and tags by itself, but neither the storage class nor the encryption.
    ...(head === undefined
      ? storageOf(original)
      : { MetadataDirective: "REPLACE", TaggingDirective: "REPLACE", ...headersOf(head) })
  })
  return Effect.flatMap(
    transport.send<CopyObjectCommandOutput>("CopyObject", command),
    ({ CopyObjectResult }) =>
      CopyObjectResult?.ETag
        ? Effect.succeed({ etag: CopyObjectResult.ETag, size })
        : Effect.fail(malformedReply("CopyObject", "without an ETag", true))
  )
}

/** S3 keeps nothing of the original then, so its headers and its tags are sent again. */
const copyParts = (
  bucket: Bucket,
  { head, to }: Copy,
  source: Source,
  size: number,
  original: HeadObjectCommandOutput,
  tags: string | undefined
): Effect.Effect<Stored, ServiceError> =>
  Effect.suspend(() => {
    const { limits, sdk, transport } = bucket
    const partSize = Math.max(limits.copyPartSize, Math.ceil(size / limits.maxParts))
    let offset = 0
    const next = Effect.sync((): Option.Option<PartRequest> => {
      if (offset === size) return Option.none()
      const start = offset
      offset = Math.min(offset + partSize, size)
      const range = `bytes=${start}-${offset - 1}`
      return Option.some({
        size: offset - start,
        send: (upload, number) =>
          Effect.map(
            transport.send<UploadPartCopyCommandOutput>(
              "UploadPartCopy",
              new sdk.UploadPartCopyCommand({ ...upload, PartNumber: number, ...source, CopySourceRange: range })
            ),
            ({ CopyPartResult }) => sentPart(CopyPartResult ?? {})
          )
      })
    })
    const headers = head === undefined
      ? { ...headersOfOriginal(original), ...(tags === undefined ? {} : { Tagging: tags }) }
      : headersOf(head)
    const upload = {
      key: to,
      headers,
      condition: {},
      ownKey: false,
      consumed: false,
      ledger: { storing: undefined, begun: false },
      next
    }
    return transport.job("copy", multipartUpload(bucket, upload))
  })

/** The tags that the copy needs, as a header has them. */
const tagsOf = (
  { name, sdk, transport }: Bucket,
  { from, head }: Copy,
  { TagCount = 0 }: HeadObjectCommandOutput
): Effect.Effect<string | undefined, ServiceError> =>
  head !== undefined || TagCount === 0
    ? Effect.succeed(undefined)
    : Effect.map(
      transport.send<GetObjectTaggingCommandOutput>(
        "GetObjectTagging",
        new sdk.GetObjectTaggingCommand({ Bucket: name, Key: from })
      ),
      ({ TagSet = [] }) => tagging(Object.fromEntries(TagSet.map(({ Key, Value }) => [Key ?? "", Value ?? ""])))
    )

const headersOfOriginal = (original: HeadObjectCommandOutput) => ({
  ...(original.ContentType === undefined ? {} : { ContentType: original.ContentType }),
  ...(original.CacheControl === undefined ? {} : { CacheControl: original.CacheControl }),
  ...(original.ContentDisposition === undefined ? {} : { ContentDisposition: original.ContentDisposition }),
  ...(original.ContentEncoding === undefined ? {} : { ContentEncoding: original.ContentEncoding }),
  ...(original.ContentLanguage === undefined ? {} : { ContentLanguage: original.ContentLanguage }),
  ...(original.Metadata === undefined ? {} : { Metadata: original.Metadata }),
  ...storageOf(original)
})

const storageOf = (original: HeadObjectCommandOutput) => ({
  ...(original.StorageClass === undefined ? {} : { StorageClass: original.StorageClass }),
  ...(original.ServerSideEncryption === undefined ? {} : { ServerSideEncryption: original.ServerSideEncryption }),
  ...(original.SSEKMSKeyId === undefined ? {} : { SSEKMSKeyId: original.SSEKMSKeyId }),
  ...(original.BucketKeyEnabled === undefined ? {} : { BucketKeyEnabled: original.BucketKeyEnabled })
})
