/** The attributes of a queue as GetQueueAttributes gives them: each is a text. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type { QueueAttributes, RedrivePolicy } from "../model.ts"

/** Fails with what is wrong. */
export const decode = (attributes: unknown): Either.Either<QueueAttributes, string> =>
  Either.gen(function*() {
    if (typeof attributes !== "object" || attributes === null) return yield* Either.left("without attributes")
    const text = (name: string): string | undefined => {
      const value: unknown = (attributes as Readonly<Record<string, unknown>>)[name]
      return typeof value === "string" && value !== "" ? value : undefined
    }
    const whole = (name: string): Either.Either<number, string> => {
      const value = text(name)
      return value !== undefined && /^\d{1,15}$/.test(value) ? Either.right(Number(value)) : Either.left(wrong(name))
    }
    const seconds = (name: string): Either.Either<Duration.Duration, string> =>
      Either.map(whole(name), Duration.seconds)
    /** Standard queues do not have it. */
    const flag = (name: string): Either.Either<boolean | undefined, string> => {
      const value = text(name)
      return value === undefined
        ? Either.right(undefined)
        : value === "true" || value === "false"
        ? Either.right(value === "true")
        : Either.left(wrong(name))
    }

    const arn = text("QueueArn")
    const name = arn?.split(":").at(-1)
    if (arn === undefined || name === undefined || !arn.startsWith("arn:")) return yield* Either.left(wrong("QueueArn"))
    return {
      name,
      arn,
      fifo: (yield* flag("FifoQueue")) ?? false,
      visible: yield* whole("ApproximateNumberOfMessages"),
      inFlight: yield* whole("ApproximateNumberOfMessagesNotVisible"),
      delayed: yield* whole("ApproximateNumberOfMessagesDelayed"),
      visibilityTimeout: yield* seconds("VisibilityTimeout"),
      retention: yield* seconds("MessageRetentionPeriod"),
      delay: yield* seconds("DelaySeconds"),
      maxMessageSize: yield* whole("MaximumMessageSize"),
      contentBasedDeduplication: yield* flag("ContentBasedDeduplication"),
      redrivePolicy: yield* redrivePolicy(text("RedrivePolicy"))
    }
  })

/** It is JSON in a text. */
const redrivePolicy = (policy: string | undefined): Either.Either<RedrivePolicy | undefined, string> => {
  if (policy === undefined) return Either.right(undefined)
  return Either.try({ try: (): unknown => JSON.parse(policy), catch: () => wrong("RedrivePolicy") }).pipe(
    Either.flatMap((parsed) => {
      const { deadLetterTargetArn, maxReceiveCount } = (parsed ?? {}) as Readonly<Record<string, unknown>>
      // A number, or the text of one: as it was set.
      const count = typeof maxReceiveCount === "string" ? Number(maxReceiveCount) : maxReceiveCount
      return typeof deadLetterTargetArn === "string" && deadLetterTargetArn.startsWith("arn:")
          && Number.isSafeInteger(count) && (count as number) > 0
        ? Either.right({ deadLetterQueueArn: deadLetterTargetArn, maxReceiveCount: count as number })
        : Either.left(wrong("RedrivePolicy"))
    })
  )
}

const wrong = (name: string): string => `${name} is missing or malformed`
