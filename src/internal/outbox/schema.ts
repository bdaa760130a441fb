/** The tables of Outbox. */
import { ascii, autoIncrement, bytes, dateTime, integer, type Table } from "../tables.ts"

/**
 * Into so many parts the outbox is divided; each is sent by one relay at a time. What is stored depends on this number: a
 * version of this package with another one would lose the order of groups.
 */
export const SHARDS = 16

/** The longest name of a queue. */
export const maxQueueName = 128

const name = (length: number): string => `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`
const uuid = "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"

/** Texts are kept as bytes, so that neither the character set of a connection nor a collation can change them. */
const messageColumns = `message_id ${uuid} NOT NULL,
  queue ${name(maxQueueName)} NOT NULL,
  group_id ${name(128)} NULL,
  dedup_id ${name(128)} NULL,
  delay_seconds SMALLINT UNSIGNED NOT NULL,
  headers MEDIUMBLOB NOT NULL,
  body LONGBLOB NOT NULL,
  created_at DATETIME(6) NOT NULL`

const message = {
  shard: integer,
  id: integer,
  message_id: ascii(36),
  queue: ascii(maxQueueName),
  group_id: ascii(128),
  dedup_id: ascii(128),
  delay_seconds: integer,
  headers: bytes,
  body: { types: ["longblob"] },
  created_at: dateTime
}

export const tables: ReadonlyArray<Table> = [
  {
    name: "outbox",
    ddl: `CREATE TABLE IF NOT EXISTS outbox (
  shard TINYINT UNSIGNED NOT NULL,
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  ${messageColumns},
  PRIMARY KEY (shard, id),
  UNIQUE KEY id (id)
) ENGINE = InnoDB`,
    columns: { ...message, id: autoIncrement },
    primaryKey: ["shard", "id"]
  },
  {
    name: "outbox_failed",
    ddl: `CREATE TABLE IF NOT EXISTS outbox_failed (
  shard TINYINT UNSIGNED NOT NULL,
  id BIGINT UNSIGNED NOT NULL,
  ${messageColumns},
  failed_at DATETIME(6) NOT NULL,
  reason VARCHAR(64) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (message_id),
  KEY failed_at (failed_at)
) ENGINE = InnoDB`,
    columns: { ...message, failed_at: dateTime, reason: { types: ["varchar"] } },
    primaryKey: ["message_id"]
  },
  {
    name: "outbox_shards",
    ddl: `CREATE TABLE IF NOT EXISTS outbox_shards (
  shard TINYINT UNSIGNED NOT NULL,
  owner ${uuid} NULL,
  leased_until DATETIME(6) NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (shard)
) ENGINE = InnoDB`,
    columns: { shard: integer, owner: ascii(36), leased_until: dateTime, epoch: integer },
    primaryKey: ["shard"]
  },
  {
    name: "outbox_relays",
    ddl: `CREATE TABLE IF NOT EXISTS outbox_relays (
  relay ${uuid} NOT NULL,
  alive_until DATETIME(6) NOT NULL,
  PRIMARY KEY (relay)
) ENGINE = InnoDB`,
    columns: { relay: ascii(36), alive_until: dateTime },
    primaryKey: ["relay"]
  }
]

export const statements: ReadonlyArray<string> = [
  ...tables.map(({ ddl }) => ddl),
  `INSERT IGNORE INTO outbox_shards (shard, owner, leased_until, epoch) VALUES\n  ${
    Array.from({ length: SHARDS }, (_, shard) => `(${shard}, NULL, '2000-01-01', 0)`).join(",\n  ")
  }`
]

export const comment = `The tables of Outbox (@betterai/infrastructure), for MySQL and MariaDB. Times are in UTC.
outbox: messages that are committed and not sent; a message that was sent is deleted. Texts are bytes in UTF-8:
  SELECT id, queue, CONVERT(body USING utf8mb4) FROM outbox
outbox_failed: messages that the queue refuses, with onPoison "park".
outbox_shards, outbox_relays: which relay sends which part of the outbox, and until when.`
