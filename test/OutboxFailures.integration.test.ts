/** Outbox with one relay, on a queue that fails or refuses messages. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { createConnection } from "mysql2/promise"
import { readFileSync } from "node:fs"
import { MainDb } from "../src/db/Database.ts"
import { ServiceError } from "../src/Errors.ts"
import { Outbox } from "../src/Outbox.ts"
import { eventually } from "./support/eventually.ts"
import {
  atFirst,
  commit,
  empty,
  enqueue,
  onOutbox,
  process,
  queueOf,
  quick,
  Recorder,
  rows,
  running,
  type SendBatch,
  writer
} from "./support/outbox.ts"

const test = (name: string, body: Parameters<typeof onOutbox>[0]): void => it.live(name, onOutbox(body))

const refusal = (reason: "InvalidRequest" | "Throttled" | "AccessDenied", retryable = false) =>
  new ServiceError({ service: "SQS", operation: "SendMessageBatch", reason, retryable, attempts: 1 })

describe("failures of a queue", () => {
  test("it is down: messages wait, and are sent when it is back; nothing is refused", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      let down = true
      let attempts = 0
      const app = yield* running(process(
        stage.url,
        queueOf("fifo", (messages) => {
          attempts++
          return down ? Effect.fail(refusal("AccessDenied")) : sent.accept(messages)
        })
      ))
      for (let n = 0; n < 3; n++) yield* app.run(commit(n, { messageGroupId: "g" }))
      yield* eventually(Effect.sync(() => expect(attempts).toBeGreaterThanOrEqual(2)), "5 seconds")
      const status = yield* app.get(Outbox).status
      expect(status).toMatchObject({
        backlog: { messages: 3 },
        relays: [{ blocked: [], lastError: { reason: "AccessDenied" } }]
      })
      expect(Duration.toMillis(status.backlog.oldest!)).toBeGreaterThan(0)
      const before = attempts
      yield* Effect.sleep("300 millis")
      // It backs off.
      expect(attempts - before).toBeLessThanOrEqual(3)
      down = false
      yield* empty(stage)
      expect(sent.payloads).toEqual([0, 1, 2])
    }))

  test("an unknown outcome is repeated with the same id, and nothing of the group overtakes", (stage) =>
    Effect.gen(function*() {
      const seen: Array<readonly [unknown, string | undefined]> = []
      let failures = 0
      const app = yield* running(process(
        stage.url,
        queueOf("fifo", (messages) =>
          Effect.suspend(() => {
            seen.push(...messages.map((message) => [JSON.parse(message.body), message.messageDeduplicationId] as const))
            return failures++ < 2
              ? Effect.fail(
                new ServiceError({
                  service: "SQS",
                  operation: "SendMessageBatch",
                  reason: "ConnectionLost",
                  retryable: false,
                  attempts: 1,
                  outcome: "unknown"
                })
              )
              : Effect.succeed(messages.map(() => Either.right({ messageId: "m" })))
          }))
      ))
      yield* app.run(MainDb.withTransaction(Effect.forEach([1, 2, 3], (n) => enqueue(n, { messageGroupId: "g" }))))
      yield* empty(stage)
      expect(seen.map(([n]) => n)).toEqual([1, 1, 1, 2, 3])
      expect(new Set(seen.map(([, id]) => id)).size).toBe(3)
    }))

  test("one message of a batch fails: the others are sent, its group waits", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      let failures = 0
      const app = yield* running(process(
        stage.url,
        queueOf("fifo", (messages) =>
          Effect.map(
            sent.accept(messages.filter(({ messageGroupId }) => messageGroupId !== "bad" || failures >= 2)),
            () =>
              messages.map(({ messageGroupId }) =>
                messageGroupId === "bad" && failures++ < 2
                  ? Either.left(refusal("Throttled", true))
                  : Either.right({ messageId: "m" })
              )
          ))
      ))
      yield* app.run(MainDb.withTransaction(Effect.forEach([1, 2, 3], (n) =>
        Effect.zipRight(
          enqueue(`good ${n}`, { messageGroupId: `g${n}` }),
          enqueue(`bad ${n}`, { messageGroupId: "bad" })
        ))))
      yield* empty(stage)
      expect(sent.payloads.filter((text: string) => text.startsWith("bad"))).toEqual(["bad 1", "bad 2", "bad 3"])
      expect(sent.payloads).toHaveLength(6)
    }))

  test("a reply that says nothing of a message does not count as sent", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(
        process(stage.url, queueOf("standard", atFirst(() => Effect.succeed([]), sent.accept)))
      )
      yield* app.run(commit(1))
      yield* empty(stage)
      expect(sent.payloads).toEqual([1])
    }))

  test("a send that dies does not end the relay", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const dies: SendBatch = () => {
        throw new Error("a defect")
      }
      const app = yield* running(process(stage.url, queueOf("standard", atFirst(dies, sent.accept))))
      yield* app.run(commit(1))
      yield* empty(stage)
      expect(sent.payloads).toEqual([1])
    }))
})

describe("a message that the queue refuses", () => {
  const refusing = (sent: Recorder) => (messages: Parameters<Recorder["accept"]>[0]) =>
    Effect.map(
      sent.accept(messages.filter(({ body }) => !body.includes("poison"))),
      () =>
        messages.map(({ body }) =>
          body.includes("poison") ? Either.left(refusal("InvalidRequest")) : Either.right({ messageId: "m" })
        )
    )

  test("blocks its group and nothing else, until somebody deletes it", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const logged: Array<string> = []
      const app = yield* running(process(stage.url, queueOf("fifo", refusing(sent)), quick, {}, logged))
      const { id } = yield* app.run(commit("poison", { messageGroupId: "a" }))
      yield* app.run(commit("behind", { messageGroupId: "a" }))
      // Groups of all shards, those of the blocked one too.
      for (let n = 0; n < 64; n++) yield* app.run(commit(n, { messageGroupId: `g${n}` }))
      yield* eventually(Effect.sync(() => expect(sent.messages).toHaveLength(64)), "10 seconds")
      // What was sent is deleted afterwards.
      yield* eventually(
        Effect.map(app.get(Outbox).status, (status) =>
          expect(status).toMatchObject({
            backlog: { messages: 2 },
            relays: [{ blocked: [{ id, queue: "Queue", messageGroupId: "a", reason: "InvalidRequest" }] }]
          })),
        "10 seconds"
      )
      yield* stage.admin(`DELETE FROM ${stage.database}.outbox WHERE message_id = '${id}'`)
      yield* eventually(Effect.sync(() => expect(sent.payloads.at(-1)).toBe("behind")), "15 seconds")
      yield* empty(stage)
      expect(logged.filter((line) => line.startsWith("ERROR"))).toHaveLength(1)
      expect(logged.join()).not.toContain("poison")
    }))

  test("without a group, or on a standard queue, it blocks nobody", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("standard", refusing(sent))))
      yield* app.run(MainDb.withTransaction(Effect.forEach(
        Array.from({ length: 40 }, (_, n) => n),
        (n) => enqueue(n % 10 === 0 ? `poison ${n}` : `good ${n}`, { messageGroupId: "same" })
      )))
      yield* eventually(
        Effect.sync(() => expect(sent.messages).toHaveLength(36)),
        "10 seconds"
      )
      yield* eventually(
        Effect.map(app.get(Outbox).status, ({ relays }) =>
          expect(relays[0]!.blocked.map(({ messageGroupId }) =>
            messageGroupId
          )).toEqual(Array.from({ length: 4 })))
      )
    }))

  test("is parked if asked for, and its group goes on", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("fifo", refusing(sent)), { ...quick, onPoison: "park" }))
      const { id } = yield* app.run(commit("poison", { messageGroupId: "a" }))
      yield* app.run(commit("behind", { messageGroupId: "a" }))
      yield* empty(stage)
      expect(sent.payloads).toEqual(["behind"])
      const failed = yield* stage.admin(
        `SELECT message_id, queue, group_id, reason, CONVERT(body USING utf8mb4) AS body FROM ${stage.database}.outbox_failed`
      )
      expect(failed).toEqual([{
        message_id: id,
        queue: "Queue",
        group_id: "a",
        reason: "InvalidRequest",
        body: "\"poison\""
      }])
      const { relays } = yield* app.get(Outbox).status
      expect(relays[0]!.blocked).toEqual([])
    }))

  test("is parked again, if it was sent again and its row in outbox_failed was left; its shard goes on", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("fifo", refusing(sent)), { ...quick, onPoison: "park" }))
      yield* app.run(commit("poison", { messageGroupId: "a" }))
      yield* empty(stage)
      const columns = "shard, message_id, queue, group_id, dedup_id, delay_seconds, headers, body, created_at"
      const { database } = stage
      yield* stage.admin(
        `INSERT INTO ${database}.outbox (${columns}) SELECT ${columns} FROM ${database}.outbox_failed`
      )
      yield* app.run(commit("behind", { messageGroupId: "a" }))
      yield* empty(stage)
      expect(sent.payloads).toEqual(["behind"])
      expect(yield* rows(stage, "outbox_failed")).toBe(1)
    }))

  test("is sent by the statements of the documentation, and one that is parked meanwhile is not lost", (stage) =>
    Effect.gen(function*() {
      const table = `${stage.database}.outbox_failed`
      const parked = (n: number) =>
        stage.admin(`INSERT INTO ${table} (shard, id, message_id, queue, delay_seconds, headers, body, created_at,
          failed_at, reason) VALUES (1, ${n}, 'message-${n}', 'Queue', 0, '{"attributes":[]}', '${n}',
          UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'InvalidRequest')`)
      const page = readFileSync(new URL("../docs/outbox.md", import.meta.url), "utf8")
      const statements = /```sql\n(.*?DELETE FROM outbox_failed;.*?)```/s.exec(page)![1]!.split(";\n").filter((text) =>
        text
      )
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => createConnection(stage.direct)),
        (connection) => Effect.promise(() => connection.end())
      )
      const query = (text: string) => Effect.promise(() => connection.query(text))
      yield* query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
      yield* parked(1)
      let second: Fiber.RuntimeFiber<unknown> | undefined
      for (const statement of statements) {
        if (statement.startsWith("DELETE")) {
          second = yield* Effect.fork(parked(2))
          // It waits for the transaction, and does so for as long as that is open.
          yield* Effect.timeoutOption(Fiber.join(second), "500 millis")
        }
        yield* query(statement)
      }
      yield* Fiber.join(second!)
      expect([yield* rows(stage), yield* rows(stage, "outbox_failed")]).toEqual([1, 1])
    }))

  test("in a request that is refused as a whole, is found by sending each alone", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const whole = (messages: Parameters<Recorder["accept"]>[0]) =>
        messages.some(({ body }) => body.includes("poison"))
          ? Effect.fail(refusal("InvalidRequest"))
          : sent.accept(messages)
      const app = yield* running(process(stage.url, queueOf("standard", whole), { ...quick, onPoison: "park" }))
      yield* app.run(MainDb.withTransaction(Effect.forEach(
        Array.from({ length: 300 }, (_, n) => n),
        (n) => enqueue(n === 7 ? "poison" : n)
      )))
      yield* eventually(
        Effect.sync(() => expect(sent.messages).toHaveLength(299)),
        "20 seconds"
      )
      expect(new Set(sent.payloads).size).toBe(299)
      // Nobody knows whether it is the message or the queue: it is never parked.
      expect(yield* rows(stage, "outbox_failed")).toBe(0)
      expect(yield* rows(stage)).toBe(1)
    }))

  test("in a request that is refused as a whole, is not blamed as long as the queue has accepted no other", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const logged: Array<string> = []
      let isUp = false
      const whole: SendBatch = (messages) =>
        isUp
          ? sent.accept(messages)
          : Effect.fail(
            messages.some(({ body }) => body === "0") ? refusal("InvalidRequest") : refusal("Throttled", true)
          )
      const writing = yield* running(writer(stage.url))
      yield* writing.run(
        MainDb.withTransaction(Effect.forEach([0, 1, 2], (n) => enqueue(n, { messageGroupId: `g${n}` })))
      )
      // Of one shard, to be sent together.
      yield* stage.admin(`UPDATE ${stage.database}.outbox SET shard = 1`)
      const app = yield* running(process(stage.url, queueOf("fifo", whole), quick, {}, logged))
      yield* eventually(Effect.map(app.get(Outbox).status, ({ relays }) => expect(relays[0]!.lastError).toBeDefined()))
      expect((yield* app.get(Outbox).status).relays).toMatchObject([{ blocked: [] }])
      isUp = true
      yield* empty(stage)
      expect(logged.filter((line) => line.startsWith("ERROR"))).toEqual([])
    }))

  test("what is not as it was written is refused, too", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const writing = yield* running(writer(stage.url))
      yield* writing.run(commit("changed", { messageGroupId: "a" }))
      yield* writing.run(commit("good", { messageGroupId: "b" }))
      yield* stage.admin(`UPDATE ${stage.database}.outbox SET headers = '{"attributes":[[' WHERE group_id = 'a'`)
      const app = yield* running(process(stage.url, queueOf("fifo", sent.accept)))
      yield* eventually(
        Effect.flatMap(app.get(Outbox).status, ({ relays }) =>
          Effect.sync(() => {
            expect(relays[0]!.blocked).toMatchObject([{ messageGroupId: "a", reason: "InvalidInput" }])
            expect(sent.payloads).toEqual(["good"])
          })),
        "10 seconds"
      )
    }))
})
