import * as sdk from "@aws-sdk/client-s3"
import { afterEach, describe, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { inspect } from "node:util"
import { make } from "../../../../src/aws/internal/storage/presign/presign.ts"
import { policyOf, refusalOfForm } from "../../../support/aws/presignedRequests.ts"
import { presignedServer } from "../../../support/aws/presignedServer.ts"
import {
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
import { bucket, secretAccessKey, sessionToken } from "../../../support/aws/settings.ts"

describe("over the network", () => {
  const bytes = new Uint8Array([0, 1, 2, 255])

  it.scoped("a PUT stores what was agreed, and nothing else", () =>
    Effect.gen(function*() {
      const time = yield* now
      const server = yield* presignedServer(bucket, keys, () => time)
      const { presignPut } = presigning({ endpoint: server.endpoint, forcePathStyle: true })
      const { headers, url } = yield* presignPut(full, 4, 60)
      const put = (body: Uint8Array, changed: Readonly<Record<string, string>> = {}) => {
        const { "content-length": _, ...others } = headers
        return Effect.promise(() => fetch(url, { method: "PUT", headers: { ...others, ...changed }, body }))
      }
      expect((yield* put(bytes)).status).toBe(200)
      expect((yield* put(new Uint8Array(5))).status).toBe(403)
      expect((yield* put(bytes.subarray(1))).status).toBe(403)
      expect((yield* put(bytes, { "content-type": "text/html" })).status).toBe(403)
      expect((yield* put(bytes, { "x-amz-tagging": "patient=false" })).status).toBe(403)
      expect(server.taken).toMatchObject([{
        key: full.key,
        body: Buffer.from(bytes),
        headers: { "x-amz-meta-price": "$5" }
      }])
    }))

  it.scoped("a form stores what was agreed, and nothing else", () =>
    Effect.gen(function*() {
      const time = yield* now
      const server = yield* presignedServer(bucket, keys, () => time)
      const { presignPost } = presigning({ endpoint: server.endpoint, forcePathStyle: true })
      const { fields, url } = yield* presignPost(full, { min: 1, max: 4 }, 60)
      const post = (body: Uint8Array, changed: Readonly<Record<string, string>> = {}) => {
        const form = new FormData()
        for (const [name, value] of Object.entries({ ...fields, ...changed })) form.append(name, value)
        form.append("file", new Blob([body]), "any name.png")
        return Effect.promise(() => fetch(url, { method: "POST", body: form }).then((reply) => reply.text()))
      }
      expect(yield* post(bytes)).toBe("")
      expect(yield* post(new Uint8Array(5))).toBe("EntityTooLarge")
      expect(yield* post(new Uint8Array(0))).toBe("EntityTooSmall")
      expect(yield* post(bytes, { key: "another" })).toBe("AccessDenied: key")
      expect(yield* post(bytes, { "Content-Type": "text/html" })).toBe("AccessDenied: content-type")
      expect(yield* post(bytes, { tagging: "" })).toBe("AccessDenied: tagging")
      expect(yield* post(bytes, { "x-amz-website-redirect-location": "/" })).toContain("extra field")
      expect(server.taken).toMatchObject([{ key: full.key, body: Buffer.from(bytes) }])
    }))
})

describe("credentials", () => {
  const ending = (expiration: string) =>
    presigning({ credentials: () => Promise.resolve({ ...keys, expiration: new Date(expiration) }) })

  it.effect("that end earlier end the request", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T10:00:00Z")
      const { presignPost, presignPut, presignRead } = ending("2026-03-01T10:05:00.900Z")
      const end = new Date("2026-03-01T10:05:00Z")
      const read = yield* presignRead("k", nothing, 3600)
      expect(read.expiresAt).toEqual(end)
      expect(parameters(read.url).get("X-Amz-Expires")).toBe("300")
      expect((yield* presignPut(plain, 1, 3600)).expiresAt).toEqual(end)
      const form = yield* presignPost(plain, { min: 1, max: 2 }, 3600)
      expect(form.expiresAt).toEqual(end)
      expect(policyOf(form.fields["policy"] ?? "").expiration).toBe("2026-03-01T10:05:00.000Z")
      expect((yield* presignRead("k", nothing, 60)).expiresAt).toEqual(new Date("2026-03-01T10:01:00Z"))
    }))

  it.effect("that have ended sign nothing", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T10:00:00Z")
      const error = yield* Effect.flip(ending("2026-03-01T10:00:00.900Z").presignRead("k", nothing, 60))
      expect(error).toMatchObject({
        reason: "CredentialsExpired",
        operation: "presignRead",
        retryable: true,
        attempts: 0
      })
    }))

  it.effect.each(
    [
      [
        "cannot be had",
        () => Promise.reject(Object.assign(new Error("none"), { name: "CredentialsProviderError" })),
        "MissingCredentials"
      ],
      ["are none", () => Promise.resolve(undefined as never), "Unknown"],
      ["are not whole", () => Promise.resolve({ accessKeyId: "A" } as never), "Unknown"]
    ] as const
  )("that %s are a typed error", ([, credentials, reason]) =>
    Effect.gen(function*() {
      const { presignPost, presignPut, presignRead } = presigning({ credentials })
      for (
        const presigned of [
          presignRead("k", nothing, 60),
          presignPut(plain, 1, 60),
          presignPost(plain, { min: 1, max: 2 }, 60)
        ]
      ) {
        expect(yield* Effect.flip(presigned)).toMatchObject({ _tag: "ServiceError", reason, retryable: false })
      }
    }))

  it.effect("are those of one moment in a form", () =>
    Effect.gen(function*() {
      let count = 0
      const next = () => ({ accessKeyId: `A${count++}`, secretAccessKey: `S${count}`, expiration: new Date(0) })
      const { presignPost } = presigning({
        credentials: () => Promise.resolve({ ...next(), expiration: new Date(60_000) })
      })
      const { fields } = yield* presignPost(plain, { min: 1, max: 2 }, 30)
      const used = fields["x-amz-credential"]?.split("/")[0] ?? ""
      const sent = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]))
      const pair = { accessKeyId: used, secretAccessKey: `S${Number(used.slice(1)) + 1}` }
      expect(refusalOfForm({ bucket, fields: sent, size: 1 }, pair, yield* now)).toBeUndefined()
    }))

  it.effect("that never come end in a typed error; an interruption does not wait for them", () =>
    Effect.gen(function*() {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      const { presignRead } = presigning({ credentials: () => new Promise(() => {}) })
      const waiting = yield* Effect.fork(Effect.flip(presignRead("k", nothing, 60)))
      const interrupted = yield* Effect.fork(presignRead("k", nothing, 60))
      yield* Effect.promise(() => vi.advanceTimersByTimeAsync(29_999))
      expect(waiting.unsafePoll()).toBeNull()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(interrupted))).toBe(true)
      expect(vi.getTimerCount()).toBe(1)
      yield* Effect.promise(() => vi.advanceTimersByTimeAsync(1))
      expect(yield* Fiber.join(waiting)).toMatchObject({ reason: "Timeout", retryable: true, attempts: 0 })
    }).pipe(Effect.ensuring(Effect.sync(() => vi.useRealTimers()))))
})

describe("the client", () => {
  it.effect("keeps its middleware, its cache and its secrets, and hears of nothing", () =>
    Effect.gen(function*() {
      const heard: Array<unknown> = []
      const hear = (...content: ReadonlyArray<unknown>) => void heard.push(content)
      const client = clientOf({
        cacheMiddleware: true,
        logger: { trace: hear, debug: hear, info: hear, warn: hear, error: hear }
      })
      client.middlewareStack.add(() => () => Promise.reject(new Error("our transport was called")), {
        step: "deserialize",
        priority: "low"
      })
      const before = [client.middlewareStack.identify(), Object.keys(client), Object.keys(client.config)]
      const { presignPost, presignPut, presignRead } = make(client, sdk, bucket)
      yield* presignRead("k", nothing, 60)
      yield* presignPut(plain, 1, 60)
      yield* presignPost(plain, { min: 1, max: 2 }, 60)
      expect([client.middlewareStack.identify(), Object.keys(client), Object.keys(client.config)]).toEqual(before)
      for (const secret of ["X-Amz-Signature", sessionToken, secretAccessKey]) {
        expect(inspect(heard)).not.toContain(secret)
      }
      // What is sent later is not cached as presigned.
      const sent = yield* Effect.flip(
        Effect.tryPromise(() => client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: "k" })))
      )
      expect(String(sent.cause)).toContain("our transport was called")
    }))

  it.effect("that has learnt the time of S3 signs with it", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T10:00:00Z")
      const client = clientOf({ systemClockOffset: 3_600_000 })
      const { expiresAt, url } = yield* make(client, sdk, bucket).presignRead("k", nothing, 60)
      expect(parameters(url).get("X-Amz-Date")).toBe("20260301T110000Z")
      expect(expiresAt).toEqual(new Date("2026-03-01T11:01:00Z"))
    }))
})

describe("without the presigner's package", () => {
  afterEach(() => {
    vi.doUnmock("@aws-sdk/s3-request-presigner")
  })

  it.effect("the error names it", () =>
    Effect.gen(function*() {
      vi.doMock("@aws-sdk/s3-request-presigner", () => {
        throw new Error("Cannot find package")
      })
      const error = yield* Effect.flip(presigning().presignRead("k", nothing, 60))
      expect(error).toMatchObject({ reason: "NotConfigured", operation: "presignRead", retryable: false, attempts: 0 })
      expect(error.message).toContain(
        "@aws-sdk/s3-request-presigner could not be loaded; run npm install @aws-sdk/s3-request-presigner"
      )
    }))
})
