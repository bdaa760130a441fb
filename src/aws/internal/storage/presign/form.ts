/**
 * A form with which a browser may store an object (S3 API reference, "Browser-based uploads using POST").
 *
 * It is signed here and not by `@aws-sdk/s3-presigned-post`: that takes the time from the machine instead of Clock, and
 * needs a version of the client of its own.
 */
import { createHmac } from "node:crypto"
import type { ObjectHead } from "../backend.ts"
import { formFields } from "./headers.ts"

/** `signed`: a presigned request for the bucket, of the same credentials and time. */
export const form = (
  bucket: string,
  head: ObjectHead,
  size: { readonly min: number; readonly max: number },
  signed: { readonly url: string; readonly expiresAt: Date; readonly secretAccessKey: string }
): { readonly url: string; readonly fields: Readonly<Record<string, string>> } => {
  const { origin, pathname, searchParams } = new URL(signed.url)
  const scope = searchParams.get("X-Amz-Credential") ?? ""
  const token = searchParams.get("X-Amz-Security-Token")
  const fields = {
    key: head.key,
    ...formFields(head),
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": scope,
    "x-amz-date": searchParams.get("X-Amz-Date") ?? "",
    ...(token === null ? {} : { "x-amz-security-token": token })
  }
  const policy = encoded({
    expiration: signed.expiresAt.toISOString(),
    conditions: [
      { bucket },
      ["content-length-range", size.min, size.max],
      ...Object.entries(fields).map(([name, value]) => ({ [name]: value }))
    ]
  })
  // Date, region, service and "aws4_request", after the id of the key.
  const signingKey = scope.split("/").slice(-4).reduce<Buffer | string>(hmac, `AWS4${signed.secretAccessKey}`)
  return {
    url: origin + (pathname === "/" ? pathname : pathname.replace(/\/$/, "")),
    fields: { ...fields, policy, "x-amz-signature": hmac(signingKey, policy).toString("hex") }
  }
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text).digest()

/** S3 wants `$` in a value, and what is not ASCII, escaped. */
const encoded = (policy: unknown): string => {
  const escaped = JSON.stringify(policy).replace(
    /[$\x7f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  return Buffer.from(escaped).toString("base64")
}
