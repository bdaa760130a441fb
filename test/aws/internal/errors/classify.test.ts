import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { inspect } from "node:util"
import { toConfigurationError, toServiceError } from "../../../../src/aws/internal/errors/classify.ts"

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
  [sdkError("MissingAuthenticationToken", { status: 403 }), "MissingCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("MissingAuthenticationTokenException", { status: 400 }), "MissingCredentials", /AWS_ACCESS_KEY_ID/],
  [sdkError("Error", { message: "Region is missing" }), "Region", /AWS_REGION/],
  [
    sdkError("Error", { message: "Region not accepted: region=\"x y\" is not a valid hostname component." }),
    "Region",
    /AWS_REGION/
  ],
  [sdkError("EndpointError"), "Endpoint", /AWS_ENDPOINT_URL/],
  [sdkError("TypeError", { code: "ERR_INVALID_URL" }), "Endpoint", /AWS_ENDPOINT_URL/],
  [
    sdkError("InvalidSignatureException", {
      status: 400,
      message: "Credential should be scoped to correct service: 'sqs'."
    }),
    "Endpoint",
    /AWS_ENDPOINT_URL/
  ],
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
  [sdkError("AuthorizationHeaderMalformed", { status: 400 }), "WrongRegion", /AWS_REGION/],
  [
    sdkError("AuthorizationHeaderMalformed", {
      status: 400,
      message:
        "The authorization header is malformed; a non-empty Access Key (AKID) must be provided in the credential."
    }),
    "InvalidCredentials",
    /AWS_ACCESS_KEY_ID/
  ],
  [sdkError("IllegalLocationConstraintException", { status: 400 }), "WrongRegion", /AWS_REGION/],
  [sdkError("IncorrectEndpoint", { status: 400 }), "WrongRegion", /AWS_REGION/],
  [
    sdkError("InvalidSignatureException", { status: 400, message: "Credential should be scoped to a valid region." }),
    "WrongRegion",
    /AWS_REGION/
  ],
  [
    sdkError("SignatureDoesNotMatch", {
      status: 403,
      message: "Credential should be scoped to a valid region, not 'us-west-2'."
    }),
    "WrongRegion",
    /AWS_REGION/
  ]
]

const service: ReadonlyArray<readonly [Error, string, boolean]> = [
  [sdkError("ExpiredToken", { status: 400 }), "CredentialsExpired", true],
  [sdkError("ExpiredTokenException", { status: 403 }), "CredentialsExpired", true],
  [sdkError("InvalidToken", { status: 400 }), "CredentialsExpired", true],
  [sdkError("TokenRefreshRequired", { status: 400 }), "CredentialsExpired", true],
  ...["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"].map((name) =>
    [sdkError(name, { status: 403 }), "ClockSkew", true] as const
  ),
  ...["Signature expired: 1 is now earlier than 2", "Signature not yet current: 2 is still later than 1"].map((
    message
  ) => [sdkError("InvalidSignatureException", { status: 400, message }), "ClockSkew", true] as const),
  ...["SlowDownRead", "ThrottledException", "RequestLimitExceeded", "BandwidthLimitExceeded"].map((name) =>
    [sdkError(name, { status: 400 }), "Throttled", true] as const
  ),
  ...["AccountProblem", "AllAccessDisabled", "NotSignedUp", "KmsAccessDenied"].map((name) =>
    [sdkError(name, { status: 400 }), "AccessDenied", false] as const
  ),
  [sdkError("InvalidObjectState", { status: 403 }), "InvalidRequest", false],
  [sdkError("PurgeQueueInProgress", { status: 403 }), "Conflict", true],
  [sdkError("Unknown", { status: 304 }), "PreconditionFailed", false],
  [sdkError("Unknown", { status: 408 }), "Timeout", true],
  [sdkError("TemporaryRedirect", { status: 307 }), "Unavailable", true],
  [sdkError("Unknown", { status: 307 }), "Unavailable", true],
  [sdkError("InvalidRange", { status: 416 }), "InvalidRequest", false],
  ...[302, 303, 308].map((status) => [sdkError("Unknown", { status }), "MalformedReply", false] as const),
  [sdkError("Error", { code: "HPE_INVALID_CONSTANT" }), "MalformedReply", false],
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
  ...[500, 502, 503, 504, 509, 520, 522, 524, 529, 599].map((status) =>
    [sdkError("Unknown", { status }), "Unavailable", true] as const
  ),
  ...[400, 404, 409, 418, 501, 507].map((status) =>
    [sdkError("Unknown", { status }), "InvalidRequest", false] as const
  ),
  [sdkError("TimeoutError", { code: "ECONNRESET" }), "ConnectionLost", true],
  [sdkError("TimeoutError", { code: "EPIPE" }), "ConnectionLost", true],
  ...["ECONNABORTED", "ERR_STREAM_PREMATURE_CLOSE", "UND_ERR_SOCKET", "UND_ERR_RES_CONTENT_LENGTH_MISMATCH"].map((
    code
  ) => [sdkError("Error", { code }), "ConnectionLost", true] as const),
  ...["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN"].map((code) =>
    [sdkError("Error", { code }), "Unreachable", true] as const
  ),
  ...[
    "CERT_HAS_EXPIRED",
    "CERT_NOT_YET_VALID",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "HOSTNAME_MISMATCH",
    "INVALID_CA",
    "EPROTO",
    "ERR_SSL_WRONG_VERSION_NUMBER"
  ].map((code) => [sdkError("Error", { code }), "Tls", false] as const),
  ...["UND_ERR_CONNECT_TIMEOUT", "ERR_TLS_HANDSHAKE_TIMEOUT"].map((code) =>
    [sdkError("Error", { code }), "ConnectTimeout", true] as const
  ),
  ...["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"].map((code) =>
    [sdkError("Error", { code }), "ReadTimeout", true] as const
  ),
  [sdkError("Error", { code: "ETIMEDOUT", message: "connect ETIMEDOUT 10.0.0.1:443" }), "ConnectTimeout", true],
  [sdkError("Error", { code: "ETIMEDOUT", message: "read ETIMEDOUT" }), "ReadTimeout", true],
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

  it("takes an abort that we did not ask for as a failure whose outcome nobody knows", () => {
    expect(toServiceError("S3", "PutObject", Object.assign(new Error("Request aborted"), { name: "AbortError" })))
      .toMatchObject({ reason: "Unknown", retryable: false, outcome: "unknown" })
  })

  it("survives what is not an error", () => {
    for (const cause of [undefined, null, "text", 42, {}, { name: 1, message: {} }]) {
      expect(toServiceError("S3", "PutObject", cause)).toMatchObject({ reason: "Unknown", retryable: false })
    }
  })
})

describe("a cause with a code", () => {
  it("counts, and is told", () => {
    const socket = Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" })
    const error = toServiceError("S3", "GetObject", new TypeError("terminated", { cause: socket }))
    expect(error).toMatchObject({ reason: "ConnectionLost", cause: { code: "UND_ERR_SOCKET" } })
    expect(error.message).toContain("terminated: other side closed")
  })

  it("does not count where the error has a name of its own", () => {
    const cause = Object.assign(sdkError("CredentialsProviderError"), { cause: sdkError("Error", { code: "EPIPE" }) })
    expect(toServiceError("S3", "GetObject", cause).reason).toBe("MissingCredentials")
  })

  it("may go round in a circle", () => {
    const circular: { cause?: unknown } = {}
    circular.cause = circular
    expect(toServiceError("S3", "GetObject", circular).reason).toBe("Unknown")
  })
})

describe("hints", () => {
  it("say what to do where it is not obvious", () => {
    for (
      const [name, hint] of [
        ["RequestTimeTooSkewed", /clock/],
        ["InvalidToken", /AWS_SESSION_TOKEN/],
        ["InvalidObjectState", /archived/],
        ["AllAccessDisabled", /AWS account/]
      ] as const
    ) expect(toServiceError("S3", "GetObject", sdkError(name, { status: 403 })).hint).toMatch(hint)
    expect(toServiceError("SQS", "SendMessage", sdkError("Error", { code: "CERT_HAS_EXPIRED" })).hint)
      .toMatch(/AWS_ENDPOINT_URL_SQS against the server's certificate/)
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
        sdkError("RequestTimeout", { status: 400 }),
        sdkError("Unknown", { status: 302 }),
        sdkError("Error", { code: "HPE_INVALID_CONSTANT" }),
        // These codes may also end a connection that was in use.
        sdkError("Error", { code: "EPROTO" }),
        sdkError("Error", { code: "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC" }),
        // What is not understood may have been done.
        sdkError("SomethingNew")
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
    // An earlier attempt counts as well: here it is known that none was left without an answer.
    const outcomeOf = (service: "S3" | "SQS", operation: string, cause: unknown) =>
      toServiceError(service, operation, cause, { doubtful: false }).outcome
    expect(outcomeOf("S3", "PutObject", sdkError("BadDigest", { status: 400 }))).toBeUndefined()
    expect(outcomeOf("SQS", "SendMessage", sdkError("Error", { code: "ECONNREFUSED" }))).toBeUndefined()
    expect(toServiceError("S3", "PutObject", sdkError("BadDigest", { status: 400 }))).toMatchObject({
      attempts: 3,
      outcome: "unknown"
    })
    expect(
      toServiceError("S3", "PutObject", sdkError("AccessDenied", { status: 403 }), { doubtful: true }).outcome
    ).toBe("unknown")
    for (
      const cause of [
        sdkError("ThrottlingException", { status: 400 }),
        sdkError("RequestTimeTooSkewed", { status: 403 }),
        sdkError("Error", { code: "CERT_HAS_EXPIRED" }),
        sdkError("Error", { code: "UND_ERR_CONNECT_TIMEOUT" })
      ]
    ) expect(outcomeOf("SQS", "SendMessage", cause)).toBeUndefined()
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

  it("quotes nothing that signs a request", () => {
    const secret = "SeCrEt/+0123456789=="
    const encoded = encodeURIComponent(secret)
    for (
      const message of [
        `x-amz-security-token: ${secret} is not allowed`,
        `'X-Amz-Security-Token'='${secret}'`,
        `Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=${secret}/x, Signature=${secret}`,
        `{"authorization":"AWS4-HMAC-SHA256 Credential=${secret}"}`,
        `cannot get https://b.s3/k?X-Amz-Algorithm=A&X-Amz-Credential=${encoded}&X-Amz-Date=1&X-Amz-Security-Token=${encoded}&X-Amz-Signature=${encoded}`,
        `cannot get https://h/?next=https%3A%2F%2Fb%2Fk%3FX-Amz-Signature%3D${encoded}`,
        `AWS4-HMAC-SHA256 Credential=${secret}, SignedHeaders=host, Signature=${secret}`
      ]
    ) {
      const error = toServiceError("S3", "GetObject", sdkError("Odd", { status: 400, message }))
      for (const text of [error.message, JSON.stringify(error), inspect(error, { depth: 20, showHidden: true })]) {
        expect(text).not.toContain("SeCrEt")
      }
      expect(error.message).toContain("<redacted>")
    }
    const innocent = "The authorization header is malformed; the region 'x' is wrong. Signature expired: 1 is before 2"
    expect(toServiceError("S3", "GetObject", sdkError("Odd", { message: innocent })).message).toContain(innocent)
  })

  it("counts no attempt if nothing was sent", () => {
    expect(toServiceError("S3", "PutObject", sdkError("CredentialsProviderError")).attempts).toBe(0)
  })
})
