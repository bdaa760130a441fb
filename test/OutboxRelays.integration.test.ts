/** Several relays at once, of processes of their own: each message is sent once, in the order of its group. */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { MainDb } from "../src/db/Database.ts"
import { ServiceError } from "../src/Errors.ts"
import { shardOfGroup } from "../src/internal/outbox/shards.ts"
import { Outbox } from "../src/Outbox.ts"
import * as FaultProxy from "./support/db/faultProxy.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"
import {
  commit,
  empty,
  enqueue,
  onOutbox,
  process,
  queueOf,
  quick,
  Recorder,
  running,
  type SendBatch,
  writer
} from "./support/outbox.ts"

const test = (name: string, body: Parameters<typeof onOutbox>[0]): void => it.live(name, onOutbox(body), 60_000)

/** A queue that never answers, and tells when it is asked and when that is stopped. */
const holding = (began: Deferred.Deferred<void>, stopped: Effect.Effect<unknown>): SendBatch => () =>
  Effect.onInterrupt(Effect.zipRight(Deferred.succeed(began, undefined), Effect.never), () => stopped)

/** Writes messages `[group, n]`, in transactions of ten, by several writers that share no group. */
const fill = (writers: number, groups: number, perGroup: number, first = 0) =>
  Effect.forEach(
    Array.from({ length: writers }, (_, writer) => first + writer),
    (writer) =>
      Effect.gen(function*() {
        const messages = Array.from({ length: perGroup * groups }, (_, i) => [`${writer}-${i % groups}`, i] as const)
        for (let at = 0; at < messages.length; at += 10) {
          yield* MainDb.withTransaction(Effect.forEach(
            messages.slice(at, at + 10),
            ([group, n]) => enqueue([group, n], { messageGroupId: group }),
            { discard: true }
          ))
        }
      }),
    { concurrency: "unbounded", discard: true }
  )

/** That each message came once, and each group in its order. */
const expectOnceInOrder = (sent: Recorder, count: number): void => {
  expect(new Set(sent.messages.map(({ messageDeduplicationId }) => messageDeduplicationId)).size).toBe(count)
  expect(sent.messages).toHaveLength(count)
  const last = new Map<string, number>()
  const disorder = (sent.payloads as ReadonlyArray<readonly [string, number]>).filter(([group, n]) => {
    const before = last.get(group) ?? -1
    last.set(group, n)
    return before >= n
  })
  expect(disorder).toEqual([])
}

/** What a FIFO queue does with a message whose deduplication id it has seen. */
const fifo = (sent: Recorder): SendBatch => (messages) =>
  Effect.suspend(() => {
    const seen = new Set(sent.messages.map(({ messageDeduplicationId }) => messageDeduplicationId))
    return Effect.as(
      sent.accept(messages.filter(({ messageDeduplicationId }) => !seen.has(messageDeduplicationId))),
      messages.map(() => Either.right({ messageId: "m" }))
    )
  })

const shardsOf = (app: { readonly get: (tag: typeof Outbox) => Outbox.Service }) =>
  Effect.map(app.get(Outbox).status, ({ relays }) => relays[0]!.shards)

describe("several relays", () => {
  test("send 3,000 messages of 100 groups: each once, each group in its order", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const jittery: SendBatch = (messages) => Effect.zipRight(Effect.sleep(Math.random() * 5), sent.accept(messages))
      const app = yield* running(writer(stage.url))
      // Half of them are there before, so that the relays read full pages.
      yield* app.run(fill(2, 25, 30))
      yield* Effect.all(Array.from({ length: 4 }, () => running(process(stage.url, queueOf("fifo", jittery)))))
      yield* app.run(fill(2, 25, 30, 2))
      yield* empty(stage, "30 seconds")
      expectOnceInOrder(sent, 3_000)
    }))

  test("share the shards out evenly, and again when one comes or ends", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const start = process(stage.url, queueOf("fifo", sent.accept))
      const first = yield* running(start)
      yield* eventually(Effect.map(shardsOf(first), (shards) => expect(shards).toHaveLength(16)))
      const scope = yield* Scope.make()
      const second = yield* Scope.extend(running(start), scope)
      const third = yield* running(start)
      const counts = Effect.map(
        Effect.all([first, second, third].map(shardsOf)),
        (shards) => shards.map(({ length }) => length).sort()
      )
      yield* eventually(Effect.map(counts, (counts) => expect(counts).toEqual([5, 5, 6])), "10 seconds")
      const all = yield* Effect.all([first, second, third].map(shardsOf))
      expect(new Set(all.flat()).size).toBe(16)
      // Nothing moves without a reason.
      yield* Effect.sleep("1500 millis")
      expect(yield* Effect.all([first, second, third].map(shardsOf))).toEqual(all)
      yield* Scope.close(scope, Exit.void)
      yield* eventually(
        Effect.map(Effect.all([first, third].map(shardsOf)), (shards) =>
          expect(shards.map(({ length }) => length)).toEqual([8, 8])),
        "10 seconds"
      )
    }))

  test("one comes and one ends while messages flow: each once, each group in its order", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const slow: SendBatch = (messages) => Effect.zipRight(Effect.sleep(2), sent.accept(messages))
      const start = process(stage.url, queueOf("fifo", slow), { ...quick, stopTimeout: "5 seconds" })
      const first = yield* Scope.make()
      yield* Scope.extend(running(start), first)
      const app = yield* running(writer(stage.url))
      const filling = yield* Effect.fork(app.run(fill(2, 20, 60)))
      yield* Effect.sleep("300 millis")
      yield* running(start)
      yield* Effect.sleep("500 millis")
      yield* Scope.close(first, Exit.void)
      yield* running(start)
      yield* Fiber.join(filling)
      yield* empty(stage, "30 seconds")
      expectOnceInOrder(sent, 2_400)
    }))

  test("writers of a group exclude each other: what commits while a page is sent is not overtaken", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const began = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const held: SendBatch = (messages) =>
        Effect.zipRight(Effect.zipRight(Deferred.succeed(began, undefined), Deferred.await(go)), sent.accept(messages))
      const app = yield* running(writer(stage.url))
      const group = "g"
      const neighbours = Array.from({ length: 10_000 }, (_, n) => `n${n}`)
        .filter((name) => shardOfGroup("Queue", name) === shardOfGroup("Queue", group)).slice(0, 300)
      const written = yield* Deferred.make<void>()
      const mayCommit = yield* Deferred.make<void>()
      const first = yield* Effect.fork(app.run(MainDb.withTransaction(Effect.gen(function*() {
        yield* enqueue("first", { messageGroupId: group })
        yield* Deferred.succeed(written, undefined)
        yield* Deferred.await(mayCommit)
      }))))
      yield* Deferred.await(written)
      // More than a page, with later ids.
      yield* app.run(MainDb.withTransaction(
        Effect.forEach(neighbours, (name) => enqueue(name, { messageGroupId: name }), { discard: true })
      ))
      yield* running(process(stage.url, queueOf("fifo", held)))
      yield* Deferred.await(began)
      yield* Deferred.succeed(mayCommit, undefined)
      yield* Fiber.join(first)
      yield* app.run(commit("second", { messageGroupId: group }))
      yield* Deferred.succeed(go, undefined)
      yield* empty(stage)
      expect(sent.payloads.filter((payload) => !neighbours.includes(payload))).toEqual(["first", "second"])
      expect(sent.messages).toHaveLength(302)
    }))

  test("one is cut off from the database, beyond its lease, while it sends: its send is stopped, and others go on", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const began = yield* Deferred.make<void>()
      let stopped = 0
      const held = holding(began, Effect.sync(() => void stopped++))
      const proxy = yield* FaultProxy.make((yield* server).entry)
      yield* running(process(proxy.through(stage.direct), queueOf("fifo", held)))
      const app = yield* running(writer(stage.direct))
      yield* app.run(commit(1, { messageGroupId: "g" }))
      yield* app.run(commit(2, { messageGroupId: "g" }))
      yield* Deferred.await(began)
      yield* proxy.halfOpen
      yield* proxy.welcome("silent")
      const cut = performance.now()
      yield* eventually(Effect.sync(() => expect(stopped).toBe(1)), "5 seconds")
      // Before the lease of 2 seconds ends on the server.
      expect(performance.now() - cut).toBeLessThan(2_000)
      yield* running(process(stage.direct, queueOf("fifo", sent.accept)))
      yield* empty(stage, "30 seconds")
      expect(sent.payloads).toEqual([1, 2])
      yield* proxy.reset
      yield* proxy.welcome("pass")
    }))

  test("one is cut off right after it took its first leases: its send is stopped well before they end", (stage) =>
    Effect.gen(function*() {
      const began = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const held = holding(began, Deferred.succeed(stopped, undefined))
      const app = yield* running(writer(stage.direct))
      yield* app.run(commit(1, { messageGroupId: "g" }))
      yield* running(process(stage.url, queueOf("fifo", held), { ...quick, lease: "5 seconds" }))
      yield* Deferred.await(began)
      yield* stage.proxy.halfOpen
      yield* stage.proxy.welcome("silent")
      yield* Deferred.await(stopped)
      // A fifth of a lease is to be left, for what is on its way to the queue.
      const [left] = yield* stage.admin(
        `SELECT MIN(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), leased_until)) AS micros
         FROM ${stage.database}.outbox_shards WHERE owner IS NOT NULL`
      )
      expect(Number(left!["micros"])).toBeGreaterThan(400_000)
      yield* stage.proxy.reset
      yield* stage.proxy.welcome("pass")
    }))

  test("one that loses its leases because it is cut off does not say that all is well again", (stage) =>
    Effect.gen(function*() {
      const began = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const held = holding(began, Deferred.succeed(stopped, undefined))
      const logged: Array<string> = []
      const app = yield* running(writer(stage.direct))
      yield* app.run(commit(1, { messageGroupId: "g" }))
      yield* running(process(stage.url, queueOf("fifo", held), quick, {}, logged))
      yield* Deferred.await(began)
      yield* stage.proxy.welcome("reset")
      yield* stage.proxy.reset
      yield* eventually(Effect.sync(() => expect(logged.join()).toContain("cannot work with the database")))
      yield* Deferred.await(stopped)
      yield* Effect.sleep("300 millis")
      expect(logged.filter((line) => line.startsWith("INFO"))).toEqual([])
      yield* stage.proxy.welcome("pass")
    }))

  test("one that is held up as a whole begins no request after its lease has ended", (stage) =>
    Effect.gen(function*() {
      let stalled = false
      let resumed = false
      const late: Array<unknown> = []
      const stalling: SendBatch = (messages) =>
        Effect.suspend(() => {
          if (stalled) {
            if (!resumed) late.push(...messages)
            return Effect.never
          }
          stalled = true
          // Nothing of this process runs, as if it were stopped: not even the timer that watches the lease.
          for (const until = performance.now() + 2_500; performance.now() < until;);
          setImmediate(() => {
            resumed = true
          })
          return Effect.fail(
            new ServiceError({
              service: "SQS",
              operation: "SendMessageBatch",
              reason: "InvalidRequest",
              retryable: false,
              attempts: 1
            })
          )
        })
      const app = yield* running(writer(stage.direct))
      yield* app.run(MainDb.withTransaction(Effect.forEach([1, 2], (n) => enqueue(n, { messageGroupId: `g${n}` }))))
      yield* stage.admin(`UPDATE ${stage.database}.outbox SET shard = 1`)
      yield* running(process(stage.url, queueOf("fifo", stalling)))
      yield* eventually(Effect.sync(() => expect(resumed).toBe(true)), "10 seconds")
      expect(late).toEqual([])
    }))

  test("one is held up in the middle of a send that cannot be stopped: FIFO gets each message once, in order", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const queue = fifo(sent)
      const began = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      // Its request is on its way, and arrives long after its lease has ended.
      const held: SendBatch = (messages) =>
        Effect.uninterruptible(
          Effect.zipRight(Effect.zipRight(Deferred.succeed(began, undefined), Deferred.await(go)), queue(messages))
        )
      const proxy = yield* FaultProxy.make((yield* server).entry)
      const scope = yield* Scope.make()
      yield* Scope.extend(running(process(proxy.through(stage.direct), queueOf("fifo", held))), scope)
      const app = yield* running(writer(stage.direct))
      yield* app.run(fill(1, 1, 5))
      yield* Deferred.await(began)
      yield* proxy.halfOpen
      yield* proxy.welcome("silent")
      yield* running(process(stage.direct, queueOf("fifo", queue)))
      yield* empty(stage, "30 seconds")
      yield* Deferred.succeed(go, undefined)
      yield* proxy.reset
      yield* proxy.welcome("pass")
      yield* Effect.sleep("1 second")
      expectOnceInOrder(sent, 5)
      yield* Scope.close(scope, Exit.void)
      expectOnceInOrder(sent, 5)
    }))

  test("the answer to DELETE is lost, and again: what was sent is not sent again by this relay", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const app = yield* running(process(stage.url, queueOf("fifo", sent.accept)))
      const writing = yield* running(writer(stage.direct))
      yield* writing.run(commit(["g", 0], { messageGroupId: "g" }))
      yield* empty(stage, "30 seconds")
      for (const [n, how] of ([[1, "lose"], [2, "reset"]] as const)) {
        yield* stage.proxy.trap("DELETE outbox FROM outbox", how)
        yield* writing.run(commit(["g", n], { messageGroupId: "g" }))
        yield* empty(stage, "30 seconds")
      }
      expectOnceInOrder(sent, 3)
      expect(yield* shardsOf(app)).toHaveLength(16)
    }))

  for (const [what, pattern] of [["looks for messages", "AS s WHERE s.owner"], ["reads them", "OCTET_LENGTH(body)"]]) {
    test(`a connection goes silent while a relay ${what}, and others do not: it goes on`, (stage) =>
      Effect.gen(function*() {
        const sent = new Recorder()
        yield* stage.proxy.trap(pattern!, "swallow")
        const app = yield* running(process(stage.url, queueOf("fifo", sent.accept)))
        yield* eventually(Effect.map(shardsOf(app), (shards) => expect(shards).toHaveLength(16)))
        const writing = yield* running(writer(stage.direct))
        yield* writing.run(fill(1, 50, 1))
        yield* empty(stage)
        expectOnceInOrder(sent, 50)
      }))
  }

  test("all connections are cut, again and again, while messages flow: nothing is lost", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const queue = fifo(sent)
      yield* Effect.all(Array.from({ length: 2 }, () => running(process(stage.url, queueOf("fifo", queue)))))
      const app = yield* running(writer(stage.direct))
      const filling = yield* Effect.fork(app.run(fill(2, 10, 100)))
      for (let n = 0; n < 8; n++) {
        yield* Effect.sleep("150 millis")
        yield* stage.proxy.reset
      }
      yield* Fiber.join(filling)
      yield* empty(stage, "30 seconds")
      expectOnceInOrder(sent, 2_000)
    }))

  test("a row with the id of a message that was sent is not deleted, if it is another message", (stage) =>
    Effect.gen(function*() {
      const sent = new Recorder()
      const writing = yield* running(writer(stage.direct))
      // After the message was sent, and before it is deleted, another takes its place: as a server does that was restored.
      const replacing: SendBatch = (messages) =>
        Effect.zipLeft(
          sent.accept(messages),
          sent.messages.length > 1 ? Effect.void : stage.admin(
            `UPDATE ${stage.database}.outbox SET message_id = '00000000-0000-4000-8000-000000000000', body = '"other"'`
          )
        )
      yield* writing.run(commit("first", { messageGroupId: "g" }))
      yield* running(process(stage.url, queueOf("fifo", replacing)))
      yield* empty(stage, "30 seconds")
      expect(sent.payloads).toEqual(["first", "other"])
    }))
})
