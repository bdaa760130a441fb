/** Outbox with one relay: what is sent, when, and what is refused. */
import * as Migrator from "@effect/sql/Migrator"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Queue } from "../src/aws/Queue.ts"
import { type IsolationLevel, MainDb } from "../src/db/Database.ts"
import type { ServiceError } from "../src/Errors.ts"
import * as Inbox from "../src/Inbox.ts"
import { Outbox } from "../src/Outbox.ts"
import { layerOf, onStage, type Stage } from "./support/db/stage.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"
import {
  commit,
  EmailQueue,
  emailQueueOf,
  empty,
  enqueue,
  onOutbox,
  process,
  queueOf,
  quick,
  Recorder,
  rows,
  running,
  writer
} from "./support/outbox.ts"

const test = (name: string, body: Parameters<typeof onOutbox>[0]): void => it.live(name, onOutbox(body))

describe("Outbox.enqueue", () => {
  test("is sent after the commit, with its attributes and its id, and then deleted", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("standard", sent.accept)))
      const { id } = yield* app.run(commit({ text: "é😀" }, {
        delay: "3 seconds",
        traceHeader: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        attributes: { kind: "scan", size: 1.5, hash: new Uint8Array([0, 255]) }
      }))
      yield* empty(stage)
      expect(sent.messages).toEqual([{
        body: JSON.stringify({ text: "é😀" }),
        messageGroupId: undefined,
        messageDeduplicationId: undefined,
        delaySeconds: 3,
        traceHeader: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        attributes: {
          kind: { type: "String", value: "scan" },
          size: { type: "Number", value: "1.5" },
          hash: { type: "Binary", value: new Uint8Array([0, 255]) },
          "outbox-id": { type: "String", value: id }
        }
      }])
    }))

  test("a commit in this process wakes the relay: it does not wait for the next look", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("standard", sent.accept), {
        ...quick,
        pollInterval: "10 minutes"
      }))
      yield* eventually(
        Effect.flatMap(
          app.get(Outbox).status,
          ({ relays }) => Effect.sync(() => expect(relays[0]!.shards).toHaveLength(16))
        )
      )
      yield* app.run(commit(1))
      yield* eventually(Effect.sync(() => expect(sent.payloads).toEqual([1])))
    }))

  test("is not sent after a rollback, of the transaction or of a savepoint", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("standard", sent.accept)))
      yield* app.run(Effect.flip(MainDb.withTransaction(Effect.zipRight(enqueue("rolled back"), Effect.fail("no")))))
      yield* app.run(MainDb.withTransaction(Effect.gen(function*() {
        yield* enqueue("outer")
        yield* Effect.either(MainDb.withTransaction(Effect.zipRight(enqueue("inner"), Effect.fail("no"))))
        yield* MainDb.withTransaction(enqueue("nested"))
      })))
      yield* eventually(Effect.sync(() => expect(sent.payloads.length).toBeGreaterThanOrEqual(2)))
      yield* Effect.sleep("200 millis")
      expect([...sent.payloads].sort()).toEqual(["nested", "outer"])
    }))

  test("COMMIT's answer is lost: sent if it was committed, and not if it never arrived", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      yield* running(process(stage.direct, queueOf("standard", sent.accept)))
      const app = yield* running(writer(stage.url))
      const fifo = { messageGroupId: "g" }
      // The set-up of a session says COMMIT, too.
      yield* app.run(MainDb.use((sql) => sql`SELECT 1`))
      yield* stage.proxy.trap("COMMIT", "lose")
      expect(yield* app.run(Effect.flip(commit("arrived", fifo)))).toMatchObject({ reason: "CommitOutcomeUnknown" })
      yield* app.run(MainDb.use((sql) => sql`SELECT 1`))
      yield* stage.proxy.trap("COMMIT", "reset")
      expect(yield* app.run(Effect.flip(commit("lost", fifo)))).toMatchObject({ reason: "CommitOutcomeUnknown" })
      yield* empty(stage)
      expect(sent.payloads).toEqual(["arrived"])
    }))

  test("is refused outside of a transaction, and nothing is written", (stage) =>
    Effect.gen(function*() {
      const app = yield* running(writer(stage.url))
      const fifo = { messageGroupId: "g" }
      const outside = yield* app.run(Effect.flip(enqueue(1, fifo)))
      expect(outside).toMatchObject({ _tag: "DatabaseError", reason: "InvalidParameter", retryable: false })
      expect(outside.message).toContain("MainDb.withTransaction")
      const escaped = MainDb.withTransaction(MainDb.outside(enqueue(1, fifo)))
      expect(yield* app.run(Effect.flip(escaped))).toMatchObject({ reason: "InvalidParameter" })
      // An effect that runs after the commit is outside, too.
      let late: unknown
      yield* app.run(Effect.flatMap(Outbox, (outbox) =>
        MainDb.withTransaction(MainDb.afterCommit(
          Effect.map(Effect.flip(outbox.enqueue(1, fifo)), (error) => {
            late = error
          }).pipe(Effect.orDie)
        ))))
      expect(late).toMatchObject({ reason: "InvalidParameter" })
      // A transaction of another layer of the database is another transaction.
      const other = MainDb.withTransaction(enqueue(1, fifo)).pipe(Effect.provide(layerOf(stage.url)))
      expect(yield* app.run(Effect.flip(other))).toMatchObject({ reason: "InvalidParameter" })
      expect(yield* rows(stage)).toBe(0)
    }))

  test("is checked before anything is written", (stage) =>
    Effect.gen(function*() {
      const app = yield* running(writer(stage.url))
      const refused = (payload: unknown, options: Parameters<Outbox.Service["enqueue"]>[1]) =>
        Effect.map(app.run(Effect.flip(commit(payload, options))), (error) => {
          expect(error).toMatchObject({ _tag: "ServiceError", retryable: false, attempts: 0 })
          return error as ServiceError
        })
      expect(yield* refused(1, {})).toMatchObject({ field: "messageGroupId" })
      expect(yield* refused(1n, { messageGroupId: "g" })).toMatchObject({ field: "payload" })
      expect(yield* refused("x".repeat(1_048_576), { messageGroupId: "g" })).toMatchObject({
        reason: "PayloadTooLarge"
      })
      const ten = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, n]))
      expect(yield* refused(1, { messageGroupId: "g", attributes: ten })).toMatchObject({ field: "attributes" })
      expect(yield* refused(1, { messageGroupId: "g", attributes: { "outbox-id": "x" } })).toMatchObject({
        field: "attributes"
      })
      expect(yield* refused(1, { messageGroupId: "g", attributes: 7 as never })).toMatchObject({ field: "attributes" })
      expect(yield* refused(1, { messageGroupId: "g", queue: EmailQueue })).toMatchObject({ field: "queue" })
      const { a9: _, ...nine } = ten
      yield* app.run(commit(1, { messageGroupId: "g", attributes: nine }))
      expect(yield* rows(stage)).toBe(1)
    }))

  test("with several queues, each message goes to the one it names", (stage) =>
    Effect.gen(function*() {
      const jobs = new Recorder()
      const emails = new Recorder()
      const app = yield* running(
        Outbox.relayWith(quick).pipe(
          Layer.provideMerge(Outbox.layer(MainDb, Queue, EmailQueue)),
          Layer.provide(queueOf("standard", jobs.accept)),
          Layer.provide(emailQueueOf("fifo", emails.accept)),
          Layer.provideMerge(layerOf(stage.url))
        )
      )
      expect(yield* app.run(Effect.flip(commit(1)))).toMatchObject({ reason: "InvalidInput", field: "queue" })
      yield* app.run(commit("job", { queue: Queue }))
      const { id } = yield* app.run(commit("email", { queue: EmailQueue, messageGroupId: "g" }))
      yield* app.run(commit("own id", { queue: EmailQueue, messageGroupId: "g", messageDeduplicationId: "mine" }))
      yield* empty(stage)
      expect(jobs.payloads).toEqual(["job"])
      expect(emails.messages.map((message) => [JSON.parse(message.body), message.messageDeduplicationId])).toEqual([
        ["email", id],
        ["own id", "mine"]
      ])
    }))

  test("large messages arrive whole, a few at a time", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("standard", sent.accept)))
      const large = (n: number) => `${n}-${"ü".repeat(200_000)}`
      yield* app.run(MainDb.withTransaction(Effect.forEach([1, 2, 3, 4, 5, 6], (n) => enqueue(large(n)))))
      yield* empty(stage)
      expect([...sent.payloads].sort().map((text: string) => text === large(Number(text[0])))).toEqual(
        Array.from({ length: 6 }, () => true)
      )
      for (const batch of sent.batches) {
        expect(batch.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)).toBeLessThanOrEqual(1_048_576)
      }
    }))

  test("does not depend on the character set of the connection, nor on how it reads BIGINT", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      for (const query of ["charset=latin1", "bigint=string", "bigint=bigint", "bigint=auto"]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const app = yield* running(process(`${stage.url}?${query}`, queueOf("standard", sent.accept)))
          yield* app.run(commit({ query, text: "é😀" }))
          yield* empty(stage)
          expect(yield* app.get(Outbox).status).toMatchObject({ backlog: { messages: 0, oldest: undefined } })
        }))
      }
      expect(sent.payloads.map(({ text }) => text)).toEqual(Array.from({ length: 4 }, () => "é😀"))
    }))
})

describe("the tables", () => {
  const build = (stage: Stage) => Effect.scoped(Layer.build(writer(stage.url)))

  test("are looked for when the layer is built; all that is missing is said at once, with what to do", (stage) =>
    Effect.gen(function*() {
      yield* build(stage)
      yield* stage.admin(`DELETE FROM ${stage.database}.outbox_shards WHERE shard = 3`)
      expect(yield* Effect.flip(build(stage))).toMatchObject({
        reason: "NotConfigured",
        problems: [{ setting: "table outbox_shards" }]
      })
      yield* stage.admin(`ALTER TABLE ${stage.database}.outbox MODIFY body TEXT`)
      expect(yield* Effect.flip(build(stage))).toMatchObject({
        reason: "InvalidSettings",
        problems: [{ setting: "table outbox" }]
      })
      // Without STRICT mode every message would have the id 0, which no relay reads.
      yield* stage.admin(
        `ALTER TABLE ${stage.database}.outbox MODIFY body LONGBLOB NOT NULL, MODIFY id BIGINT NOT NULL`
      )
      expect((yield* Effect.flip(build(stage))).message).toContain("column id without AUTO_INCREMENT")
      yield* stage.admin(`DROP TABLE ${stage.database}.outbox, ${stage.database}.outbox_relays`)
      const error = yield* Effect.flip(build(stage))
      expect(error).toMatchObject({
        _tag: "ConfigurationError",
        problems: [{ setting: "table outbox" }, { setting: "table outbox_relays" }]
      })
      expect(error.message).toContain("Outbox.migration")
    }))

  it.live("come from migrations of the team, too, and again does no harm", () =>
    Effect.flatMap(server, (at) =>
      onStage(at, (stage) =>
        Effect.gen(function*() {
          const team = Migrator.fromRecord({ "7_inbox": Inbox.migration, "8_outbox": Outbox.migration })
          yield* MainDb.migrate(team)
          yield* MainDb.migrate(Outbox.migrations, { table: "again" })
          yield* Inbox.check(MainDb)
          yield* Layer.build(Layer.provide(Outbox.layer(MainDb, Queue), Queue.layerMemory))
        }).pipe(Effect.provide(layerOf(stage.url))))))

  test("what is not committed could be read: a database like that is refused", (stage) =>
    Effect.gen(function*() {
      const queue = queueOf("fifo", () => Effect.never)
      const build = (isolationLevel: IsolationLevel) =>
        Effect.scoped(Layer.build(process(stage.url, queue, undefined, { isolationLevel })))
      for (const level of ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] as const) yield* build(level)
      expect(yield* Effect.flip(build("READ UNCOMMITTED"))).toMatchObject({
        _tag: "ConfigurationError",
        problems: [{ setting: "isolation level" }]
      })
    }))

  test("queues that the table cannot tell apart are refused", (stage) =>
    Effect.gen(function*() {
      const twice = Layer.build(Outbox.layer(MainDb, Queue, Queue)).pipe(
        Effect.provide(Layer.merge(Queue.layerMemory, layerOf(stage.url)))
      )
      expect(yield* Effect.flip(twice)).toMatchObject({ _tag: "ConfigurationError", problems: [{ setting: "queues" }] })
    }))
})

describe("Outbox.relay", () => {
  test("refuses options that make no sense, all at once", (stage) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(running(process(stage.url, queueOf("fifo", new Recorder().accept), {
        concurrency: 0,
        lease: "10 millis",
        onPoison: "drop" as never,
        pollInterval: -1
      })))
      expect(error).toMatchObject({ _tag: "ConfigurationError" })
      expect((error as { problems: ReadonlyArray<{ setting: string }> }).problems.map(({ setting }) => setting).sort())
        .toEqual([
          "concurrency",
          "lease",
          "onPoison",
          "pollInterval"
        ])
    }))

  test("ends what it is sending, deletes it and gives its leases back", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const sending = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const app = yield* Scope.extend(
        running(process(
          stage.url,
          queueOf("fifo", (messages) =>
            Effect.zipRight(
              Effect.zipRight(Deferred.succeed(sending, undefined), Deferred.await(go)),
              sent.accept(messages)
            )),
          { ...quick, stopTimeout: "5 seconds" }
        )),
        scope
      )
      yield* app.run(commit(1, { messageGroupId: "g" }))
      yield* Deferred.await(sending)
      yield* app.run(commit(2, { messageGroupId: "g" }))
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.sleep("100 millis")
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(closing)
      expect(sent.payloads).toEqual([1])
      expect(yield* rows(stage)).toBe(1)
      const owners = yield* stage.admin(`SELECT owner FROM ${stage.database}.outbox_shards WHERE owner IS NOT NULL`)
      expect(owners).toEqual([])
      expect(yield* rows(stage, "outbox_relays")).toBe(0)
    }))

  test("does not wait for a send that cannot be interrupted, and keeps its leases", (stage) =>
    Effect.gen(function*() {
      const sending = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const app = yield* Scope.extend(
        running(process(
          stage.url,
          queueOf("fifo", () =>
            Effect.zipRight(
              Deferred.succeed(sending, undefined),
              Effect.uninterruptible(Effect.zipRight(Deferred.await(go), Effect.die("too late")))
            )),
          { ...quick, lease: "1 minute", stopTimeout: "100 millis" }
        )),
        scope
      )
      yield* app.run(commit(1, { messageGroupId: "g" }))
      yield* Deferred.await(sending)
      const [time] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect(Duration.toSeconds(time)).toBeLessThan(15)
      expect(yield* rows(stage)).toBe(1)
      const owners = yield* stage.admin(`SELECT owner FROM ${stage.database}.outbox_shards WHERE owner IS NOT NULL`)
      expect(owners).not.toEqual([])
      yield* Deferred.succeed(go, undefined)
    }))

  test("is not held up by a transaction that has not committed", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("fifo", sent.accept)))
      const hold = yield* Deferred.make<void>()
      const written = yield* Deferred.make<void>()
      const open = yield* Effect.fork(app.run(MainDb.withTransaction(Effect.gen(function*() {
        yield* Effect.forEach(Array.from({ length: 32 }, (_, n) => n), (n) => enqueue(n, { messageGroupId: `g${n}` }))
        yield* Deferred.succeed(written, undefined)
        yield* Deferred.await(hold)
      }))))
      yield* Deferred.await(written)
      // Of each shard so many at a time that a server would rather look at the whole table than at each of them.
      yield* app.run(MainDb.withTransaction(Effect.forEach(
        Array.from({ length: 320 }, (_, n) => n),
        (n) => enqueue(100 + n, { messageGroupId: `g${n % 32}` })
      )))
      // Later ids are sent and deleted, although earlier ones of the same groups are not committed.
      yield* eventually(Effect.sync(() => expect(sent.messages).toHaveLength(320)))
      yield* empty(stage)
      yield* Deferred.succeed(hold, undefined)
      yield* Fiber.join(open)
      yield* eventually(Effect.sync(() => expect(sent.messages).toHaveLength(352)))
      expect(new Set(sent.payloads).size).toBe(352)
      yield* empty(stage)
    }))
})
