/** The table of Inbox. */
import { ascii, dateTime, type Table } from "../tables.ts"

/** In characters. A name or an id that is longer is refused, because a server without STRICT mode would cut it off. */
export const maxConsumer = 64
export const maxId = 128

export const inbox: Table = {
  name: "inbox",
  ddl: `CREATE TABLE IF NOT EXISTS inbox (
  consumer VARCHAR(${maxConsumer}) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  id VARCHAR(${maxId}) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (consumer, id),
  KEY at (at)
) ENGINE = InnoDB`,
  columns: { consumer: ascii(maxConsumer), id: ascii(maxId), at: dateTime },
  primaryKey: ["consumer", "id"]
}

export const comment =
  `The table of Inbox (@betterai/infrastructure), for MySQL and MariaDB: which messages have taken effect.
One row for each message and consumer, with the time in UTC. Inbox.cleanUp deletes old ones.`
