/** A queue of SQS on the fault server, which answers as a test says, request by request. */
import { createHash } from "node:crypto"
import type { Answer, FaultServer, Seen } from "./faultServer.ts"

export interface FakeMessage {
  readonly id: string
  readonly body: string
  readonly receipt?: string
  readonly group?: string
  readonly receiveCount?: number
  readonly attributes?: Readonly<Record<string, string>>
}

interface Entry {
  readonly Id: string
  readonly ReceiptHandle: string
  readonly VisibilityTimeout?: number
}

/** What a test looks at: the entries of one request, in short. */
export interface Action {
  readonly kind: "delete" | "visibility"
  readonly receipts: ReadonlyArray<string>
  readonly seconds: ReadonlyArray<number | undefined>
  /** By performance.now(). */
  readonly at: number
}

export interface FakeSqs {
  /** Every DeleteMessageBatch and ChangeMessageVisibilityBatch, in order. */
  readonly actions: ReadonlyArray<Action>
  /** By performance.now(): when each poll came. */
  readonly polls: ReadonlyArray<number>
  /** What the next polls bring, one each; a poll beyond them waits, as long as it may. */
  readonly bring: (...polls: ReadonlyArray<ReadonlyArray<FakeMessage>>) => void
}

export interface FakeOptions {
  /** Answers a poll (`index` counts from 0) instead of what is to be brought; `undefined` means as usual. */
  readonly onPoll?: (index: number) => Answer | undefined
  /** Answers a request, or says which receipts fail with which code. */
  readonly onAction?: (action: Action, index: number) => Answer | Readonly<Record<string, string>> | undefined
  /** Milliseconds until an answer to an action. */
  readonly delay?: (action: Action, index: number) => number
}

const json = { "content-type": "application/x-amz-json-1.0" }
const answer = (value: object, delay = 0): Answer => ({
  status: 200,
  headers: json,
  body: JSON.stringify(value),
  delay
})

/** SQS never waits longer, and tests less. */
const LONGEST_POLL = 300

const wireMessage = ({ attributes = {}, body, group, id, receipt = `r-${id}`, receiveCount = 1 }: FakeMessage) => ({
  MessageId: id,
  ReceiptHandle: receipt,
  Body: body,
  MD5OfBody: createHash("md5").update(body).digest("hex"),
  Attributes: {
    ApproximateReceiveCount: String(receiveCount),
    SentTimestamp: "1764460800000",
    ...(group === undefined ? {} : { MessageGroupId: group, SequenceNumber: id.padStart(20, "0") })
  },
  MessageAttributes: Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, { DataType: "String", StringValue: value }])
  )
})

export const fakeSqs = (server: FaultServer, options: FakeOptions = {}): FakeSqs => {
  const actions: Array<Action> = []
  const polls: Array<number> = []
  const waiting: Array<ReadonlyArray<FakeMessage>> = []

  const acted = (kind: Action["kind"], entries: ReadonlyArray<Entry>): Answer => {
    const action: Action = {
      kind,
      receipts: entries.map(({ ReceiptHandle }) => ReceiptHandle),
      seconds: entries.map(({ VisibilityTimeout }) => VisibilityTimeout),
      at: performance.now()
    }
    const index = actions.push(action) - 1
    const own = options.onAction?.(action, index)
    if (typeof own === "string" || (own !== undefined && "status" in own)) return own as Answer
    const failures = (own ?? {}) as Readonly<Record<string, string>>
    const failed = entries.filter(({ ReceiptHandle }) => failures[ReceiptHandle] !== undefined)
    return answer({
      Successful: entries.filter((entry) => !failed.includes(entry)).map(({ Id }) => ({ Id })),
      Failed: failed.map(({ Id, ReceiptHandle }) => ({
        Id,
        Code: failures[ReceiptHandle],
        SenderFault: failures[ReceiptHandle] !== "InternalError",
        Message: "no"
      }))
    }, options.delay?.(action, index))
  }

  const polled = (wait: number): Answer => {
    const index = polls.push(performance.now()) - 1
    const own = options.onPoll?.(index)
    if (own !== undefined) return own
    const messages = waiting.shift()
    return messages === undefined
      ? answer({}, Math.min(wait * 1000, LONGEST_POLL))
      : answer({ Messages: messages.map(wireMessage) })
  }

  server.answer((request: Seen) => {
    const body = JSON.parse(request.body.toString()) as {
      readonly Entries?: ReadonlyArray<Entry>
      readonly WaitTimeSeconds?: number
    }
    switch (String(request.headers["x-amz-target"]).split(".")[1]) {
      case "ReceiveMessage":
        return polled(body.WaitTimeSeconds ?? 0)
      case "DeleteMessageBatch":
        return acted("delete", body.Entries ?? [])
      case "ChangeMessageVisibilityBatch":
        return acted("visibility", body.Entries ?? [])
      default:
        return { status: 403, headers: json, body: JSON.stringify({ __type: "AccessDeniedException" }) }
    }
  })
  return { actions, polls, bring: (...more) => void waiting.push(...more) }
}
