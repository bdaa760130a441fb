/**
 * S3 and SQS that keep nothing, in a process of their own: they read what they are sent and answer with what the clients
 * need. `GET /bucket/zeros-N` answers with N bytes.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const ETAG = "\"5d41402abc4b2a76b9719d911017c592\""
const CHUNK = Buffer.alloc(1024 * 1024)

const xml = (name: string, body: string): string => `<?xml version="1.0" encoding="UTF-8"?><${name}>${body}</${name}>`

const server = createServer((request, response) => {
  const url = request.url ?? ""
  const chunks: Array<Buffer> = []
  const isMessage = request.method === "POST" && !url.includes("uploads")
  // Only a message's text is looked at: SQS answers with its MD5, which the client checks.
  if (isMessage) request.on("data", (chunk: Buffer) => chunks.push(chunk))
  else request.resume()
  request.on("end", () => {
    if (request.method === "GET") return void sendZeros(Number(/zeros-(\d+)/.exec(url)?.[1]))
    if (request.method === "PUT") return void response.writeHead(200, { etag: ETAG }).end()
    if (url.includes("uploads")) {
      return void response.end(xml("InitiateMultipartUploadResult", "<UploadId>1</UploadId>"))
    }
    if (url.includes("uploadId")) {
      return void response.end(xml("CompleteMultipartUploadResult", `<ETag>${ETAG}</ETag>`))
    }
    void answerMessage(Buffer.concat(chunks))
  })

  const sendZeros = async (size: number): Promise<void> => {
    response.writeHead(200, { etag: ETAG, "content-length": size, "last-modified": "Sun, 29 Nov 2026 00:00:00 GMT" })
    for (let left = size; left > 0; left -= CHUNK.byteLength) {
      const chunk = left < CHUNK.byteLength ? CHUNK.subarray(0, left) : CHUNK
      if (!response.write(chunk)) await new Promise<void>((resolve) => response.once("drain", resolve))
    }
    response.end()
  }

  const answerMessage = async (body: Buffer): Promise<void> => {
    const { createHash } = await import("node:crypto")
    const { MessageBody } = JSON.parse(body.toString()) as { readonly MessageBody: string }
    response.writeHead(200, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify({
      MessageId: "1",
      MD5OfMessageBody: createHash("md5").update(MessageBody).digest("hex")
    }))
  }
})
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit())
