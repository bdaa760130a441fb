/** Presigned requests with the headers and fields of S3's, but without a signature. Nothing serves them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StorageBackend } from "../backend.ts"
import { formFields, putHeaders } from "../presign/headers.ts"

export const make = (
  urlOf: (key: string) => string
): Pick<StorageBackend, "presignRead" | "presignPut" | "presignPost"> => ({
  presignRead: (key, { contentDisposition, contentType }, expiresIn) =>
    Effect.map(expiry(expiresIn), (expiresAt) => ({
      url: signed(urlOf(key), expiresAt, {
        "response-content-disposition": contentDisposition,
        "response-content-type": contentType
      }),
      expiresAt
    })),

  presignPut: (head, size, expiresIn, onlyOnce = false) =>
    Effect.map(expiry(expiresIn), (expiresAt) => ({
      url: signed(urlOf(head.key), expiresAt),
      headers: putHeaders(head, size, onlyOnce),
      expiresAt
    })),

  presignPost: (head, _size, expiresIn) =>
    Effect.map(expiry(expiresIn), (expiresAt) => ({
      url: signed(urlOf(""), expiresAt),
      fields: { key: head.key, ...formFields(head) },
      expiresAt
    }))
})

const expiry = (seconds: number): Effect.Effect<Date> =>
  Effect.map(Clock.currentTimeMillis, (now) => new Date(now + seconds * 1000))

const signed = (url: string, expiresAt: Date, more: Readonly<Record<string, string | undefined>> = {}): string =>
  `${url}?${new URLSearchParams(present({ ...more, expires: expiresAt.toISOString() }))}`

const present = (values: Readonly<Record<string, string | undefined>>): Record<string, string> => {
  const found: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) if (value !== undefined) found[name] = value
  return found
}
