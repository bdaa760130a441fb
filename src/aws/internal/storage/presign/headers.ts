/** What an object is stored with, as the headers of a PUT and as the fields of a form. */
import type { ObjectHead } from "../backend.ts"
import { tagging } from "../s3/requests.ts"

type Names = Readonly<Record<string, string>>

/** The names in lower case, as they are signed. `onlyOnce`: only if there is no object of that key. */
export const putHeaders = (head: ObjectHead, size: number, onlyOnce: boolean): Names => {
  const { tags } = head
  const headers = defined({
    ...common(head),
    "content-length": String(size),
    "if-none-match": onlyOnce ? "*" : undefined,
    "x-amz-tagging": tags && tagging(tags)
  })
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** S3 API reference, "POST Object". */
export const formFields = (head: ObjectHead): Names =>
  defined({ ...common(head), tagging: head.tags && xml(head.tags) })

const common = (
  { cacheControl, contentDisposition, contentType, encryption, metadata = {}, storageClass }: ObjectHead
): Readonly<Record<string, string | undefined>> => ({
  "Content-Type": contentType,
  "Cache-Control": cacheControl,
  "Content-Disposition": contentDisposition,
  "x-amz-storage-class": storageClass,
  "x-amz-server-side-encryption": encryption && (encryption === "AES256" ? encryption : "aws:kms"),
  ...(typeof encryption === "object" && {
    "x-amz-server-side-encryption-aws-kms-key-id": encryption.kmsKeyId,
    "x-amz-server-side-encryption-bucket-key-enabled": encryption.bucketKey?.toString()
  }),
  ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name.toLowerCase()}`, value]))
})

const defined = (values: Readonly<Record<string, string | undefined>>): Names =>
  Object.fromEntries(Object.entries(values).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))

/** The characters that tags may have need no escape. */
const xml = (tags: Names): string => {
  const each = Object.entries(tags).map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`)
  return `<Tagging><TagSet>${each.join("")}</TagSet></Tagging>`
}
