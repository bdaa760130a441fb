/** What callers of Outbox see. */
import type * as Duration from "effect/Duration"
import type { DatabaseError, ServiceError, ServiceReason } from "../../Errors.ts"

/** A message that will be sent if its transaction commits. */
export interface Pending {
  /**
   * A UUID: the attribute `outbox-id` of the message that is sent, and its deduplication id unless the caller has given
   * one.
   */
  readonly id: string
}

export interface RelayOptions {
  /**
   * How often to look for messages of other processes, and for those that a crash has left; a commit in this process is
   * noticed at once. Half of it to all of it is waited. Default 1 second.
   */
  readonly pollInterval?: Duration.DurationInput | undefined
  /** The most shards that are sent at a time, 1-16. Each needs a connection for short statements. Default 4. */
  readonly concurrency?: number | undefined
  /**
   * How long a part of the outbox belongs to a relay that does not renew its lease: after a crash, others begin to send
   * that part so much later. It is renewed every third of it. All relays should have the same. Default 15 seconds, at
   * least 1 second.
   */
  readonly lease?: Duration.DurationInput | undefined
  /**
   * What to do with a message that the queue refuses as such. `block`: it stays, is logged once as an error, and is tried
   * again every minute at most; on a FIFO queue its group waits for it. `park`: it is moved to the table `outbox_failed`,
   * and its group goes on. Default `block`.
   */
  readonly onPoison?: "block" | "park" | undefined
  /** How long a relay that is stopped waits for what it is sending. Default 10 seconds. */
  readonly stopTimeout?: Duration.DurationInput | undefined
}

/** A message that the queue refuses as such. */
export interface Blocked {
  readonly id: string
  readonly queue: string
  /** The group that waits for it; without one, nothing does. */
  readonly messageGroupId: string | undefined
  readonly reason: ServiceReason
}

export interface RelayStatus {
  readonly state: "running" | "stopping"
  /** The parts of the outbox that it sends, of 16. */
  readonly shards: ReadonlyArray<number>
  readonly blocked: ReadonlyArray<Blocked>
  /** The latest failure of the database, or of a queue as a whole; none after a success of the same. */
  readonly lastError: DatabaseError | ServiceError | undefined
}

export interface OutboxStatus {
  readonly backlog: {
    /** Messages that are committed and not sent. No more than 10,000 are counted. */
    readonly messages: number
    /** The age of the oldest. */
    readonly oldest: Duration.Duration | undefined
  }
  /** The relays of this process. */
  readonly relays: ReadonlyArray<RelayStatus>
}
