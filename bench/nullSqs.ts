/**
 * SQS that keeps nothing, in a process of its own. A queue whose name ends in `-5ms` answers after 5 ms. `POST /fill?queue=…&count=…` puts messages of 1 KiB into a queue, and
 * answers when all of them were received and deleted.
 */
import { createHash } from "node:crypto"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

interface Queue {
  /** Messages that were not received yet. */
  left: number
  /** Messages that were not deleted yet. */
  pending: number
  readonly polls: Set<() => void>
  onEmpty: () => void
}

const BODY = JSON.stringify({ text: "x".repeat(1000) })
const md5 = (text: string): string => createHash("md5").update(text).digest("hex")
const BODY_MD5 = md5(BODY)

const queues = new Map<string, Queue>()
const queueOf = (name: string): Queue => {
  const known = queues.get(name)
  if (known !== undefined) return known
  const made: Queue = { left: 0, pending: 0, polls: new Set(), onEmpty: () => {} }
  queues.set(name, made)
  return made
}

let number = 0
const message = () => ({
  MessageId: `00000000-0000-0000-0000-${String(++number).padStart(12, "0")}`,
  ReceiptHandle: `receipt-${number}-${"r".repeat(160)}`,
  MD5OfBody: BODY_MD5,
  Body: BODY,
  Attributes: { ApproximateReceiveCount: "1", SentTimestamp: "1764460800000" }
})

const latency = new WeakMap<ServerResponse, number>()

const answer = (response: ServerResponse, value: object): void => {
  const body = JSON.stringify(value)
  const send = (): void => void response.writeHead(200, { "content-type": "application/x-amz-json-1.0" }).end(body)
  const millis = latency.get(response)
  if (millis === undefined) send()
  else setTimeout(send, millis)
}

interface Request {
  readonly QueueUrl: string
  readonly MessageBody?: string
  readonly MaxNumberOfMessages?: number
  readonly WaitTimeSeconds?: number
  readonly Entries?: ReadonlyArray<{ readonly Id: string; readonly MessageBody: string }>
}

const receive = (queue: Queue, request: Request, response: ServerResponse): void => {
  const deliver = (): void => {
    const count = Math.min(queue.left, request.MaxNumberOfMessages ?? 1)
    queue.left -= count
    answer(response, count === 0 ? {} : { Messages: Array.from({ length: count }, message) })
  }
  if (queue.left > 0) return deliver()
  const end = (): void => {
    clearTimeout(timer)
    queue.polls.delete(end)
    if (!response.destroyed) deliver()
  }
  const timer = setTimeout(end, (request.WaitTimeSeconds ?? 0) * 1000)
  queue.polls.add(end)
}

const deleted = (queue: Queue, count: number): void => {
  queue.pending -= count
  if (queue.pending === 0) queue.onEmpty()
}

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    const url = new URL(request.url ?? "", "http://localhost")
    if (url.pathname === "/fill") {
      const queue = queueOf(url.searchParams.get("queue") ?? "")
      queue.left = queue.pending = Number(url.searchParams.get("count"))
      queue.onEmpty = () => void response.end()
      for (const poll of [...queue.polls]) poll()
      return
    }
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Request
    const queue = queueOf(body.QueueUrl.split("/").at(-1) ?? "")
    const millis = /-(\d+)ms$/.exec(body.QueueUrl)?.[1]
    if (millis !== undefined) latency.set(response, Number(millis))
    const { Entries = [] } = body
    switch (String(request.headers["x-amz-target"]).split(".")[1]) {
      case "SendMessage":
        return answer(response, { MessageId: "1", MD5OfMessageBody: md5(body.MessageBody ?? "") })
      case "SendMessageBatch":
        return answer(response, {
          Failed: [],
          Successful: Entries.map(({ Id, MessageBody }) => ({ Id, MessageId: Id, MD5OfMessageBody: md5(MessageBody) }))
        })
      case "ReceiveMessage":
        return receive(queue, body, response)
      case "DeleteMessage":
        answer(response, {})
        return deleted(queue, 1)
      case "DeleteMessageBatch":
      case "ChangeMessageVisibilityBatch":
        answer(response, { Failed: [], Successful: Entries.map(({ Id }) => ({ Id })) })
        return deleted(queue, Entries.length)
      default:
        return answer(response, { Attributes: {} })
    }
  })
})
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit())
