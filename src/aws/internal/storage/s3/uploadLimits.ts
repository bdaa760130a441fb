/** How large the requests of an upload are, and how many of them are sent at a time. */

const MEBIBYTE = 1024 * 1024

export interface Limits {
  /** Bytes of a part; S3 requires at least 5 MiB. */
  readonly partSize: number
  /** The most parts of an object that S3 accepts. */
  readonly maxParts: number
  /** The most bytes that are sent as one request where their number is known. */
  readonly singleRequest: number
  /** Parts of one upload that are sent at the same time. */
  readonly concurrency: number
  /** The most bytes that one request copies. */
  readonly singleCopy: number
  /** Bytes of a part that is copied. */
  readonly copyPartSize: number
}

export const defaultLimits: Limits = {
  partSize: 8 * MEBIBYTE,
  maxParts: 10_000,
  singleRequest: 16 * MEBIBYTE,
  concurrency: 4,
  singleCopy: 5 * 1024 * MEBIBYTE,
  copyPartSize: 512 * MEBIBYTE
}

/**
 * The size of each part, by its number from 1. Where the size of the object is known all parts but the last are equal,
 * which some servers demand. Else they are equal for the first half of the parts, 39 GiB; then they grow in two steps, so
 * that 10,000 of them hold 429 GiB.
 */
export const partSizes = ({ maxParts, partSize }: Limits, size: number | undefined): (number: number) => number => {
  if (size !== undefined) {
    const least = Math.ceil(size / maxParts)
    const equal = least <= partSize ? partSize : Math.ceil(least / MEBIBYTE) * MEBIBYTE
    return () => equal
  }
  return (number) => number <= maxParts / 2 ? partSize : number <= maxParts * 3 / 4 ? 4 * partSize : 16 * partSize
}
