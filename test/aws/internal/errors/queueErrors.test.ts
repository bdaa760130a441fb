import { describe, expect, it } from "@effect/vitest"
import { toServiceError } from "../../../../src/aws/internal/errors/classify.ts"

/** The codes of SQS, in either of its two vocabularies, and what they mean: without a status, as for an entry of a batch. */
const codes: ReadonlyArray<readonly [string, string, boolean]> = [
  ["KmsAccessDenied", "AccessDenied", false],
  ["KMS.AccessDeniedException", "AccessDenied", false],
  ["AWS.SimpleQueueService.AccessDenied", "AccessDenied", false],
  ["KmsThrottled", "Throttled", true],
  ["KMS.ThrottlingException", "Throttled", true],
  ["RequestThrottled", "Throttled", true],
  ["OverLimit", "Throttled", true],
  ["AWS.SimpleQueueService.OverLimit", "Throttled", true],
  ["KmsDisabled", "InvalidRequest", false],
  ["KMS.DisabledException", "InvalidRequest", false],
  ["KmsInvalidState", "InvalidRequest", false],
  ["KmsInvalidKeyUsage", "InvalidRequest", false],
  ["KmsNotFound", "InvalidRequest", false],
  ["KMS.NotFoundException", "InvalidRequest", false],
  ["KmsOptInRequired", "InvalidRequest", false],
  ["ReceiptHandleIsInvalid", "InvalidRequest", false],
  ["MessageNotInflight", "InvalidRequest", false],
  ["AWS.SimpleQueueService.MessageNotInflight", "InvalidRequest", false],
  ["InvalidIdFormat", "InvalidRequest", false],
  ["InvalidParameterValue", "InvalidRequest", false],
  ["AWS.SimpleQueueService.UnsupportedOperation", "InvalidRequest", false],
  ["PurgeQueueInProgress", "Conflict", true],
  ["AWS.SimpleQueueService.PurgeQueueInProgress", "Conflict", true],
  ["QueueDeletedRecently", "Conflict", true],
  ["QueueDoesNotExist", "ResourceNotFound", false],
  ["AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFound", false],
  ["ResourceNotFoundException", "ResourceNotFound", false]
]

describe("the codes of SQS", () => {
  for (const [code, reason, retryable] of codes) {
    it(`${code} is ${reason}`, () => {
      const errors = [{ name: code }, { name: "SQSServiceException", Code: code }].map((error) =>
        toServiceError("SQS", "DeleteMessageBatch", { message: "it failed", ...error })
      )
      for (const error of errors) {
        expect(error).toMatchObject({ reason, retryable })
        expect(error.outcome).toBeUndefined()
      }
    })
  }

  it("a message that was received otherwise than it was sent comes again; one that was sent otherwise is there", () => {
    const cause = Object.assign(new Error("Invalid MD5 checksum on messages: m-1"), { name: "Error" })
    expect(toServiceError("SQS", "ReceiveMessage", cause)).toMatchObject({ reason: "Checksum", retryable: true })
    expect(toServiceError("SQS", "ReceiveMessage", cause).outcome).toBeUndefined()
    expect(toServiceError("SQS", "SendMessageBatch", cause)).toMatchObject({
      reason: "Checksum",
      retryable: false,
      outcome: "unknown"
    })
  })
})
