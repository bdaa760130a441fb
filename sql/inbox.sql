-- The table of Inbox (@betterai/infrastructure), for MySQL and MariaDB: which messages have taken effect.
-- One row for each message and consumer, with the time in UTC. Inbox.cleanUp deletes old ones.

CREATE TABLE IF NOT EXISTS inbox (
  consumer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (consumer, id),
  KEY at (at)
) ENGINE = InnoDB;
