/** A process that uploads 1 GiB as a stream of unknown length, and tells by how many MiB its memory grew meanwhile. */
import { S3Client } from "@aws-sdk/client-s3"
import { Upload } from "@aws-sdk/lib-storage"
import { Storage } from "@betterai/infrastructure/aws/Storage"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"

const MEBIBYTE = 1024 * 1024
const [, , contender, endpoint = ""] = process.argv

/** The same chunk again and again, so that none of the memory is the source's. */
const chunk = new Uint8Array(64 * 1024).fill(7)
const chunks = function*(size: number): Generator<Uint8Array> {
  for (let left = size; left > 0; left -= chunk.byteLength) yield chunk
}

const byLibStorage = async (): Promise<(size: number) => Promise<void>> => {
  const credentials = { accessKeyId: "AKID", secretAccessKey: "secret" }
  const client = new S3Client({ region: "eu-west-1", endpoint, credentials, forcePathStyle: true })
  return async (size) => {
    const Body = Readable.from(chunks(size), { objectMode: false })
    await new Upload({ client, params: { Bucket: "bench", Key: "large", Body } }).done()
  }
}

const byOurs = async (): Promise<(size: number) => Promise<void>> => {
  const settings = ConfigProvider.fromMap(
    new Map([
      ["AWS_ACCESS_KEY_ID", "AKID"],
      ["AWS_SECRET_ACCESS_KEY", "secret"],
      ["AWS_REGION", "eu-west-1"],
      ["AWS_ENDPOINT_URL", endpoint],
      ["IMAGE_S3_BUCKET", "bench"]
    ])
  )
  const runtime = ManagedRuntime.make(Layer.provide(Storage.layer, Layer.setConfigProvider(settings)))
  const storage = await runtime.runPromise(Storage)
  return (size) =>
    runtime.runPromise(Effect.asVoid(
      storage.uploadVideo({
        customerId: 1,
        fileExtension: "mp4",
        data: Stream.fromAsyncIterable(Readable.from(chunks(size)), (cause) => cause)
      })
    ))
}

const upload = await (contender === "ours" ? byOurs() : byLibStorage())
await upload(MEBIBYTE)
const before = process.memoryUsage.rss()
let most = before
const timer = setInterval(() => most = Math.max(most, process.memoryUsage.rss()), 10)
await upload(1024 * MEBIBYTE)
clearInterval(timer)
process.send?.((most - before) / MEBIBYTE, () => process.exit())
