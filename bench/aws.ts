/** Files and messages: ours against the bare SDK clients, on a server in another process that keeps nothing. */
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import { Upload } from "@aws-sdk/lib-storage"
import { Queue } from "@betterai/infrastructure/aws/Queue"
import { Storage } from "@betterai/infrastructure/aws/Storage"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { fork } from "node:child_process"
import { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { compare, median, onFibers, onLoops } from "./harness.ts"
import * as NullServer from "./nullServer.ts"

const KIBIBYTE = 1024
const MEBIBYTE = 1024 * KIBIBYTE
const CONCURRENCY = 20
const BURST = 1000

const LARGE_UPLOADS = 5

/** By how much the memory of a process grows that uploads 1 GiB. */
const compareGrowth = async (endpoint: string): Promise<void> => {
  const contenders = ["lib-storage", "ours"]
  const growth = contenders.map((): Array<number> => [])
  for (let round = 0; round < LARGE_UPLOADS; round++) {
    for (const [index, contender] of contenders.entries()) {
      const child = fork(fileURLToPath(new URL("./largeUpload.ts", import.meta.url)), [contender, endpoint], {
        execArgv: [...process.execArgv, "--no-warnings"]
      })
      growth[index]!.push(
        await new Promise<number>((resolve) => child.once("message", (mebibytes) => resolve(mebibytes as number)))
      )
    }
  }
  console.log(`\nmemory that grows with an upload of 1 GiB, MiB (${LARGE_UPLOADS} processes each)`)
  for (const [index, contender] of contenders.entries()) {
    const each = growth[index]!
    console.log(
      contender.padEnd(34) + median(each).toFixed(0).padStart(8) +
        `   ${Math.min(...each).toFixed(0)}–${Math.max(...each).toFixed(0)}`
    )
  }
}

export const run = async (): Promise<void> => {
  const { client: options, endpoint, settings, stop } = await NullServer.start("nullAws")
  const s3 = new S3Client({ ...options, forcePathStyle: true })
  const sqs = new SQSClient({ ...options, useQueueUrlAsEndpoint: false })
  const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
  const runtime = ManagedRuntime.make(
    Layer.merge(Storage.layer, Queue.layer).pipe(
      Layer.provide(settings({ AWS_SQS_QUEUE_URL: queueUrl, IMAGE_S3_BUCKET: "bench" }))
    )
  )
  try {
    const storage = await runtime.runPromise(Storage)
    const queue = await runtime.runPromise(Queue)
    const bucket = { Bucket: "bench" }
    const file = { customerId: 1, fileExtension: "png" }
    let number = 0

    const data = new Uint8Array(64 * KIBIBYTE).fill(7)
    const put = () =>
      s3.send(
        new PutObjectCommand({ ...bucket, Key: `bench/${++number}.png`, Body: data, ContentType: "image/png" })
      )
    await compare({
      work: `upload of 64 KiB, ${CONCURRENCY} at a time`,
      count: 1000,
      contenders: [
        { name: "PutObjectCommand", run: (count) => onLoops(put, count, CONCURRENCY) },
        {
          name: "ours, bytes",
          run: (count) => runtime.runPromise(onFibers(storage.uploadImage({ ...file, data }), count, CONCURRENCY))
        },
        {
          name: "ours, a stream of one chunk",
          run: (count) =>
            runtime.runPromise(
              onFibers(storage.uploadImage({ ...file, data: Stream.succeed(data) }), count, CONCURRENCY)
            )
        }
      ]
    })

    await compare({
      work: `uploads of 64 KiB by ours, ${BURST} at once`,
      count: BURST,
      contenders: [CONCURRENCY, BURST].map((fibers) => ({
        name: `${fibers} at a time`,
        run: (count) => runtime.runPromise(onFibers(storage.uploadImage({ ...file, data }), count, fibers))
      }))
    })

    const chunk = new Uint8Array(64 * KIBIBYTE).fill(7)
    const chunks = (size: number) => Array.from({ length: size / chunk.byteLength }, () => chunk)
    await compare({
      work: "upload of 1 GiB as a stream of unknown length, MiB",
      count: KIBIBYTE,
      rounds: 5,
      contenders: [
        {
          name: "lib-storage, its defaults",
          run: async (count) => {
            const Body = Readable.from(chunks(count * MEBIBYTE))
            await new Upload({ client: s3, params: { ...bucket, Key: "large", Body } }).done()
          }
        },
        {
          name: "ours",
          run: async (count) => {
            const data = Stream.fromIterable(chunks(count * MEBIBYTE))
            await runtime.runPromise(storage.uploadVideo({ ...file, fileExtension: "mp4", data }))
          }
        }
      ]
    })

    await compareGrowth(endpoint)

    await compare({
      work: "download of 1 GiB, MiB",
      count: KIBIBYTE,
      rounds: 5,
      contenders: [
        {
          name: "GetObjectCommand's body",
          run: async (count) => {
            const reply = await s3.send(new GetObjectCommand({ ...bucket, Key: `zeros-${count * MEBIBYTE}` }))
            let size = 0
            for await (const chunk of reply.Body as AsyncIterable<Uint8Array>) size += chunk.byteLength
            if (size !== count * MEBIBYTE) throw new Error("bytes are missing")
          }
        },
        {
          name: "ours",
          run: async (count) => {
            const size = await runtime.runPromise(
              Stream.runFold(storage.read(`zeros-${count * MEBIBYTE}`), 0, (sum, chunk) => sum + chunk.byteLength)
            )
            if (size !== count * MEBIBYTE) throw new Error("bytes are missing")
          }
        }
      ]
    })

    const payload = { text: "x".repeat(1000) }
    const send = () => sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(payload) }))
    await compare({
      work: `enqueue of 1 KiB, ${CONCURRENCY} at a time`,
      count: 2000,
      contenders: [
        { name: "SendMessageCommand", run: (count) => onLoops(send, count, CONCURRENCY) },
        {
          name: "ours",
          run: (count) => runtime.runPromise(Effect.asVoid(onFibers(queue.enqueue(payload), count, CONCURRENCY)))
        }
      ]
    })
  } finally {
    await runtime.dispose()
    s3.destroy()
    sqs.destroy()
    stop()
  }
}
