/** What the processes of the queue's soak share: the queues, the tables, and how many messages there are. */
import * as Config from "effect/Config"
import * as Schema from "effect/Schema"
import { Queue } from "../../src/aws/Queue.ts"

export const DATABASE = "soak"

/** Standard: no order is promised. */
export class Jobs extends Queue.Tag("Jobs", { prefix: "JOBS_SQS" })<Jobs>() {}

/** FIFO, with a group for each lane. */
export class Events extends Queue.Tag("Events", { prefix: "EVENTS_SQS" })<Events>() {}

export type Kind = "jobs" | "events"

export const kinds: ReadonlyArray<Kind> = ["jobs", "events"]

/** Of each queue. The messages of a lane are numbered from 1, in the order of the commits of their transactions. */
export const LANES = 40

/** How many messages that lane of either queue has. */
export const messagesOf = (lane: number, messages: number): number =>
  Math.floor(messages / 2 / LANES) + (lane < Math.floor(messages / 2) % LANES ? 1 : 0)

/** A message: an order was placed. */
export class Placed extends Schema.Class<Placed>("Placed")({ order: Schema.UUID, lane: Schema.Int, seq: Schema.Int }) {}

/**
 * - `lanes`: the number of the last order of each lane. Its row is locked while an order is placed.
 * - `orders`: written in the transaction of its message. An order that is not there has no message.
 * - `effects`: written by a worker when it has handled a message. `n` tells the order of the commits within a lane of
 *   events, since `progress` is locked before.
 * - `progress`: the last message that had effect, of each lane of events.
 */
export const tables: ReadonlyArray<string> = [
  "CREATE TABLE lanes (kind CHAR(6), lane INT, seq INT NOT NULL, PRIMARY KEY (kind, lane))",
  "CREATE TABLE orders (id CHAR(36) PRIMARY KEY, kind CHAR(6) NOT NULL, lane INT NOT NULL, seq INT NOT NULL, message_id CHAR(36) NOT NULL)",
  "CREATE TABLE effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, order_id CHAR(36) NOT NULL, kind CHAR(6) NOT NULL, lane INT NOT NULL, seq INT NOT NULL)",
  "CREATE TABLE progress (lane INT PRIMARY KEY, seq INT NOT NULL)",
  `INSERT INTO lanes VALUES ${
    kinds.flatMap((kind) => Array.from({ length: LANES }, (_, lane) => `('${kind}', ${lane}, 0)`)).join()
  }`,
  `INSERT INTO progress VALUES ${Array.from({ length: LANES }, (_, lane) => `(${lane}, 0)`).join()}`
]

/** Of both queues together. Every process has it in its environment. */
export const messagesSetting: Config.Config<number> = Config.integer("SOAK_MESSAGES")

/** What a process writes to its output, each on a line of its own. */
export type Told =
  /** It is at work. */
  | "ready"
  /** A transaction was rolled back on purpose, with its messages. */
  | "rolled back"
  /** A message is about to be handled. */
  | "delivered"
  /** A delivery was of a message that had had its effect before. */
  | "swallowed"
  /** All orders are placed. */
  | "done"

export const tell = (what: Told): void => void process.stdout.write(`${what}\n`)

/** The exit code of a process that did not get the database when it started. */
export const NOT_STARTED = 75
