/** The request that a client would send, caught before it leaves. */
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3"
import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs"
import * as Effect from "effect/Effect"

export interface Captured {
  readonly protocol: string
  readonly method: string
  readonly hostname: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export const capturedRequest = (
  client: S3Client | SQSClient,
  { bucket = "clinic-uploads", queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs" } = {}
): Effect.Effect<Captured> =>
  Effect.promise(async () => {
    let captured: Captured | undefined
    const stack = client.middlewareStack as {
      add: (middleware: unknown, options: { readonly step: "finalizeRequest"; readonly priority: "low" }) => void
    }
    stack.add(() => ({ request }: { readonly request: Captured }) => {
      captured = request
      return Promise.reject(Object.assign(new Error("enough"), { name: "Enough" }))
    }, { step: "finalizeRequest", priority: "low" })
    const failure: unknown = await (client instanceof S3Client
      ? client.send(new ListObjectsV2Command({ Bucket: bucket }))
      : client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: "{}" }))).catch((error: unknown) => error)
    if (captured === undefined) throw new Error("nothing was sent", { cause: failure })
    return captured
  })
