/** How large the requests of an upload are, and how many of them are sent at a time. */

const mebibyte = 1024 * 1024

export interface Limits {
  /** Bytes of a part; S3 requires at least 5 MiB. */
  readonly partSize: number
  /** S3 accepts no more. */
  readonly maxParts: number
  /** The most bytes that are sent as one request when all of them are in memory. */
  readonly singleRequest: number
  /** Parts of one upload that are sent at the same time. */
  readonly concurrency: number
}

export const defaultLimits: Limits = {
  partSize: 8 * mebibyte,
  maxParts: 10_000,
  singleRequest: 16 * mebibyte,
  concurrency: 4
}
