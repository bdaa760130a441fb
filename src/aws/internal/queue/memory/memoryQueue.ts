/**
 * A queue in memory: what SQS does with messages, as a state that is told the time with each step (milliseconds since
 * 1970). No step takes longer the more messages there are, but for those that look at all of them.
 */
import { createHash } from "node:crypto"
import type { ServiceError } from "../../../../Errors.ts"
import { type Place, WaitQueue } from "../../../../internal/waitQueue.ts"
import { toServiceError } from "../../errors/classify.ts"
import type { Enqueued, RawMessage } from "../backend.ts"
import { DEDUPLICATION_WINDOW, MAX_VISIBILITY } from "../limits.ts"
import type { Message, QueueKind } from "../message.ts"
import { type Timer, Timers } from "./timers.ts"

/** A message that the queue holds. */
export interface Stored extends Enqueued {
  readonly message: Message
  readonly order: number
  readonly messageDeduplicationId: string | undefined
  readonly sentAt: number
  readonly group: Group | undefined
  visibleAt: number
  receiveCount: number
  /** When it was received last. */
  receivedAt: number | undefined
  /** Every receipt that it had, the valid one last. */
  readonly receipts: Array<string>
  /** In its group; or among what is ready, while it is. */
  place: Place<Stored> | Place<Stored | Group> | undefined
  timer: Timer | undefined
}

/** The messages of a group of a FIFO queue, in order. While one of them is in flight no other is given. */
interface Group {
  readonly id: string
  readonly messages: WaitQueue<Stored>
  readonly inFlight: Set<Stored>
  /** Received as often as may be. As SQS does it, they leave when they would be received: not while the group waits. */
  readonly spent: Set<Stored>
  place: Place<Stored | Group> | undefined
  timer: Timer | undefined
}

export class MemoryQueue {
  readonly #kind: QueueKind
  /** How often a message is received before it is a dead letter. */
  readonly #maxReceiveCount: number
  readonly #messages = new Set<Stored>()
  readonly #groups = new Map<string, Group>()
  /** What can be received now: messages, and groups that have some, in order. */
  readonly #ready = new WaitQueue<Stored | Group>()
  readonly #byReceipt = new Map<string, Stored>()
  /** What was sent with an id lately, the oldest first. */
  readonly #sent = new Map<string, Stored>()
  readonly #deadLetters = new Set<Stored>()
  readonly timers = new Timers()
  #order = 0
  #receipts = 0

  constructor(kind: QueueKind, maxReceiveCount: number | undefined) {
    this.#kind = kind
    this.#maxReceiveCount = maxReceiveCount ?? Infinity
  }

  send(message: Message, now: number): Enqueued {
    this.timers.run(now)
    const fifo = this.#kind === "fifo" || message.messageDeduplicationId !== undefined
    // A FIFO queue in memory deduplicates by content if the message has no id.
    const deduplicationId = message.messageDeduplicationId
      ?? (fifo ? createHash("sha256").update(message.body).digest("hex") : undefined)
    if (deduplicationId === undefined) return receiptOf(this.#add(message, undefined, now))
    for (const [id, { sentAt }] of this.#sent) {
      if (now - sentAt < DEDUPLICATION_WINDOW) break
      this.#sent.delete(id)
    }
    const stored = this.#sent.get(deduplicationId) ?? this.#add(message, deduplicationId, now)
    this.#sent.set(deduplicationId, stored)
    return receiptOf(stored)
  }

  receive(max: number, visibility: number, now: number): ReadonlyArray<RawMessage> {
    this.timers.run(now)
    const taken: Array<Stored> = []
    for (let next = this.#ready.first; next !== undefined && taken.length < max; next = this.#ready.first) {
      this.#leaveReady(next)
      if (!isGroup(next)) taken.push(next)
      else {
        let place = next.messages.first?.place as Place<Stored> | undefined
        for (; place !== undefined && taken.length < max; place = place.next) taken.push(place.value)
      }
    }
    for (const stored of taken) {
      stored.receiveCount++
      stored.receivedAt = now
      stored.visibleAt = now + visibility
      const receipt = `memory-${++this.#receipts}`
      stored.receipts.push(receipt)
      this.#byReceipt.set(receipt, stored)
      stored.group?.inFlight.add(stored)
    }
    const received = taken.map(rawMessage)
    // Only now: with a visibility of 0 they are ready again.
    for (const stored of taken) this.#settle(stored, now)
    return received
  }

  /** The error, if it was not deleted. A standard queue also says yes to an old receipt, and deletes nothing. */
  delete(receipt: string, now: number): ServiceError | undefined {
    this.timers.run(now)
    if (!this.#wasGiven(receipt)) return refusal("DeleteMessageBatch", "ReceiptHandleIsInvalid", "is not a receipt")
    const stored = this.#byReceipt.get(receipt)
    if (stored === undefined) return undefined
    const old = stored.receipts.at(-1) !== receipt
    if (stored.group !== undefined && (old || stored.visibleAt <= now)) {
      return refusal("DeleteMessageBatch", "InvalidParameterValue", "the receipt handle has expired")
    }
    if (!old) this.#remove(stored, now)
    return undefined
  }

  /** The error, if its visibility was not changed. */
  setVisibility(receipt: string, visibility: number, now: number): ServiceError | undefined {
    this.timers.run(now)
    const operation = "ChangeMessageVisibilityBatch"
    if (!this.#wasGiven(receipt)) return refusal(operation, "ReceiptHandleIsInvalid", "is not a receipt")
    const stored = this.#byReceipt.get(receipt)
    if (stored === undefined) return refusal(operation, "InvalidParameterValue", "the message does not exist")
    if (stored.receipts.at(-1) !== receipt || stored.visibleAt <= now) {
      return refusal(operation, "MessageNotInflight", "the message is not in flight")
    }
    if (now + visibility - (stored.receivedAt ?? now) > MAX_VISIBILITY * 1000) {
      return refusal(operation, "InvalidParameterValue", "the total visibility is beyond 12 hours")
    }
    stored.visibleAt = now + visibility
    this.#settle(stored, now)
    return undefined
  }

  /** Dead letters stay. */
  purge(now: number): void {
    this.timers.run(now)
    // With the last that is in flight, these would leave as dead letters.
    for (const { spent } of this.#groups.values()) spent.clear()
    for (const stored of [...this.#messages]) this.#remove(stored, now)
  }

  /** What would be received by now, in order. */
  deliverable(now: number): ReadonlyArray<Stored> {
    this.timers.run(now)
    const found: Array<{ readonly stored: Stored; readonly at: number }> = []
    for (const { value } of this.#ready.places()) {
      if (!isGroup(value)) found.push({ stored: value, at: value.visibleAt })
      else {
        let at = 0
        for (const { value: stored } of value.messages.places()) {
          at = Math.max(at, stored.visibleAt)
          found.push({ stored, at })
        }
      }
    }
    return found.sort((left, right) => left.at - right.at || left.stored.order - right.stored.order)
      .map(({ stored }) => stored)
  }

  /** What was received as often as the redrive policy allows, and not deleted, the oldest first. */
  deadLetters(now: number): ReadonlyArray<Stored> {
    this.timers.run(now)
    return [...this.#deadLetters]
  }

  /** Moves so many dead letters back, as new messages. */
  revive(count: number, now: number): void {
    let left = count
    for (const dead of this.#deadLetters) {
      if (left-- <= 0) return
      this.#deadLetters.delete(dead)
      this.#add({ ...dead.message, delaySeconds: undefined }, dead.messageDeduplicationId, now)
    }
  }

  counts(now: number): { readonly visible: number; readonly inFlight: number; readonly delayed: number } {
    this.timers.run(now)
    let inFlight = 0
    let delayed = 0
    for (const { receiveCount, visibleAt } of this.#messages) {
      if (visibleAt <= now) continue
      if (receiveCount > 0) inFlight++
      else delayed++
    }
    return { visible: this.#messages.size - inFlight - delayed, inFlight, delayed }
  }

  #add(message: Message, messageDeduplicationId: string | undefined, now: number): Stored {
    const order = ++this.#order
    const group = messageDeduplicationId === undefined ? undefined : this.#group(message.messageGroupId ?? "")
    const stored: Stored = {
      message,
      messageId: globalThis.crypto.randomUUID(),
      sequenceNumber: group === undefined ? undefined : String(order).padStart(20, "0"),
      order,
      messageDeduplicationId,
      sentAt: now,
      group,
      visibleAt: now + (message.delaySeconds ?? 0) * 1000,
      receiveCount: 0,
      receivedAt: undefined,
      receipts: [],
      place: undefined,
      timer: undefined
    }
    this.#messages.add(stored)
    if (group !== undefined) stored.place = group.messages.join(stored)
    this.#settle(stored, now)
    return stored
  }

  #group(id: string): Group {
    let group = this.#groups.get(id)
    if (group === undefined) {
      group = {
        id,
        messages: new WaitQueue(),
        inFlight: new Set(),
        spent: new Set(),
        place: undefined,
        timer: undefined
      }
      this.#groups.set(id, group)
    }
    return group
  }

  #wasGiven(receipt: string): boolean {
    const number = /^memory-(\d{1,15})$/.exec(receipt)?.[1]
    return number !== undefined && Number(number) > 0 && Number(number) <= this.#receipts
  }

  /** Puts a message where it belongs after its visibility was changed. */
  #settle(stored: Stored, now: number): void {
    if (stored.group !== undefined) return this.#settleGroup(stored.group, now)
    this.timers.cancel(stored.timer)
    this.#leaveReady(stored)
    if (stored.visibleAt > now) {
      stored.timer = this.timers.set(stored.visibleAt, (later) => this.#settle(stored, later))
    } else if (stored.receiveCount >= this.#maxReceiveCount) {
      this.#bury(stored, now)
    } else {
      stored.place = this.#ready.join(stored)
    }
  }

  #settleGroup(group: Group, now: number): void {
    this.timers.cancel(group.timer)
    let blockedUntil = 0
    for (const stored of group.inFlight) {
      if (stored.visibleAt > now) blockedUntil = Math.max(blockedUntil, stored.visibleAt)
      else {
        group.inFlight.delete(stored)
        if (stored.receiveCount >= this.#maxReceiveCount) group.spent.add(stored)
      }
    }
    if (group.inFlight.size === 0) {
      const spent = [...group.spent].sort((left, right) => left.order - right.order)
      group.spent.clear()
      for (const stored of spent) this.#bury(stored, now)
    }
    if (group.inFlight.size > 0) {
      this.#leaveReady(group)
      group.timer = this.timers.set(blockedUntil, (later) => this.#settleGroup(group, later))
    } else if (group.messages.size === 0) {
      this.#leaveReady(group)
      this.#groups.delete(group.id)
    } else {
      group.place ??= this.#ready.join(group)
    }
  }

  #leaveReady(item: Stored | Group): void {
    if (item.place !== undefined) this.#ready.leave(item.place as Place<Stored | Group>)
    item.place = undefined
  }

  #bury(stored: Stored, now: number): void {
    this.#remove(stored, now)
    this.#deadLetters.add(stored)
  }

  #remove(stored: Stored, now: number): void {
    this.#messages.delete(stored)
    for (const receipt of stored.receipts) this.#byReceipt.delete(receipt)
    this.timers.cancel(stored.timer)
    const { group } = stored
    if (group === undefined) return this.#leaveReady(stored)
    group.spent.delete(stored)
    group.messages.leave(stored.place as Place<Stored>)
    if (group.inFlight.delete(stored) || group.messages.size === 0) this.#settleGroup(group, now)
  }
}

const isGroup = (item: Stored | Group): item is Group => "inFlight" in item

const receiptOf = ({ messageId, sequenceNumber }: Stored): Enqueued => ({
  messageId,
  ...(sequenceNumber === undefined ? {} : { sequenceNumber })
})

const rawMessage = (stored: Stored): RawMessage => ({
  messageId: stored.messageId,
  receipt: stored.receipts.at(-1) ?? "",
  body: stored.message.body,
  attributes: stored.message.attributes,
  receiveCount: stored.receiveCount,
  sentAt: stored.sentAt,
  messageGroupId: stored.message.messageGroupId,
  messageDeduplicationId: stored.messageDeduplicationId,
  sequenceNumber: stored.sequenceNumber,
  traceHeader: stored.message.traceHeader
})

/** As SQS says it. */
export const refusal = (operation: string, code: string, message: string): ServiceError =>
  toServiceError("SQS", operation, { name: code, message, $metadata: { httpStatusCode: 400, attempts: 1 } })
