/** An upload and a message: ours against the bare SDK clients, on the same local server. */
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import { Queue } from "@betterai/infrastructure/aws/Queue"
import { Storage } from "@betterai/infrastructure/aws/Storage"
import type { LocalStack } from "@betterai/infrastructure/local"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { compare, onFibers, onLoops } from "./harness.ts"

const CONCURRENCY = 8

export const run = async (
  settings: LocalStack.Settings,
  runtime: ManagedRuntime.ManagedRuntime<Storage | Queue, unknown>
): Promise<void> => {
  const options = {
    region: settings.AWS_REGION,
    endpoint: settings.AWS_ENDPOINT_URL,
    credentials: {
      accessKeyId: settings.AWS_ACCESS_KEY_ID,
      secretAccessKey: Redacted.value(settings.AWS_SECRET_ACCESS_KEY)
    }
  }
  const s3 = new S3Client({ ...options, forcePathStyle: true })
  const sqs = new SQSClient({ ...options, useQueueUrlAsEndpoint: false })
  const storage = await runtime.runPromise(Storage)
  const queue = await runtime.runPromise(Queue)

  const data = new Uint8Array(64 * 1024).fill(7)
  let number = 0
  await compare({
    work: `upload of 64 KiB, ${CONCURRENCY} at a time`,
    count: 200,
    contenders: [
      {
        name: "PutObjectCommand",
        run: (count) =>
          onLoops(
            () =>
              s3.send(
                new PutObjectCommand({
                  Bucket: settings.IMAGE_S3_BUCKET,
                  Key: `bench/${++number}.png`,
                  Body: data,
                  ContentType: "image/png"
                })
              ),
            count,
            CONCURRENCY
          )
      },
      {
        name: "ours",
        run: (count) =>
          runtime.runPromise(
            onFibers(storage.uploadImage({ data, customerId: 1, fileExtension: "png" }), count, CONCURRENCY)
          )
      }
    ]
  })

  const payload = { text: "x".repeat(1000) }
  await compare({
    work: `enqueue of 1 KiB, ${CONCURRENCY} at a time`,
    count: 400,
    contenders: [
      {
        name: "SendMessageCommand",
        run: (count) =>
          onLoops(
            () =>
              sqs.send(
                new SendMessageCommand({ QueueUrl: settings.AWS_SQS_QUEUE_URL, MessageBody: JSON.stringify(payload) })
              ),
            count,
            CONCURRENCY
          )
      },
      { name: "ours", run: (count) => runtime.runPromise(onFibers(queue.enqueue(payload), count, CONCURRENCY)) }
    ]
  })
  s3.destroy()
  sqs.destroy()
}
