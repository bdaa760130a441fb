import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { inspect } from "node:util"
import { isAbort, toConfigurationError, toServiceError } from "../../../../src/aws/internal/errors/classify.ts"

const sdkError = (
  name: string,
  more: { readonly status?: number; readonly code?: string; readonly Code?: string; readonly message?: string } = {}
): Error =>
  Object.assign(new Error(more.message ?? `${name} happened`), {
    name,
    ...(more.code === undefined ? {} : { code: more.code }),
    ...(more.Code === undefined ? {} : { Code: more.Code }),
    $metadata: {
      attempts: 3,
      requestId: "REQ-7",
      ...(more.status === undefined ? {} : { httpStatusCode: more.status })
    }
  })

const configuration: ReadonlyArray<readonly [Error, string, RegExp]> = [
  [sdkError("CredentialsProviderError"), "MissingCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("Error", { message: "Region is missing" }), "Region", /AWS_REGION/],
  [
    sdkError("Error", { message: "Region not accepted: region=\"x y\" is not a valid hostname component." }),
    "Region",
    /AWS_REGION/
  ],
  [sdkError("EndpointError"), "Endpoint", /AWS_ENDPOINT_URL/],
  [sdkError("TypeError", { code: "ERR_INVALID_URL" }), "Endpoint", /AWS_ENDPOINT_URL/],
  [sdkError("InvalidBucketName", { status: 400 }), "InvalidResourceName", /IMAGE_S3_BUCKET/],
  [
    sdkError("Error", { message: "No value provided for input HTTP label: Bucket." }),
    "InvalidResourceName",
    /IMAGE_S3_BUCKET/
  ],
  [sdkError("InvalidAccessKeyId", { status: 403 }), "InvalidCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("SignatureDoesNotMatch", { status: 403 }), "InvalidCredentials", /AWS_SECRET_ACCESS_KEY/],
  [sdkError("InvalidClientTokenId", { status: 403 }), "InvalidCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("UnrecognizedClientException", { status: 400 }), "InvalidCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("InvalidSignatureException", { status: 403 }), "InvalidCredentials", /AWS_SECRET_ACCESS_KEY/],
  [sdkError("PermanentRedirect", { status: 301 }), "WrongRegion", /AWS_REGION/],
  [sdkError("Unknown", { status: 301 }), "WrongRegion", /AWS_REGION/],
  [sdkError("AuthorizationHeaderMalformed", { status: 400 }), "WrongRegion", /AWS_REGION/]
]

const service: ReadonlyArray<readonly [Error, string, boolean]> = [
  [sdkError("ExpiredToken", { status: 400 }), "CredentialsExpired", true],
  [sdkError("ExpiredTokenException", { status: 403 }), "CredentialsExpired", true],
  [sdkError("Unknown", { status: 429 }), "Throttled", true],
  [sdkError("SlowDown", { status: 503 }), "Throttled", true],
  [sdkError("RequestThrottled", { status: 403 }), "Throttled", true],
  [sdkError("ThrottlingException", { status: 400 }), "Throttled", true],
  [sdkError("Throttling", { status: 400 }), "Throttled", true],
  [sdkError("KmsThrottled", { status: 400 }), "Throttled", true],
  [sdkError("OverLimit", { status: 403 }), "Throttled", true],
  [sdkError("AccessDenied", { status: 403 }), "AccessDenied", false],
  [sdkError("AccessDeniedException", { status: 400 }), "AccessDenied", false],
  [sdkError("Unknown", { status: 403 }), "AccessDenied", false],
  [sdkError("NoSuchBucket", { status: 404 }), "ResourceNotFound", false],
  [sdkError("QueueDoesNotExist", { status: 400 }), "ResourceNotFound", false],
  [sdkError("NoSuchKey", { status: 404 }), "ObjectNotFound", false],
  [sdkError("NotFound", { status: 404 }), "ObjectNotFound", false],
  [sdkError("NoSuchUpload", { status: 404 }), "ObjectNotFound", false],
  [sdkError("PreconditionFailed", { status: 412 }), "PreconditionFailed", false],
  [sdkError("ConditionalRequestConflict", { status: 409 }), "Conflict", true],
  [sdkError("OperationAborted", { status: 409 }), "Conflict", true],
  [sdkError("EntityTooLarge", { status: 400 }), "PayloadTooLarge", false],
  [sdkError("BatchRequestTooLong", { status: 400 }), "PayloadTooLarge", false],
  [sdkError("Unknown", { status: 413 }), "PayloadTooLarge", false],
  [sdkError("BadDigest", { status: 400 }), "Checksum", true],
  [sdkError("InvalidDigest", { status: 400 }), "Checksum", true],
  [sdkError("RequestTimeout", { status: 400 }), "Timeout", true],
  [sdkError("RequestTimeoutException", { status: 408 }), "Timeout", true],
  ...[500, 502, 503, 504].map((status) => [sdkError("Unknown", { status }), "Unavailable", true] as const),
  ...[400, 404, 409, 418, 501, 507].map((status) =>
    [sdkError("Unknown", { status }), "InvalidRequest", false] as const
  ),
  [sdkError("TimeoutError", { code: "ECONNRESET" }), "ConnectionLost", true],
  [sdkError("TimeoutError", { code: "EPIPE" }), "ConnectionLost", true],
  ...["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"].map((code) =>
    [sdkError("Error", { code }), "Unreachable", true] as const
  ),
  [
    sdkError("TimeoutError", { message: "the request socket did not establish a connection with the server within" }),
    "ConnectTimeout",
    true
  ],
  [sdkError("TimeoutError", { code: "ETIMEDOUT", message: "connect ETIMEDOUT 10.0.0.1:443" }), "ConnectTimeout", true],
  [
    sdkError("TimeoutError", { message: "the request socket timed out after 30000 ms of inactivity" }),
    "ReadTimeout",
    true
  ],
  [sdkError("SomethingNew"), "Unknown", false]
]

const title = (error: Error) =>
  `${error.name} ${(error as { code?: string }).code ?? ""} ${inspect((error as { $metadata?: unknown }).$metadata)}`

describe("the table", () => {
  for (const [error, reason, setting] of configuration) {
    it(`${reason}: ${title(error)}`, () => {
      const run = toServiceError("S3", "PutObject", error)
      expect(run).toMatchObject({ _tag: "ServiceError", reason, retryable: false, operation: "PutObject" })
      expect(run).toMatchObject({ detail: error.message, hint: expect.stringMatching(setting) })
      expect(run.message).toMatch(setting)
      const layer = Option.getOrThrow(toConfigurationError("S3", error))
      expect(layer).toMatchObject({ _tag: "ConfigurationError", reason, service: "S3" })
      expect(layer.problems).toEqual([{ setting: expect.stringMatching(setting), detail: error.message }])
    })
  }

  for (const [error, reason, retryable] of service) {
    it(`${reason}: ${title(error)}`, () => {
      expect(toServiceError("S3", "PutObject", error)).toMatchObject({
        reason,
        retryable,
        attempts: 3,
        requestId: "REQ-7"
      })
      expect(Option.isNone(toConfigurationError("S3", error))).toBe(true)
    })
  }

  it("names the queue's setting for SQS", () => {
    const error = toServiceError(
      "SQS",
      "SendMessage",
      sdkError("Error", { message: "No value provided for input HTTP label: X" })
    )
    expect(error).toMatchObject({
      detail: "No value provided for input HTTP label: X",
      hint: "check AWS_SQS_QUEUE_URL"
    })
  })

  it("recognizes the missing bucket of a HEAD, whose error has no name", () => {
    expect(toServiceError("S3", "HeadBucket", sdkError("NotFound", { status: 404 })).reason).toBe("ResourceNotFound")
  })

  it("reads S3's Code if the name says nothing", () => {
    expect(toServiceError("S3", "PutObject", sdkError("Error", { Code: "SlowDown", status: 503 })).reason).toBe(
      "Throttled"
    )
  })

  it("treats a wrong checksum of SQS, found after the send, as a failure that must not be repeated", () => {
    expect(toServiceError("SQS", "SendMessage", new Error("InvalidChecksumError")))
      .toMatchObject({ reason: "Checksum", retryable: false, outcome: "unknown", attempts: 1 })
  })

  it("recognizes an abort", () => {
    expect(isAbort(Object.assign(new Error("Request aborted"), { name: "AbortError" }))).toBe(true)
    expect(isAbort(new Error("Request aborted"))).toBe(false)
  })

  it("survives what is not an error", () => {
    for (const cause of [undefined, null, "text", 42, {}, { name: 1, message: {} }]) {
      expect(toServiceError("S3", "PutObject", cause)).toMatchObject({ reason: "Unknown", retryable: false })
    }
  })
})

describe("outcome", () => {
  const reset = sdkError("TimeoutError", { code: "ECONNRESET" })
  it("is unknown if the work may have been done", () => {
    for (const operation of ["PutObject", "CompleteMultipartUpload"]) {
      expect(toServiceError("S3", operation, reset).outcome).toBe("unknown")
    }
    for (
      const cause of [
        reset,
        sdkError("TimeoutError"),
        sdkError("Unknown", { status: 503 }),
        sdkError("RequestTimeout", { status: 400 })
      ]
    ) {
      const error = toServiceError("SQS", "SendMessage", cause)
      expect(error.outcome).toBe("unknown")
      expect(error.message).toContain("may have been done")
    }
  })
  it("is known if the service refused, was not reached, or nothing would have been visible", () => {
    expect(toServiceError("S3", "UploadPart", reset).outcome).toBeUndefined()
    expect(toServiceError("S3", "GetObject", reset).outcome).toBeUndefined()
    expect(toServiceError("S3", "PutObject", sdkError("BadDigest", { status: 400 })).outcome).toBeUndefined()
    expect(toServiceError("SQS", "SendMessage", sdkError("Error", { code: "ECONNREFUSED" })).outcome).toBeUndefined()
    expect(toServiceError("SQS", "SendMessage", sdkError("ThrottlingException", { status: 400 })).outcome)
      .toBeUndefined()
  })
})

describe("a service error", () => {
  it("makes no failure retryable once the body was consumed", () => {
    expect(toServiceError("S3", "PutObject", sdkError("SlowDown", { status: 503 }), { consumed: true }))
      .toMatchObject({ reason: "Throttled", retryable: false })
  })

  it("keeps name, message and status of the cause, and neither response nor canonical request", () => {
    const secret = "THE-SESSION-TOKEN"
    const cause = Object.assign(
      sdkError("InvalidSignatureException", {
        status: 403,
        message:
          `The request signature does not match.\n\nThe Canonical String should have been\nx-amz-security-token:${secret}`
      }),
      { $response: { headers: { authorization: secret } }, config: { secretAccessKey: secret } }
    )
    const error = toServiceError("SQS", "SendMessage", cause)
    for (
      const text of [
        error.message,
        String(error),
        JSON.stringify(error),
        inspect(error, { depth: 20, showHidden: true }),
        error.stack
      ]
    ) {
      expect(text).not.toContain(secret)
    }
    expect(error.cause).toMatchObject({
      name: "InvalidSignatureException",
      message: "The request signature does not match.",
      status: 403
    })
  })

  it("counts no attempt if nothing was sent", () => {
    expect(toServiceError("S3", "PutObject", sdkError("CredentialsProviderError")).attempts).toBe(0)
  })
})
