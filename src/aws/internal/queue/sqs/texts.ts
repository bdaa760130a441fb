/**
 * Whether SQS has the texts that were sent, and we those that it has. The SDK compares their MD5 sums as well, but with all
 * that a reply says at once, and throws if one differs: then nothing is known of the others. So its check gets a reply that
 * says nothing.
 */
import type { SQSClient } from "@aws-sdk/client-sqs"
import { constTrue } from "effect/Function"
import { createHash } from "node:crypto"
import { ServiceError } from "../../../../Errors.ts"
import { metadataOf } from "./malformedReply.ts"

/** Whether SQS has that text; `md5` is the sum that it gives. */
export type IsSame = (text: string, md5: unknown) => boolean

/** The client has to be told where there is no MD5, as on machines in FIPS mode. */
export const isSame = (client: Pick<SQSClient, "config">): IsSame =>
  client.config.md5 === false ? constTrue : (text, md5) => md5 === createHash("md5").update(text).digest("hex")

/** The error of a message whose text is another. One that was received comes again. */
export const otherText = (
  operation: "ReceiveMessage" | "SendMessage" | "SendMessageBatch",
  { $metadata }: { readonly $metadata?: unknown }
): ServiceError => {
  const { attempts, requestId } = metadataOf($metadata)
  const isReceived = operation === "ReceiveMessage"
  return new ServiceError({
    service: "SQS",
    operation,
    reason: "Checksum",
    retryable: isReceived,
    attempts,
    detail: isReceived
      ? "the text of each message is another than was sent"
      : "SQS accepted another text than was sent",
    hint: "check AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_SQS, and what stands between",
    ...(isReceived ? {} : { outcome: "unknown" }),
    ...(requestId === undefined ? {} : { requestId })
  })
}

/** Keeps the reply to a command from the SDK's check. */
export const unchecked = <
  Command extends { readonly middlewareStack: { readonly add: (run: never, options: never) => void } }
>(command: Command): Command => {
  command.middlewareStack.add(middleware.run as never, middleware.options as never)
  return command
}

/** The reply to an {@link unchecked} command. A client that is replaced in a test may run no middleware. */
export const replyOf = <Reply extends object>(reply: Reply): Reply =>
  (reply as { readonly [hidden]?: Reply })[hidden] ?? reply

const hidden: unique symbol = Symbol("@betterai/infrastructure/Reply")

const middleware = {
  // After the SDK's check on the way to the server, and so before it on the way back.
  options: { step: "initialize", priority: "low", name: "betteraiUnchecked" },
  run: (next: (args: object) => Promise<{ readonly output: { readonly $metadata?: unknown } }>) =>
  async (
    args: object
  ) => {
    const result = await next(args)
    return { ...result, output: { $metadata: result.output.$metadata, [hidden]: result.output } }
  }
} as const
