/** A machine whose clock is wrong: the SDK signs by the time of the server, once a reply has told it. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Answer, s3Error, type Seen } from "../support/aws/faultServer.ts"
import { input, withQueue, withStorage } from "../support/aws/faultStage.ts"
import { keepEnvironment } from "../support/keepEnvironment.ts"

const HOUR = 3_600_000
/** As if the clock of this machine were an hour fast. */
const serverTime = () => new Date(Date.now() - HOUR)
const signedAt = ({ headers }: Seen): number =>
  Date.parse(String(headers["x-amz-date"]).replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z"))

/** As S3 does: it refuses what was signed more than 15 minutes away from its own time. */
const strict = (request: Seen): Answer => {
  const date = serverTime().toUTCString()
  const skewed = Math.abs(signedAt(request) - serverTime().getTime()) > 900_000
  const answer = skewed ? s3Error(403, "RequestTimeTooSkewed") : { status: 200, headers: { etag: "\"x\"" } }
  return typeof answer === "string" ? answer : { ...answer, headers: { ...answer.headers, date } }
}

describe("a wrong clock", () => {
  const restore = keepEnvironment()
  beforeAll(() => {
    process.env["AWS_DISABLE_CLOCK_SKEW_CORRECTION"] = "true"
  })
  afterAll(restore)

  it.live("costs one more attempt, and only once", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(strict)
        yield* storage.uploadImage(input)
        expect(server.seen).toHaveLength(2)
        yield* storage.uploadImage(input)
        expect(server.seen).toHaveLength(3)
      })
    ))

  it.live("is a reason of its own, and retryable, where the server still refuses", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => s3Error(403, "RequestTimeTooSkewed", "The difference is too large."))
        const error = yield* Effect.flip(storage.uploadImage(input))
        expect(error).toMatchObject({ reason: "ClockSkew", retryable: true, status: 403, attempts: 1 })
        expect(error.outcome).toBeUndefined()
        expect(error.message).toContain("set the clock of this machine")
      })
    ))

  it.live("is what SQS means by a signature that has expired", () =>
    withQueue((queue, server) =>
      Effect.gen(function*() {
        for (const message of ["Signature expired: 1 is now earlier than 2", "Signature not yet current: 2 is later"]) {
          server.answer(() => ({
            status: 400,
            body: JSON.stringify({ __type: "com.amazon.coral.service#InvalidSignatureException", message })
          }))
          expect(yield* Effect.flip(queue.enqueue({}))).toMatchObject({ reason: "ClockSkew", retryable: true })
        }
      })
    ))
})
