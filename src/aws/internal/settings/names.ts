/** Checks of the names that AWS gives: regions, buckets, queues. No finding quotes a value: it may be a secret. */
import * as Either from "effect/Either"
import { type Check, type Finding, httpUrl } from "../../../internal/valueChecks.ts"

export const regionName: Check<string> = (value) =>
  typeof value === "string" && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
    ? Either.right(value)
    : Either.left({ detail: "must be the name of a region such as eu-west-1" })

/** Bucket names as S3 accepts them for new buckets (S3 user guide, "General purpose bucket naming rules"). */
export const bucketName: Check<string> = (value) => {
  if (typeof value !== "string" || !/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value)) {
    return Either.left({
      detail: "must be 3-63 lower-case letters, digits, dots and hyphens, with a letter or a digit at both ends"
    })
  }
  if (value.includes("..")) return Either.left({ detail: "must not hold two dots in a row" })
  if (/^\d+\.\d+\.\d+\.\d+$/.test(value)) return Either.left({ detail: "must not look like an IP address" })
  const prefix = RESERVED_PREFIXES.find((prefix) => value.startsWith(prefix))
  if (prefix !== undefined) return Either.left({ detail: `must not begin with ${prefix}, which S3 has reserved` })
  const suffix = RESERVED_SUFFIXES.find(([suffix]) => value.endsWith(suffix))
  if (suffix !== undefined) {
    return Either.left({ detail: `must not end in ${suffix[0]}: that is ${suffix[1]}`, hint: "give the bucket itself" })
  }
  return Either.right(value)
}

const RESERVED_PREFIXES: ReadonlyArray<string> = ["xn--", "sthree-", "amzn-s3-demo-"]

const RESERVED_SUFFIXES: ReadonlyArray<readonly [suffix: string, whatItNames: string]> = [
  ["-s3alias", "the alias of an access point"],
  ["--ol-s3", "the alias of an Object Lambda access point"],
  [".mrap", "a multi-region access point"],
  ["--x-s3", "a directory bucket"],
  ["--table-s3", "a bucket of tables"]
]

/** A queue's URL ends in its account and its name (1-80 letters, digits, `-` and `_`, `.fifo` included). */
export const queueUrl: Check<string> = (value) =>
  Either.flatMap(httpUrl(value), (url) => {
    const name = url.pathname.split("/").at(-1) ?? ""
    return /^[A-Za-z0-9_-]{1,80}$/.test(name.replace(/\.fifo$/, "")) && name.length <= 80
      ? Either.right(String(value))
      : Either.left({
        detail: "must end in the queue's name, as in https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
      })
  })

/** The finding if the queue is one of AWS in another region: its requests would be signed for the wrong one. */
export const queueElsewhere = (url: string, region: string): Finding | undefined => {
  const own = regionOfQueue(new URL(url).hostname)
  // `fips-us-east-1` is the SDK's older way to ask for FIPS in us-east-1.
  return own === undefined || own === region.replace(/^fips-|-fips$/, "")
    ? undefined
    : { detail: `is a queue in ${own}, and AWS_REGION is ${region}`, hint: "make them the same" }
}

/** `sqs.{region}.amazonaws.com`, its FIPS, dual-stack and VPC forms, and the two forms from before. */
const regionOfQueue = (host: string): string | undefined => {
  if (!AWS_HOST.test(host)) return undefined
  if (host === "queue.amazonaws.com") return "us-east-1"
  return /(?:^|\.)sqs(?:-fips)?\.([a-z]+(?:-[a-z]+)+-\d+)\./.exec(host)?.[1]
    ?? /^([a-z]+(?:-[a-z]+)+-\d+)\.queue\./.exec(host)?.[1]
}

/** The domains of AWS, closed partitions included: elsewhere a name like these means nothing. */
const AWS_HOST =
  /\.(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws|api\.amazonwebservices\.(?:com\.cn|eu)|ic\.gov|sgov\.gov|scloud|adc-e\.uk)$/
