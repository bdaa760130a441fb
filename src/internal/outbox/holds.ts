/** What of a shard must wait: groups, and messages without one, after a failure. No I/O. */
import { type Backoff, pauseAfter } from "../backoff.ts"
import type { Entry } from "./entry.ts"
import type { Blocked } from "./model.ts"

/** Messages of one lane are sent one after the other; on a standard queue each message is a lane of its own. */
export const laneOf = (entry: Entry, isOrdered: boolean): string =>
  isOrdered && entry.group !== undefined ? `group\n${entry.queue}\n${entry.group}` : `message\n${entry.messageId}`

/** In milliseconds. */
const FAILED: Backoff = { first: 1_000, max: 30_000 }
const REFUSED: Backoff = { first: 10_000, max: 60_000 }

interface Hold {
  failures: number
  until: number
  /** Whether the queue is asked again in this pass. */
  isTrying: boolean
  /** What the lane waits for, if the queue refuses it as such. */
  blocked: Blocked | undefined
  readonly queue: string
  readonly group: string | undefined
  messageId: string
}

export class Holds {
  readonly #lanes = new Map<string, Hold>()

  /** At the beginning of a pass: what has waited long enough is tried again. Never in the middle, or order is lost. */
  begin(now: number): void {
    for (const hold of this.#lanes.values()) hold.isTrying = hold.until <= now
  }

  /** At the end of a pass over the whole shard: what was tried and did not fail is not there any more. */
  finish(): void {
    for (const [lane, hold] of this.#lanes) {
      if (hold.isTrying) this.#lanes.delete(lane)
    }
  }

  has(lane: string): boolean {
    return this.#lanes.get(lane)?.isTrying === false
  }

  /**
   * A message was not sent; with `blocked`, because the queue refuses it as such. Tells whether that message is refused
   * for the first time.
   */
  add(lane: string, entry: Entry, isGroup: boolean, now: number, random: number, blocked?: Blocked): boolean {
    const before = this.#lanes.get(lane)
    const failures = before?.messageId === entry.messageId ? before.failures + 1 : 1
    this.#lanes.set(lane, {
      failures,
      until: now + pauseAfter(failures, blocked === undefined ? FAILED : REFUSED, random),
      isTrying: false,
      // A refused message that cannot be sent for another reason, meanwhile, is still refused as far as anyone knows.
      blocked: blocked ?? (before?.messageId === entry.messageId ? before.blocked : undefined),
      queue: entry.queue,
      group: isGroup ? entry.group : undefined,
      messageId: entry.messageId
    })
    return blocked !== undefined && (before?.messageId !== entry.messageId || before.blocked === undefined)
  }

  sent(lane: string): void {
    this.#lanes.delete(lane)
  }

  get blocked(): ReadonlyArray<Blocked> {
    return [...this.#lanes.values()].flatMap(({ blocked }) => blocked ?? [])
  }

  /**
   * What the server need not read, at most `limit` of each kind. Whoever reads still asks `has`: this only saves work.
   */
  excluded(
    limit: number
  ): { readonly groups: ReadonlyArray<readonly [string, string]>; readonly ids: ReadonlyArray<string> } {
    const groups: Array<readonly [string, string]> = []
    const ids: Array<string> = []
    for (const { group, isTrying, messageId, queue } of this.#lanes.values()) {
      if (isTrying) continue
      if (group === undefined) {
        if (ids.length < limit) ids.push(messageId)
      } else if (groups.length < limit) groups.push([queue, group])
    }
    return { groups, ids }
  }
}
