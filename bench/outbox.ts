/**
 * Four relays that empty an outbox, with a queue that accepts everything at once: messages claimed and deleted per second,
 * against what is usually written by hand. How often a message was sent twice, or before an earlier one of its group, is
 * counted too: that is what the designs differ in.
 */
import { Queue } from "@betterai/infrastructure/aws/Queue"
import { MainDb } from "@betterai/infrastructure/db/Database"
import { Outbox } from "@betterai/infrastructure/Outbox"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { createConnection } from "mysql2/promise"
import { numbers } from "../test/support/db/numbers.ts"
import { median } from "./harness.ts"

const RELAYS = 4
const MESSAGES = 20_000
const GROUPS = 800
const ROUNDS = 5
const BATCH = 50

/** What the relays of one round have sent. */
class Sent {
  readonly #seen = new Map<string, number>()
  readonly #last = new Map<string, number>()
  doubled = 0
  disorder = 0

  add(id: string, group: string, n: number): void {
    const before = this.#seen.get(id) ?? 0
    if (before > 0) this.doubled++
    this.#seen.set(id, before + 1)
    if ((this.#last.get(group) ?? -1) > n) this.disorder++
    else this.#last.set(group, n)
  }

  get count(): number {
    return this.#seen.size
  }
}

type Run = (sent: Sent) => Promise<void>

/** A service with what Outbox asks of it: the queue itself is not measured. */
const nullQueue = (sent: () => Sent): Layer.Layer<Queue> =>
  Layer.succeed(
    Queue,
    {
      [Symbol.for("@betterai/infrastructure/Queue/internals")]: {
        backend: {
          kind: "fifo",
          name: "null",
          sendBatch: (messages: ReadonlyArray<Record<"body" | "messageGroupId" | "messageDeduplicationId", string>>) =>
            Effect.sync(() =>
              messages.map(({ body, messageDeduplicationId, messageGroupId }) => {
                sent().add(messageDeduplicationId, messageGroupId, JSON.parse(body).n)
                return Either.right({ messageId: "" })
              })
            )
        }
      }
    } as never
  )

export const run = async (url: string): Promise<void> => {
  const connect = () => createConnection({ uri: url, supportBigNumbers: true })
  const admin = await connect()
  const config = Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["MAIN_DB_URL", url]])))
  const database = Layer.provide(MainDb.layer, config)
  await Effect.runPromise(Effect.provide(MainDb.migrate(Outbox.migrations, { table: "outbox_migrations" }), database))
  await admin.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

  /** Visible at once, and shards as Outbox would choose them: all of a group in one. */
  const fill = (table: string) =>
    admin.query(
      `INSERT INTO ${table}
        (shard, message_id, queue, group_id, dedup_id, delay_seconds, headers, body, created_at)
      SELECT MOD(MOD(seq, ${GROUPS}), 16), CONCAT('00000000-0000-4000-8000-', LPAD(seq, 12, '0')), 'Queue',
        CONCAT('group-', MOD(seq, ${GROUPS})), CONCAT('00000000-0000-4000-8000-', LPAD(seq, 12, '0')), 0,
        '{"attributes":[["outbox-id","String","x"]]}', CONCAT('{"n":', seq, ',"text":"', REPEAT('x', 500), '"}'),
        UTC_TIMESTAMP(6)
      FROM ${numbers(MESSAGES)}`
    )

  let current = new Sent()
  const relays = await Promise.all(Array.from({ length: RELAYS }, async () => {
    const runtime = ManagedRuntime.make(
      Outbox.relayWith({ pollInterval: "20 millis" }).pipe(
        Layer.provideMerge(Outbox.layer(MainDb, Queue)),
        Layer.provide(Layer.merge(nullQueue(() => current), database))
      )
    )
    await runtime.runPromise(Effect.void)
    return runtime
  }))
  const shared = async (): Promise<boolean> => {
    const shards = await Promise.all(
      relays.map((relay) =>
        relay.runPromise(
          Effect.map(Effect.flatMap(Outbox, ({ status }) => status), (it) => it.relays[0]!.shards.length)
        )
      )
    )
    return shards.every((count) => count === 16 / RELAYS)
  }
  while (!await shared()) await pause(100)
  const isEmpty = async (table: string): Promise<boolean> => {
    const [rows] = await admin.query(`SELECT id FROM ${table} LIMIT 1`)
    return (rows as ReadonlyArray<unknown>).length === 0
  }
  const ours: Run = async (sent) => {
    current = sent
    await fill("outbox")
    const start = performance.now()
    while (sent.count < MESSAGES || !await isEmpty("outbox")) await pause(5)
    report(start)
  }

  let perSecond = 0
  const report = (start: number): void => {
    perSecond = MESSAGES / (performance.now() - start) * 1000
  }
  for (const table of ["outbox_locks", "outbox_leases"]) await admin.query(`DROP TABLE IF EXISTS ${table}`)
  await admin.query("CREATE TABLE outbox_locks LIKE outbox")
  await admin.query("CREATE TABLE outbox_leases LIKE outbox")
  await admin.query(
    "ALTER TABLE outbox_leases ADD owner INT NULL, ADD until DATETIME(3) NOT NULL DEFAULT '2000-01-01', ADD KEY claim (until, id)"
  )
  const connections = await Promise.all(Array.from({ length: RELAYS }, connect))
  for (const connection of connections) {
    await connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
  }
  interface Row {
    readonly id: number
    readonly message_id: string
    readonly group_id: string
    readonly body: Buffer
  }
  const send = (sent: Sent, rows: ReadonlyArray<Row>): void => {
    for (const row of rows) sent.add(row.message_id, row.group_id, JSON.parse(row.body.toString()).n)
  }
  /** One transaction for each batch: its rows stay locked while it is sent. */
  const locks: Run = async (sent) => {
    await fill("outbox_locks")
    const start = performance.now()
    await Promise.all(connections.map(async (connection) => {
      for (;;) {
        try {
          await connection.query("BEGIN")
          const [rows] = await connection.query(
            `SELECT id, message_id, group_id, body FROM outbox_locks ORDER BY id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`
          ) as unknown as [ReadonlyArray<Row>]
          if (rows.length === 0) {
            await connection.query("ROLLBACK")
            if (await isEmpty("outbox_locks")) break
            continue
          }
          send(sent, rows)
          await connection.query("DELETE FROM outbox_locks WHERE id IN (?)", [rows.map(({ id }) => id)])
          await connection.query("COMMIT")
        } catch {
          await connection.query("ROLLBACK")
        }
      }
    }))
    report(start)
  }
  /** Rows are claimed by a short transaction, sent, and deleted. */
  const leases: Run = async (sent) => {
    await fill("outbox_leases")
    const start = performance.now()
    await Promise.all(connections.map(async (connection, owner) => {
      for (;;) {
        try {
          await connection.query("BEGIN")
          const [rows] = await connection.query(
            `SELECT id, message_id, group_id, body FROM outbox_leases WHERE until < NOW(3) ORDER BY until, id LIMIT ${BATCH}
              FOR UPDATE SKIP LOCKED`
          ) as unknown as [ReadonlyArray<Row>]
          const ids = rows.map(({ id }) => id)
          if (rows.length > 0) {
            await connection.query(
              "UPDATE outbox_leases SET owner = ?, until = NOW(3) + INTERVAL 30 SECOND WHERE id IN (?)",
              [owner, ids]
            )
          }
          await connection.query("COMMIT")
          if (rows.length === 0) {
            if (await isEmpty("outbox_leases")) break
            continue
          }
          send(sent, rows)
          await connection.query("DELETE FROM outbox_leases WHERE id IN (?)", [ids])
        } catch {
          await connection.query("ROLLBACK")
        }
      }
    }))
    report(start)
  }

  const designs: ReadonlyArray<readonly [string, Run]> = [
    ["ours: leases on shards", ours],
    ["rows locked while sending", locks],
    ["leases on rows", leases]
  ]
  const results = new Map(
    designs.map(([name]) => [name, { speeds: [] as Array<number>, doubled: 0, disorder: 0, lost: 0 }])
  )
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, design] of designs) {
      const sent = new Sent()
      await design(sent)
      // The first round is a warm-up.
      if (round === 0) continue
      const result = results.get(name)!
      result.speeds.push(perSecond)
      result.doubled += sent.doubled
      result.disorder += sent.disorder
      result.lost += MESSAGES - sent.count
    }
  }
  console.log(`\noutbox of ${MESSAGES} messages in ${GROUPS} groups, ${RELAYS} relays (${ROUNDS} rounds)`)
  console.log(
    "".padEnd(34) + ["messages/s", "spread", "doubled", "disorder", "lost"].map((it) => it.padStart(14)).join("")
  )
  for (const [name, { disorder, doubled, lost, speeds }] of results) {
    const cells = [
      median(speeds).toFixed(0),
      `${Math.min(...speeds).toFixed(0)}–${Math.max(...speeds).toFixed(0)}`,
      ...[doubled, disorder, lost].map(String)
    ]
    console.log(name.padEnd(34) + cells.map((cell) => cell.padStart(14)).join(""))
  }
  await Promise.all(relays.map((relay) => relay.dispose()))
  await Promise.all([admin, ...connections].map((connection) => connection.end()))
}

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
