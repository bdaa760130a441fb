/** What the SDK makes of replies that a table of names cannot foresee, and what they mean for a caller. */
import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client
} from "@aws-sdk/client-s3"
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { inspect } from "node:util"
import { toConfigurationError, toServiceError } from "../../../src/aws/internal/errors/classify.ts"
import type { ServiceError } from "../../../src/Errors.ts"
import { type Answer, Faults, s3Error, sqsError } from "../../support/aws/faultServer.ts"
import { queueUrl } from "../../support/aws/faultStage.ts"

const object = { Bucket: "clinic-uploads", Key: "k" }
const s3Commands = {
  PutObject: new PutObjectCommand({ ...object, Body: new Uint8Array(1) }),
  GetObject: new GetObjectCommand(object),
  HeadObject: new HeadObjectCommand(object),
  HeadBucket: new HeadBucketCommand({ Bucket: object.Bucket }),
  ListObjectsV2: new ListObjectsV2Command({ Bucket: object.Bucket }),
  CreateMultipartUpload: new CreateMultipartUploadCommand(object)
}
type Operation = keyof typeof s3Commands | "SendMessage"

const failure = (endpoint: string, operation: Operation): Effect.Effect<unknown> =>
  Effect.promise(async () => {
    const config = {
      region: "eu-west-1",
      endpoint,
      credentials: { accessKeyId: "AKID", secretAccessKey: "secret" },
      maxAttempts: 1
    }
    const s3 = new S3Client({ ...config, forcePathStyle: true })
    const sqs = new SQSClient({ ...config, useQueueUrlAsEndpoint: false })
    try {
      await (operation === "SendMessage"
        ? sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: "{}" }))
        : s3.send(s3Commands[operation] as PutObjectCommand))
    } catch (error) {
      return error
    } finally {
      s3.destroy()
      sqs.destroy()
    }
    throw new Error("it has succeeded")
  })

const errorOf = (operation: Operation, answer: Answer): Effect.Effect<ServiceError> =>
  Effect.gen(function*() {
    const server = yield* Faults
    server.answer(() => answer)
    const cause = yield* failure(server.endpoint, operation)
    return toServiceError(operation === "SendMessage" ? "SQS" : "S3", operation, cause)
  }).pipe(Effect.provide(Faults.layer), Effect.scoped)

const html = (status: number): Answer => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8" },
  body: "<html><body>private-word<br>sign in</body></html>"
})
const inUsWest2 = { "x-amz-bucket-region": "us-west-2" }

describe("a reply that is not one of the service", () => {
  const unreadable: ReadonlyArray<readonly [Operation, Answer, string]> = [
    ["ListObjectsV2", html(200), "the reply is not one of S3 (its type is text/html)"],
    ["CreateMultipartUpload", html(200), "the reply is not one of S3 (its type is text/html)"],
    ["CreateMultipartUpload", { status: 200, body: "private-word" }, "the reply is not one of S3"],
    ["SendMessage", html(200), "the reply is not one of SQS (its type is text/html)"],
    ["SendMessage", { status: 200, body: "private-word" }, "the reply is not one of SQS"],
    ["SendMessage", { status: 200, body: "{\"MessageId\":\"private-word" }, "the reply is not one of SQS"],
    ["GetObject", html(404), "the reply is not one of S3 (its type is text/html)"],
    ["SendMessage", html(404), "the reply is not one of SQS (its type is text/html)"]
  ]
  it.live.each(unreadable)("is MalformedReply: %s %o", ([operation, answer, message]) =>
    Effect.gen(function*() {
      const error = yield* errorOf(operation, answer)
      expect(error).toMatchObject({ reason: "MalformedReply", retryable: false, cause: { message } })
      expect(error.hint).toMatch(/AWS_ENDPOINT_URL_S(3|QS), and what stands between/)
      expect(error.outcome).toBe(operation === "SendMessage" ? "unknown" : undefined)
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("private-word")
    }))

  it.live("is MalformedReply where it leads elsewhere", () =>
    Effect.gen(function*() {
      for (const status of [302, 303, 308]) {
        expect(yield* errorOf("PutObject", { status, headers: { location: "http://login.example/" } }))
          .toMatchObject({ reason: "MalformedReply", retryable: false, status, outcome: "unknown" })
      }
    }))

  it.live("means what its status means, if that says more", () =>
    Effect.gen(function*() {
      for (const operation of ["PutObject", "SendMessage"] as const) {
        for (
          const [status, reason] of [
            [403, "AccessDenied"],
            [408, "Timeout"],
            [413, "PayloadTooLarge"],
            [429, "Throttled"],
            [502, "Unavailable"],
            [520, "Unavailable"]
          ] as const
        ) {
          const error = yield* errorOf(operation, html(status))
          expect(error).toMatchObject({ reason, status })
          expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("private-word")
        }
      }
    }))
})

describe("a reply without a body", () => {
  it.live("means what its status means", () =>
    Effect.gen(function*() {
      for (
        const [operation, status, reason, retryable] of [
          ["PutObject", 307, "Unavailable", true],
          ["GetObject", 304, "PreconditionFailed", false],
          ["PutObject", 408, "Timeout", true],
          ["GetObject", 416, "InvalidRequest", false],
          ["HeadObject", 404, "ObjectNotFound", false],
          ["HeadBucket", 404, "ResourceNotFound", false],
          ["HeadBucket", 301, "WrongRegion", false]
        ] as const
      ) expect(yield* errorOf(operation, { status })).toMatchObject({ reason, retryable, status })
    }))

  it.live("of a HEAD has a hint, because S3 says nothing", () =>
    Effect.gen(function*() {
      expect(yield* errorOf("HeadObject", { status: 403 })).toMatchObject({
        reason: "AccessDenied",
        hint: "wrong keys, an expired token and a wrong region are answered like this as well",
        cause: { message: "the service gave no reason" }
      })
      expect(yield* errorOf("HeadBucket", { status: 400, headers: inUsWest2 })).toMatchObject({
        reason: "InvalidRequest",
        hint:
          "wrong keys, an expired token and a wrong region (the bucket is in us-west-2) are answered like this as well"
      })
      expect((yield* errorOf("PutObject", s3Error(403, "AccessDenied"))).hint).toBeUndefined()
    }))
})

describe("the wrong region", () => {
  it.live("is told with the right one", () =>
    Effect.gen(function*() {
      const hint = "check AWS_REGION (or IMAGE_S3_BUCKET): the bucket is in us-west-2"
      const malformed = "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-west-2'"
      for (
        const answer of [
          { status: 301, headers: inUsWest2 },
          s3Error(400, "AuthorizationHeaderMalformed", malformed),
          s3Error(400, "AuthorizationHeaderMalformed", "no more</Message><Region>us-west-2</Region><Message>")
        ]
      ) expect(yield* errorOf("PutObject", answer)).toMatchObject({ reason: "WrongRegion", hint })
      const noRegion = { status: 301, headers: { "x-amz-bucket-region": "<private>" } }
      expect((yield* errorOf("PutObject", noRegion)).hint).toBe("check AWS_REGION (or IMAGE_S3_BUCKET)")
      expect(
        yield* errorOf(
          "SendMessage",
          sqsError(400, "InvalidSignatureException", "Credential should be scoped to a valid region. ")
        )
      )
        .toMatchObject({ reason: "WrongRegion", hint: "check AWS_REGION (or AWS_SQS_QUEUE_URL)" })
    }))

  it.live("is told by a layer as well", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      server.answer(() => ({ status: 301, headers: inUsWest2 }))
      const cause = yield* failure(server.endpoint, "ListObjectsV2")
      expect(Option.getOrThrow(toConfigurationError("S3", cause)).problems).toMatchObject([
        { setting: "AWS_REGION (or IMAGE_S3_BUCKET)", hint: "the bucket is in us-west-2" }
      ])
    }).pipe(Effect.provide(Faults.layer), Effect.scoped))
})

describe("the connection", () => {
  it.live("is named where TLS meets a server without it", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* Faults
      const cause = yield* failure(endpoint.replace("http:", "https:"), "PutObject")
      expect(toServiceError("S3", "PutObject", cause)).toMatchObject({ reason: "Tls", retryable: false })
    }).pipe(Effect.provide(Faults.layer), Effect.scoped))

  it.live("is lost if a reply ends too early", () =>
    Effect.gen(function*() {
      expect(yield* errorOf("ListObjectsV2", "truncate")).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(yield* errorOf("SendMessage", "truncate")).toMatchObject({ reason: "ConnectionLost", outcome: "unknown" })
    }))

  it.live("is told by what fetch wraps", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      const fetched = (url: string) =>
        Effect.promise(() => fetch(url).then((reply) => reply.text()).catch((error: unknown) => error)).pipe(
          Effect.map((cause) => toServiceError("S3", "GetObject", cause))
        )
      for (const answer of ["reset", "truncate"] as const) {
        server.answer(() => answer)
        expect(yield* fetched(server.endpoint)).toMatchObject({ reason: "ConnectionLost", retryable: true })
      }
      const refused = yield* fetched("http://127.0.0.1:2/")
      expect(refused).toMatchObject({ reason: "Unreachable", cause: { code: "ECONNREFUSED" } })
      expect(refused.message).toContain("connect ECONNREFUSED 127.0.0.1:2")
      expect(yield* fetched(server.endpoint.replace("http:", "https:"))).toMatchObject({ reason: "Tls" })
    }).pipe(Effect.provide(Faults.layer), Effect.scoped))
})
