-- The tables of Outbox (@betterai/infrastructure), for MySQL and MariaDB. Times are in UTC.
-- outbox: messages that are committed and not sent; a message that was sent is deleted. Texts are bytes in UTF-8:
--   SELECT id, queue, CONVERT(body USING utf8mb4) FROM outbox
-- outbox_failed: messages that the queue refuses, with onPoison "park".
-- outbox_shards, outbox_relays: which relay sends which part of the outbox, and until when.

CREATE TABLE IF NOT EXISTS outbox (
  shard TINYINT UNSIGNED NOT NULL,
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  message_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  queue VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  group_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
  dedup_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
  delay_seconds SMALLINT UNSIGNED NOT NULL,
  headers MEDIUMBLOB NOT NULL,
  body LONGBLOB NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard, id),
  UNIQUE KEY id (id)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS outbox_failed (
  shard TINYINT UNSIGNED NOT NULL,
  id BIGINT UNSIGNED NOT NULL,
  message_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  queue VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  group_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
  dedup_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
  delay_seconds SMALLINT UNSIGNED NOT NULL,
  headers MEDIUMBLOB NOT NULL,
  body LONGBLOB NOT NULL,
  created_at DATETIME(6) NOT NULL,
  failed_at DATETIME(6) NOT NULL,
  reason VARCHAR(64) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (message_id),
  KEY failed_at (failed_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS outbox_shards (
  shard TINYINT UNSIGNED NOT NULL,
  owner CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
  leased_until DATETIME(6) NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (shard)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS outbox_relays (
  relay CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  alive_until DATETIME(6) NOT NULL,
  PRIMARY KEY (relay)
) ENGINE = InnoDB;

INSERT IGNORE INTO outbox_shards (shard, owner, leased_until, epoch) VALUES
  (0, NULL, '2000-01-01', 0),
  (1, NULL, '2000-01-01', 0),
  (2, NULL, '2000-01-01', 0),
  (3, NULL, '2000-01-01', 0),
  (4, NULL, '2000-01-01', 0),
  (5, NULL, '2000-01-01', 0),
  (6, NULL, '2000-01-01', 0),
  (7, NULL, '2000-01-01', 0),
  (8, NULL, '2000-01-01', 0),
  (9, NULL, '2000-01-01', 0),
  (10, NULL, '2000-01-01', 0),
  (11, NULL, '2000-01-01', 0),
  (12, NULL, '2000-01-01', 0),
  (13, NULL, '2000-01-01', 0),
  (14, NULL, '2000-01-01', 0),
  (15, NULL, '2000-01-01', 0);
