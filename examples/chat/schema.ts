/** The tables of the four databases, and what the customer has recorded before the chat begins. */
import { BloodDb, GarminDb, Inbox, MainDb, Outbox, UfcDb } from "@betterai/infrastructure"
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

const run = (...statements: ReadonlyArray<string>) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => Effect.forEach(statements, (text) => sql.unsafe(text), { discard: true })
  )

/** The sender makes the `client_id`: a message that is sent twice is there once. */
const messages = run(`CREATE TABLE messages (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  client_id CHAR(36) CHARACTER SET ascii NOT NULL,
  author VARCHAR(16) NOT NULL,
  body TEXT NOT NULL,
  reply_to BIGINT UNSIGNED NULL,
  file_key VARCHAR(255) NULL,
  file_name VARCHAR(255) NULL,
  file_size BIGINT UNSIGNED NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  UNIQUE KEY messages_client_id (client_id)
) DEFAULT CHARACTER SET utf8mb4`)

const activities = run(
  `CREATE TABLE activities (kind VARCHAR(32) NOT NULL, day DATE NOT NULL, kilometres DECIMAL(6, 2) NOT NULL)`,
  `INSERT INTO activities VALUES ('run', '2026-11-24', 5.20), ('run', '2026-11-27', 10.05), ('ride', '2026-11-28', 42.00)`
)

const labs = run(
  `CREATE TABLE labs (marker VARCHAR(32) NOT NULL, value DECIMAL(8, 2) NOT NULL, unit VARCHAR(16) NOT NULL, taken_on DATE NOT NULL)`,
  `INSERT INTO labs VALUES ('ferritin', 87.00, 'µg/l', '2026-10-02'), ('glucose', 4.90, 'mmol/l', '2026-10-02')`
)

const fighters = run(
  `CREATE TABLE fighters (last_name VARCHAR(64) NOT NULL, name VARCHAR(128) NOT NULL, wins INT NOT NULL, losses INT NOT NULL)`,
  `INSERT INTO fighters VALUES ('nunes', 'Amanda Nunes', 23, 5), ('silva', 'Anderson Silva', 34, 11)`
)

const options = { table: "chat_migrations" }

/** Those that have run before, in any process, do not run again. */
export const migrate = Effect.all([
  MainDb.migrate(
    Migrator.fromRecord({ "1_messages": messages, "2_inbox": Inbox.migration, "3_outbox": Outbox.migration }),
    options
  ),
  GarminDb.migrate(Migrator.fromRecord({ "1_activities": activities }), options),
  BloodDb.migrate(Migrator.fromRecord({ "1_labs": labs }), options),
  UfcDb.migrate(Migrator.fromRecord({ "1_fighters": fighters }), options)
], { concurrency: "unbounded", discard: true })
