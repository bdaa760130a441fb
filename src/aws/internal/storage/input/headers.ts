/** What is stored with a file, checked: S3 accepts most mistakes and keeps them. */
import * as Either from "effect/Either"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"
import type { ObjectHead } from "../backend.ts"
import { encode } from "../content/disposition.ts"
import type { ChecksumAlgorithm, Encryption, WriteOptions } from "../model.ts"
import { isPlain } from "./object.ts"

type Checked<A> = Either.Either<A, Refusal>

/** All but the key and the content type. The options that store nothing are checked along with them. */
export const headers = (
  options: Omit<WriteOptions, "size">
): Checked<Omit<ObjectHead, "key" | "contentType">> =>
  Either.flatMap(unstored(options), () =>
    Either.all({
      cacheControl: header("cacheControl", options.cacheControl),
      contentDisposition: contentDisposition(options.contentDisposition),
      metadata: metadata(options.metadata),
      tags: tags(options.tags),
      storageClass: storageClass(options.storageClass),
      encryption: encryption(options.encryption),
      checksum: checksum(options.checksum)
    }))

const unstored = ({ onProgress, verifyContent }: Omit<WriteOptions, "size">): Checked<void> => {
  if (verifyContent !== undefined && typeof verifyContent !== "boolean") {
    return refuse("verifyContent", "must be true or false")
  }
  return onProgress === undefined || typeof onProgress === "function"
    ? Either.void
    : refuse("onProgress", "must be a function")
}

const printable = (value: unknown): value is string => typeof value === "string" && /^[\x20-\x7e]*$/.test(value)

const header = (field: string, value: string | undefined): Checked<string | undefined> =>
  value === undefined || (printable(value) && value.trim() !== "" && value.length <= 1024)
    ? Either.right(value)
    : refuse(field, "must be 1-1024 printable ASCII characters")

export const contentDisposition = (value: WriteOptions["contentDisposition"]): Checked<string | undefined> =>
  value === undefined || typeof value === "string"
    ? header("contentDisposition", value)
    : encode("contentDisposition", value)

/** In bytes. S3 counts the names and the values together. */
const METADATA = 2048

const metadata = (value: WriteOptions["metadata"]): Checked<WriteOptions["metadata"]> => {
  if (value === undefined) return Either.right(undefined)
  if (!isPlain(value)) return refuse("metadata", "must be an object of texts")
  const entries = Object.entries(value)
  if (entries.some(([name]) => !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name))) {
    return refuse("metadata", "must have names of letters, digits, '-' and '_'")
  }
  if (new Set(entries.map(([name]) => name.toLowerCase())).size < entries.length) {
    return refuse("metadata", "must have names that differ in more than case")
  }
  if (!entries.every(([, text]) => printable(text))) {
    return refuse("metadata", "must have values of printable ASCII characters")
  }
  if (entries.some(([, text]) => text !== text.trim())) {
    return refuse("metadata", "must have values without spaces at either end", "HTTP would take them away")
  }
  return entries.reduce((sum, [name, text]) => sum + name.length + text.length, 0) <= METADATA
    ? Either.right(Object.fromEntries(entries.map(([name, text]) => [name.toLowerCase(), text])))
    : refuse("metadata", `must not be larger than ${METADATA} bytes, names and values together`)
}

/** S3 user guide, "Categorizing your objects using tags". */
const tags = (value: WriteOptions["tags"]): Checked<WriteOptions["tags"]> => {
  if (value === undefined) return Either.right(undefined)
  if (!isPlain(value)) return refuse("tags", "must be an object of texts")
  const entries = Object.entries(value)
  const isTag = (text: unknown, shortest: number, longest: number) =>
    typeof text === "string" && text.length >= shortest && text.length <= longest
    && /^[\p{L}\p{N}\p{Zs}_.:/=+\-@]*$/u.test(text)
  if (entries.length > 10) return refuse("tags", "must not be more than 10")
  if (entries.some(([name]) => /^aws:/i.test(name))) {
    return refuse("tags", "must have names that do not begin with aws:", "AWS keeps these to itself")
  }
  return entries.every(([name, text]) => isTag(name, 1, 128) && isTag(text, 0, 256))
    ? Either.right({ ...value })
    : refuse("tags", "must have names of 1-128 and values of at most 256 letters, digits, spaces and _.:/=+-@")
}

const storageClass = (value: WriteOptions["storageClass"]): Checked<string | undefined> =>
  value === undefined || (typeof value === "string" && /^[A-Z0-9_]{1,64}$/.test(value))
    ? Either.right(value)
    : refuse("storageClass", "must be the name of a class such as STANDARD_IA")

const encryption = (value: WriteOptions["encryption"]): Checked<Encryption | undefined> => {
  if (value === undefined || value === "AES256") return Either.right(value)
  const wrong = refuse("encryption", "must be \"AES256\", or an object with kmsKeyId and bucketKey")
  if (!isPlain(value)) return wrong
  const { bucketKey, kmsKeyId, ...others } = value
  // A name with a mistake in it would mean the key of the account.
  if (Object.keys(others).length > 0) return wrong
  if (bucketKey !== undefined && typeof bucketKey !== "boolean") return wrong
  return kmsKeyId === undefined || (printable(kmsKeyId) && kmsKeyId !== "") ? Either.right(value) : wrong
}

const algorithms: ReadonlyArray<unknown> = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] satisfies Array<
  ChecksumAlgorithm
>

const checksum = (value: WriteOptions["checksum"]): Checked<ChecksumAlgorithm | undefined> =>
  value === undefined || algorithms.includes(value)
    ? Either.right(value)
    : refuse("checksum", `must be one of ${algorithms.join(", ")}`)
