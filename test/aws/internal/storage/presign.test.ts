import * as sdk from "@aws-sdk/client-s3"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ObjectHead } from "../../../../src/aws/internal/storage/backend.ts"
import { make } from "../../../../src/aws/internal/storage/presign/presign.ts"
import { policyOf, refusalOfForm, refusalOfQuery } from "../../../support/aws/presignedRequests.ts"
import {
  arrived,
  at,
  clientOf,
  full,
  keys,
  nothing,
  now,
  parameters,
  plain,
  presigning
} from "../../../support/aws/presigning.ts"
import { accessKeyId, bucket, sessionToken } from "../../../support/aws/settings.ts"

describe("the checks of these tests", () => {
  const example = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }

  it("agree with the presigned URL in AWS's documentation", () => {
    const path = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
      + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
      + "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
      + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    const request = { method: "GET", path, headers: { host: "examplebucket.s3.amazonaws.com" } }
    expect(refusalOfQuery(request, example, new Date("2013-05-24T12:00:00Z"))).toBeUndefined()
    expect(refusalOfQuery(request, example, new Date("2013-05-25T00:00:01Z"))).toBe("AccessDenied")
    expect(refusalOfQuery({ ...request, method: "PUT" }, example, new Date("2013-05-24T12:00:00Z")))
      .toBe("SignatureDoesNotMatch")
  })

  it("agree with the form in AWS's documentation", () => {
    const policy = [
      "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",",
      "  \"conditions\": [",
      "    {\"bucket\": \"sigv4examplebucket\"},",
      "    [\"starts-with\", \"$key\", \"user/user1/\"],",
      "    {\"acl\": \"public-read\"},",
      "    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},",
      "    [\"starts-with\", \"$Content-Type\", \"image/\"],",
      "    {\"x-amz-meta-uuid\": \"14365123651274\"},",
      "    {\"x-amz-server-side-encryption\": \"AES256\"},",
      "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],",
      "",
      "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},",
      "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},",
      "    {\"x-amz-date\": \"20151229T000000Z\" }",
      "  ]",
      "}"
    ].join("\r\n")
    const fields = {
      "x-amz-algorithm": "AWS4-HMAC-SHA256",
      "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
      "x-amz-date": "20151229T000000Z",
      "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
      policy: Buffer.from(policy).toString("base64")
    }
    const time = new Date("2015-12-29T01:00:00Z")
    // The signature is right; these checks do not know `starts-with`.
    expect(refusalOfForm({ bucket: "sigv4examplebucket", fields, size: 1 }, example, time)).toBe(
      "InvalidPolicyDocument"
    )
    expect(refusalOfForm({ bucket: "b", fields: { ...fields, policy: "e30=" }, size: 1 }, example, time))
      .toBe("SignatureDoesNotMatch")
  })
})

describe("presignRead", () => {
  it.effect("is valid from now until it expires", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T10:00:00.700Z")
      const { expiresAt, url } = yield* presigning().presignRead("a/b c.png", nothing, 90)
      // S3 counts from the whole second.
      expect(expiresAt).toEqual(new Date("2026-03-01T10:01:30Z"))
      const request = arrived("GET", url)
      expect(refusalOfQuery(request, keys, yield* now)).toBeUndefined()
      expect(refusalOfQuery(request, keys, expiresAt)).toBeUndefined()
      expect(refusalOfQuery(request, keys, new Date(expiresAt.getTime() + 1))).toBe("AccessDenied")
      expect(refusalOfQuery({ ...request, method: "DELETE" }, keys, expiresAt)).toBe("SignatureDoesNotMatch")
    }))

  it.effect("asks for no more than the bytes, with the headers that were given", () =>
    Effect.gen(function*() {
      const { url } = yield* presigning({ responseChecksumValidation: "WHEN_SUPPORTED" }).presignRead("k", {
        contentDisposition: "attachment; filename=\"ü %.png\"",
        contentType: "text/plain; charset=utf-8"
      }, 60)
      const query = parameters(url)
      expect(query.get("response-content-disposition")).toBe("attachment; filename=\"ü %.png\"")
      expect(query.get("response-content-type")).toBe("text/plain; charset=utf-8")
      expect(Array.from(query.keys()).filter((name) => !name.startsWith("X-Amz-")).sort())
        .toEqual(["response-content-disposition", "response-content-type", "x-id"])
      expect(refusalOfQuery(arrived("GET", url), keys, yield* now)).toBeUndefined()
    }))

  it.effect.each(
    [
      ["a bucket of AWS", {}, bucket, `https://${bucket}.s3.eu-west-1.amazonaws.com/k`],
      ["a name with dots, for which AWS has no certificate", {}, "a.b.c", "https://s3.eu-west-1.amazonaws.com/a.b.c/k"],
      [
        "another server",
        { endpoint: "http://127.0.0.1:9000/s3", forcePathStyle: true },
        bucket,
        `http://127.0.0.1:9000/s3/${bucket}/k`
      ],
      [
        "another server with a host for each bucket",
        { endpoint: "https://objects.example.org:8443" },
        bucket,
        `https://${bucket}.objects.example.org:8443/k`
      ]
    ] as const
  )("leads to the client's endpoint: %s", ([, config, name, expected]) =>
    Effect.gen(function*() {
      const { url } = yield* presigning(config, name).presignRead("k", nothing, 60)
      expect(url.split("?")[0]).toBe(expected)
      expect(refusalOfQuery(arrived("GET", url), keys, yield* now)).toBeUndefined()
      const form = yield* presigning(config, name).presignPost(plain, { min: 1, max: 2 }, 60)
      expect(form.url).toBe(
        name === "a.b.c" || "forcePathStyle" in config ? expected.slice(0, -2) : expected.slice(0, -1)
      )
    }))
})

describe("presignPut", () => {
  it.effect("signs all that is stored with the object, and its size", () =>
    Effect.gen(function*() {
      const { headers, url } = yield* presigning().presignPut(full, 1234, 60)
      expect(headers).toEqual({
        "content-type": "image/png",
        "content-length": "1234",
        "cache-control": "private, max-age=60",
        "content-disposition": "attachment; filename=\"x.png\"",
        "x-amz-meta-origin": "ward 3",
        "x-amz-meta-price": "$5",
        "x-amz-meta-empty": "",
        "x-amz-tagging": "patient=true&the%20ward=S%C3%BCd%2F3%2B4%3D7",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:1:key/k",
        "x-amz-server-side-encryption-bucket-key-enabled": "true"
      })
      expect(parameters(url).get("X-Amz-SignedHeaders")?.split(";")).toEqual(["host", ...Object.keys(headers)].sort())
      expect(refusalOfQuery(arrived("PUT", url, headers), keys, yield* now)).toBeUndefined()
      for (const name of Object.keys(headers)) {
        const { [name]: value, ...others } = headers
        for (const changed of [others, { ...headers, [name]: `${value}1` }]) {
          const refused = refusalOfQuery(arrived("PUT", url, changed), keys, yield* now)
          // No header is the same as an empty one to a signature.
          expect([name, refused]).toEqual([
            name,
            changed === others && value === "" ? undefined : "SignatureDoesNotMatch"
          ])
        }
      }
      expect(refusalOfQuery(arrived("PUT", url, { ...headers, "x-amz-acl": "public-read" }), keys, yield* now))
        .toBe("AccessDenied")
    }))

  it.effect("can be for one file only", () =>
    Effect.gen(function*() {
      const { headers, url } = yield* presigning().presignPut(plain, 1, 60, true)
      expect(headers).toEqual({ "content-type": "image/png", "content-length": "1", "if-none-match": "*" })
      expect(refusalOfQuery(arrived("PUT", url, headers), keys, yield* now)).toBeUndefined()
      const { "if-none-match": _, ...without } = headers
      for (const changed of [without, { ...headers, "if-none-match": "\"other\"" }]) {
        expect(refusalOfQuery(arrived("PUT", url, changed), keys, yield* now)).toBe("SignatureDoesNotMatch")
      }
    }))

  it.effect("leaves open what S3 does not want signed, unless it was given", () =>
    Effect.gen(function*() {
      const added = (head: ObjectHead) =>
        Effect.gen(function*() {
          const { headers, url } = yield* presigning().presignPut(head, 1, 60)
          const request = arrived("PUT", url, { ...headers, "cache-control": "public", "content-encoding": "gzip" })
          return refusalOfQuery(request, keys, yield* now)
        })
      expect(yield* added(plain)).toBeUndefined()
      expect(yield* added({ ...plain, cacheControl: "no-store" })).toBe("SignatureDoesNotMatch")
    }))

  it.effect.each(["WHEN_SUPPORTED", "WHEN_REQUIRED"] as const)(
    "promises no checksum of the bytes: %s",
    (mode) =>
      Effect.gen(function*() {
        const { headers, url } = yield* presigning({ requestChecksumCalculation: mode }).presignPut(plain, 1, 60)
        expect(headers).toEqual({ "content-type": "image/png", "content-length": "1" })
        expect(Array.from(parameters(url).keys()).sort()).toEqual([
          "X-Amz-Algorithm",
          "X-Amz-Content-Sha256",
          "X-Amz-Credential",
          "X-Amz-Date",
          "X-Amz-Expires",
          "X-Amz-Security-Token",
          "X-Amz-Signature",
          "X-Amz-SignedHeaders",
          "x-id"
        ])
        expect(parameters(url).get("X-Amz-Content-Sha256")).toBe("UNSIGNED-PAYLOAD")
      })
  )

  it.effect("encrypts with keys of S3, and with the account's key of KMS", () =>
    Effect.gen(function*() {
      const ofEncryption = (encryption: ObjectHead["encryption"]) =>
        Effect.map(presigning().presignPut({ ...plain, encryption }, 1, 60), ({ headers }) =>
          Object.entries(headers).filter(([name]) => name.startsWith("x-amz-")))
      expect(yield* ofEncryption("AES256")).toEqual([["x-amz-server-side-encryption", "AES256"]])
      expect(yield* ofEncryption({})).toEqual([["x-amz-server-side-encryption", "aws:kms"]])
      expect(yield* ofEncryption({ bucketKey: false })).toEqual([
        ["x-amz-server-side-encryption", "aws:kms"],
        ["x-amz-server-side-encryption-bucket-key-enabled", "false"]
      ])
    }))

  it.effect("fails if middleware of the client has more signed than the holder of the URL knows of", () =>
    Effect.gen(function*() {
      const client = clientOf()
      const signMore =
        <Args extends { readonly request: unknown }, Reply>(next: (args: Args) => Reply) => (args: Args) => {
          Object.assign((args.request as { readonly headers: object }).headers, { "x-team": "1" })
          return next(args)
        }
      client.middlewareStack.addRelativeTo(signMore, { relation: "before", toMiddleware: "retryMiddleware" })
      const error = yield* Effect.flip(make(client, sdk, bucket).presignPut(plain, 1, 60))
      expect(error).toMatchObject({ _tag: "ServiceError", reason: "Unknown", operation: "presignPut", attempts: 0 })
      expect(error.message).toContain("other headers")
    }))
})

describe("presignPost", () => {
  const size = { min: 2, max: 4 }

  it.effect("fixes every field, the size and the time", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T10:00:00.700Z")
      const { expiresAt, fields, url } = yield* presigning().presignPost(full, size, 90)
      expect(url).toBe(`https://${bucket}.s3.eu-west-1.amazonaws.com/`)
      expect(expiresAt).toEqual(new Date("2026-03-01T10:01:30Z"))
      const { policy, "x-amz-signature": signature, ...others } = fields
      expect(others).toEqual({
        key: full.key,
        "Content-Type": "image/png",
        "Cache-Control": "private, max-age=60",
        "Content-Disposition": "attachment; filename=\"x.png\"",
        "x-amz-meta-origin": "ward 3",
        "x-amz-meta-price": "$5",
        "x-amz-meta-empty": "",
        tagging: "<Tagging><TagSet><Tag><Key>patient</Key><Value>true</Value></Tag>"
          + "<Tag><Key>the ward</Key><Value>Süd/3+4=7</Value></Tag></TagSet></Tagging>",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:1:key/k",
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": `${accessKeyId}/20260301/eu-west-1/s3/aws4_request`,
        "x-amz-date": "20260301T100000Z",
        "x-amz-security-token": sessionToken
      })
      expect(policyOf(policy ?? "")).toEqual({
        expiration: "2026-03-01T10:01:30.000Z",
        conditions: [
          { bucket },
          ["content-length-range", 2, 4],
          ...Object.entries(others).map(([name, value]) => ({ [name]: value }))
        ]
      })
      // AWS wants these characters of a value escaped.
      expect(Buffer.from(policy ?? "", "base64").toString()).toMatch(/^[^$\x7f-\uffff]*$/)

      const sent = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]))
      const refusal = (changed: Readonly<Record<string, string>>, bytes = 3, time = new Date("2026-03-01T10:00:01Z")) =>
        refusalOfForm({ bucket, fields: { ...sent, ...changed }, size: bytes }, keys, time)
      expect(refusal({})).toBeUndefined()
      expect([refusal({}, 1), refusal({}, 2), refusal({}, 4), refusal({}, 5)])
        .toEqual(["EntityTooSmall", undefined, undefined, "EntityTooLarge"])
      expect(refusal({}, 3, expiresAt)).toBe("AccessDenied: expired")
      for (const [name, value] of Object.entries(sent)) {
        expect([name, refusal({ [name]: `${value}1` })]).toEqual([name, expect.any(String)])
        const { [name]: _, ...others } = sent
        const without = refusalOfForm({ bucket, fields: others, size: 3 }, keys, new Date("2026-03-01T10:00:01Z"))
        expect([name, without]).toEqual([name, expect.any(String)])
      }
      expect(refusal({ acl: "public-read" })).toBe("AccessDenied: acl is an extra field")
      expect(refusalOfForm({ bucket: "other", fields: sent, size: 3 }, keys, new Date("2026-03-01T10:00:01Z")))
        .toBe("AccessDenied: bucket")
      expect(signature).toMatch(/^[0-9a-f]{64}$/)
    }))
})
