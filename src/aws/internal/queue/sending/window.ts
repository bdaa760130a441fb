/**
 * The messages between a source and its results: read, waiting, being sent, or done and not given yet. It decides what
 * may be sent next, and gives the results in the order of the source. It is pure; who uses it waits.
 *
 * Of a group of a FIFO queue one message at a time is out of it: the next one follows when that one is known to be in the
 * queue. So a batch holds one message of a group, and no failure can change the order. After a message that failed,
 * the rest of its group is refused.
 */
import * as Either from "effect/Either"
import { ServiceError } from "../../../../Errors.ts"
import type { Enqueued } from "../backend.ts"
import { BATCH, MAX_SIZE } from "../limits.ts"
import * as Message from "../message.ts"
import type { Parcel } from "./deduplication.ts"

export type Result = Either.Either<Enqueued, ServiceError>

/** A message that is waiting or being sent. */
export interface Item extends Parcel {
  readonly size: number
  readonly slot: Slot
  readonly group: Group | undefined
  /** Requests so far, those of the SDK included. */
  attempts: number
  /** Whether an attempt may have been carried out although it failed. */
  doubtful: boolean
}

interface Slot {
  result: Result | undefined
}

/** Of a group: the messages behind the one that is out, and what the group has stopped for. */
interface Group {
  readonly waiting: Array<Item>
  stopped: ServiceError | undefined
}

export interface Limits {
  /** The most messages that are read and whose results are not given. */
  readonly messages: number
  /** Beyond so many bytes of messages that are not done, nothing more is read. */
  readonly bytes: number
}

export class Window {
  readonly #ordered: boolean
  readonly #limits: Limits
  /** In the order of the source. */
  #slots: Array<Slot> = []
  /** In the order in which they became ready. */
  #ready: Array<Item> = []
  /** One that has stopped stays: it stays stopped. */
  readonly #groups = new Map<string, Group>()
  #bytes = 0
  #readyBytes = 0

  /** `ordered`: whether groups keep their order. */
  constructor(ordered: boolean, limits: Limits) {
    this.#ordered = ordered
    this.#limits = limits
  }

  /** Whether one more message may be read. */
  get hasRoom(): boolean {
    return this.#slots.length < this.#limits.messages && this.#bytes < this.#limits.bytes
  }

  get isEmpty(): boolean {
    return this.#slots.length === 0
  }

  /** How many batches what is ready makes, about. */
  get batches(): number {
    return Math.ceil(Math.max(this.#ready.length / BATCH, this.#readyBytes / MAX_SIZE))
  }

  /** Whether the next result can be given. */
  get hasResult(): boolean {
    return this.#slots[0]?.result !== undefined
  }

  push(message: Message.Message): void {
    const slot: Slot = { result: undefined }
    this.#slots.push(slot)
    const id = this.#ordered ? message.messageGroupId : undefined
    const known = id === undefined ? undefined : this.#groups.get(id)
    if (known?.stopped !== undefined) {
      slot.result = Either.left(afterFailure(known.stopped))
      return
    }
    const group = id === undefined ? undefined : known ?? { waiting: [], stopped: undefined }
    const item: Item = { message, size: Message.sizeOf(message), slot, group, attempts: 0, doubtful: false }
    this.#bytes += item.size
    if (known !== undefined) return void known.waiting.push(item)
    if (id !== undefined && group !== undefined) this.#groups.set(id, group)
    this.#makeReady(item)
  }

  /** A message that cannot be sent. The ones of its group before it are sent. */
  pushFailed(error: ServiceError, groupId?: unknown): void {
    this.#slots.push({ result: Either.left(error) })
    if (!this.#ordered || typeof groupId !== "string") return
    const known = this.#groups.get(groupId)
    if (known === undefined) this.#groups.set(groupId, { waiting: [], stopped: error })
    else known.stopped ??= error
  }

  /** The next batch; none if nothing is ready. */
  take(): ReadonlyArray<Item> {
    let count = 0
    let bytes = 0
    for (; count < BATCH; count++) {
      const item = this.#ready[count]
      if (item === undefined || (count > 0 && bytes + item.size > MAX_SIZE)) break
      bytes += item.size
    }
    this.#readyBytes -= bytes
    return this.#ready.splice(0, count)
  }

  done(item: Item, result: Result): void {
    item.slot.result = result
    this.#bytes -= item.size
    const { group } = item
    if (group === undefined) return
    if (Either.isRight(result)) {
      const next = group.waiting.shift()
      if (next !== undefined) this.#makeReady(next)
      else if (group.stopped === undefined) this.#groups.delete(item.message.messageGroupId as string)
      return
    }
    group.stopped = result.left
    for (const one of group.waiting.splice(0)) {
      one.slot.result = Either.left(afterFailure(result.left))
      this.#bytes -= one.size
    }
  }

  /** The results that are next in order. */
  results(): Array<Result> {
    const first = this.#slots.findIndex(({ result }) => result === undefined)
    return this.#slots.splice(0, first < 0 ? this.#slots.length : first).map(({ result }) => result as Result)
  }

  #makeReady(item: Item): void {
    this.#ready.push(item)
    this.#readyBytes += item.size
  }
}

/** It was not sent. To repeat it helps where repeating the first one does, after that one. */
const afterFailure = ({ reason, retryable }: ServiceError): ServiceError =>
  new ServiceError({
    service: "SQS",
    operation: "enqueueAll",
    reason: "Conflict",
    retryable,
    attempts: 0,
    detail: `it was not sent: an earlier message of its group failed (${reason})`,
    hint: "send that one first, then the rest of the group in order"
  })
